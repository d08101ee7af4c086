//! Which storage this adapter reads faster: asked at start, of the adapter itself.

use super::device::{Capabilities, Gpu};
use super::host::HostMemory;
use super::kernel::{Cost, Kernel, Needs, Operand, Parameter, Strategy};
use super::program::Program;
use super::recording::Recording;
use super::tensor::{Element, StorageKind, Tensor};
use crate::Result;
use std::time::{Duration, Instant};

/// Texels each lane reads.
const READS: u32 = 64;
const LANES: u32 = 8;
const WORKGROUPS: u32 = 128;

/// Sums texels, neighbouring lanes reading neighbouring texels.
struct ProbeRead {
    x: Tensor,
    y: Tensor,
}

impl Kernel for ProbeRead {
    fn name(&self) -> &'static str {
        "probe_read"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("reads", READS)]
    }

    fn strategies(&self, _: &Capabilities) -> Vec<Strategy> {
        vec![Strategy {
            name: "probe_read",
            entry: "probe_read",
            source: include_str!("../../shaders/probe_read.wgsl"),
            constants: vec![],
            needs: Needs::lanes(LANES),
            grid: [WORKGROUPS, 1, 1],
        }]
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: self.x.bytes(), written: self.y.bytes(), operations: self.x.len() as u64 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        let y = memory.f32_mut(&self.y);
        let (lanes, reads) = (LANES as usize, READS as usize);
        for (lane, sum) in y.chunks_mut(4).enumerate() {
            let first = lane / lanes * reads * lanes + lane % lanes;
            for (part, value) in sum.iter_mut().enumerate() {
                *value = (0..reads).map(|read| x[4 * (first + read * lanes) + part]).sum();
            }
        }
    }
}

fn time(gpu: &Gpu, kind: StorageKind) -> Result<Duration> {
    let lanes = (LANES * WORKGROUPS) as usize;
    let x = Tensor::stored(gpu, kind, "probe input", &[lanes * READS as usize, 4], Element::F32)?;
    let y = Tensor::stored(gpu, kind, "probe output", &[lanes, 4], Element::F32)?;
    let mut recording = Recording::default();
    recording.push("probe", ProbeRead { x, y });
    let program = Program::compile(gpu, &recording)?;
    let mut best = Duration::MAX;
    // The first run compiles the kernel and clears the memory.
    for _ in 0..3 {
        let start = Instant::now();
        program.run(gpu);
        gpu.wait()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// The storage that reads faster, textures only if by more than a tenth: buffers have fewer limits.
pub(super) fn faster_storage(gpu: &Gpu) -> Result<StorageKind> {
    let buffer = time(gpu, StorageKind::Buffer)?;
    let texture = time(gpu, StorageKind::Texture)?;
    log::info!("probe: 1 MiB from a buffer in {buffer:?}, from a storage texture in {texture:?}");
    Ok(if texture.as_secs_f64() < 0.9 * buffer.as_secs_f64() {
        StorageKind::Texture
    } else {
        StorageKind::Buffer
    })
}
