//! Measures at start which kind of storage this adapter reads faster.

use crate::Result;
use crate::gpu::adapter::storage::StorageKind;
use crate::gpu::device::device::{Capabilities, Gpu};
use crate::gpu::kernel::kernel::{
    Constant, Cost, Kernel, MOST_WORKGROUPS, Needs, Operand, Parameter, Strategy,
};
use crate::gpu::kernel::recording::Recording;
use crate::gpu::program::program::Program;
use crate::gpu::tensor::allocator::TensorSpec;
use crate::gpu::tensor::host::HostMemory;
use crate::gpu::tensor::tensor::{Element, Tensor};
use std::time::{Duration, Instant};

/// Lanes in a workgroup: for the SIMD lanes of a CPU, and for a GPU.
const NARROW: usize = 8;
const WIDE: usize = 256;

/// A strategy with workgroups of 8 lanes, and one for GPUs with 256 where `lanes` is a multiple of
/// that. `names` are the strategies' names; the first one is also that of the shader, which
/// receives LANES and `constants`. If there are more narrow workgroups than an axis of a grid can
/// have, only the wide strategy is returned.
pub fn widths(
    can: &Capabilities,
    names: [&'static str; 2],
    source: &'static str,
    lanes: usize,
    constants: &[(&'static str, Constant)],
) -> Vec<Strategy> {
    assert_eq!(lanes % NARROW, 0, "{}: not whole workgroups", names[0]);
    let strategy = |name, width: usize| Strategy {
        name,
        entry: names[0],
        source,
        constants: [&[("LANES", Constant::Count(width as u32))], constants].concat(),
        needs: Needs::lanes(width as u32),
        grid: [(lanes / width) as u32, 1, 1],
    };
    let wide = lanes.is_multiple_of(WIDE).then(|| strategy(names[1], WIDE));
    let narrow =
        Some(strategy(names[0], NARROW)).filter(|narrow| narrow.grid[0] <= MOST_WORKGROUPS);
    can.allowed(narrow.into_iter().collect(), wide.into_iter().collect())
}

/// `y[lane]` = sum of `reads` texels of x, repeated `times` times. This kernel is not in
/// `src/kernels`, because the probe runs it before any of those.
pub struct RoofRead {
    /// Input [L * reads, 4].
    pub x: Tensor,
    /// Sums [L, 4], where L is a multiple of 8.
    pub y: Tensor,
    /// Texels that each lane reads.
    pub reads: usize,
    /// How many times it reads them.
    pub times: usize,
}

impl Kernel for RoofRead {
    fn name(&self) -> &'static str {
        "roof_read"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_eq!(self.x.len(), self.y.len() * self.reads, "each texel of x has one lane");
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("reads", self.reads as u32), Parameter::U32("times", self.times as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/roofline/roof_read.wgsl");
        widths(can, ["roof_read", "roof_read_wide"], source, self.y.dim(0), &[])
    }

    fn cost(&self, _: usize) -> Cost {
        let operations = (self.times * self.x.len()) as u64;
        Cost { read: self.x.bytes(), written: self.y.bytes(), operations }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        let y = memory.f32_mut(&self.y);
        for (lane, sum) in y.chunks_mut(4).enumerate() {
            let first = lane / 8 * self.reads * 8 + lane % 8;
            for (part, value) in sum.iter_mut().enumerate() {
                let texels = (0..self.times).flat_map(|_| 0..self.reads);
                *value = texels.map(|read| x[4 * (first + read * 8) + part]).sum();
            }
        }
    }
}

/// Texels that each lane of the probe reads, and its number of lanes: 1 MiB. They are read several
/// times, because on a software adapter a dispatch alone takes as long as one reading.
const READS: usize = 64;
const LANES: usize = 1024;
const TIMES: usize = 8;

/// Rounds of the probe, and the rounds that suffice if one storage is more than twice as fast as
/// the other.
const ROUNDS: usize = 16;
const CLEAR: usize = 3;

fn program(gpu: &Gpu, kind: StorageKind) -> Result<Program> {
    let x = TensorSpec::new("probe input", &[LANES * READS, 4], Element::F32)
        .stored_as(kind)
        .make(gpu)?;
    let y = TensorSpec::new("probe output", &[LANES, 4], Element::F32).stored_as(kind).make(gpu)?;
    let mut recording = Recording::default();
    recording.push("probe", RoofRead { x, y, reads: READS, times: TIMES });
    let program = Program::compile(gpu, &recording)?;
    // The first run compiles the kernel and clears the memory.
    time(gpu, &program)?;
    Ok(program)
}

fn time(gpu: &Gpu, program: &Program) -> Result<Duration> {
    let start = Instant::now();
    program.run(gpu);
    gpu.wait()?;
    Ok(start.elapsed())
}

/// The storage that reads faster; textures must be faster by more than a tenth, because buffers
/// have fewer limits. The two are measured alternately and the least time of each counts, because a
/// busy machine interrupts some runs.
pub(in crate::gpu) fn faster_storage(gpu: &Gpu) -> Result<StorageKind> {
    let programs = [program(gpu, StorageKind::Buffer)?, program(gpu, StorageKind::Texture)?];
    let mut best = [Duration::MAX; 2];
    for round in 1..=ROUNDS {
        for (best, program) in best.iter_mut().zip(&programs) {
            *best = time(gpu, program)?.min(*best);
        }
        let [buffer, texture] = best;
        if round >= CLEAR && (buffer > 2 * texture || texture > 2 * buffer) {
            break;
        }
    }
    let [buffer, texture] = best;
    log::info!(
        "probe: {TIMES} times 1 MiB from a buffer in {buffer:?}, from a storage texture in {texture:?}"
    );
    Ok(if texture.as_secs_f64() < 0.9 * buffer.as_secs_f64() {
        StorageKind::Texture
    } else {
        StorageKind::Buffer
    })
}
