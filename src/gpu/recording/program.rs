//! A recording compiled for a device: pipelines and bind groups made once, encoded again for every
//! run.

use super::recording::{Entry, Recording};
use crate::gpu::device::device::Gpu;
use crate::gpu::kernel::kernel::{Access, MOST_WORKGROUPS, Parameter, Strategy, bound};
use crate::gpu::kernel::pipeline::{self, Pipeline};
use crate::gpu::kernel::shader;
use crate::gpu::software::chain::{Chain, GridBarrier};
use crate::gpu::tensor::tensor::{Storage, Tensor, buffer};
use crate::gpu::tensor::transfer::map_words;
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

pub(in crate::gpu) struct Step {
    pub(in crate::gpu) label: String,
    pub(in crate::gpu) strategy: &'static str,
    pub(in crate::gpu) pipeline: Arc<Pipeline>,
    /// By their group.
    pub(in crate::gpu) bindings: Vec<(u32, wgpu::BindGroup)>,
    pub(in crate::gpu) grid: [u32; 3],
    /// The uniform block `p`, where the text is of this crate.
    pub(in crate::gpu) parameters: Option<Block>,
    /// What goes with the dispatch, where the text is none of this crate.
    pub(in crate::gpu) immediates: Vec<u8>,
}

/// A part of a uniform buffer.
pub(in crate::gpu) struct Block {
    buffer: wgpu::Buffer,
    range: Range<u64>,
}

impl Block {
    pub(in crate::gpu) fn binding(&self) -> wgpu::BindingResource<'_> {
        let size = std::num::NonZeroU64::new(self.range.end - self.range.start);
        let (buffer, offset) = (&self.buffer, self.range.start);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
    }
}

impl Step {
    pub(in crate::gpu) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        if !self.grid.contains(&0) {
            pass.set_pipeline(&self.pipeline.pipeline);
            for (group, bindings) in &self.bindings {
                pass.set_bind_group(*group, bindings, &[]);
            }
            if !self.immediates.is_empty() {
                pass.set_immediates(0, &self.immediates);
            }
            pass.dispatch_workgroups(self.grid[0], self.grid[1], self.grid[2]);
        }
    }
}

/// A recording ready to run on one device, as often as wanted.
pub struct Program {
    pub(in crate::gpu) steps: Vec<Step>,
    /// What the workers of chains share.
    pub(in crate::gpu) meeting: Option<GridBarrier>,
}

/// Memory that the host can map, for what comes back each run.
pub struct Readback {
    pub(in crate::gpu) buffer: wgpu::Buffer,
    pub(in crate::gpu) slot_bytes: u64,
    slots: usize,
}

/// What a tensor was as runs went by.
pub struct Runs {
    /// Its words before the first run.
    pub before: Vec<u32>,
    /// Its words after each run, up to one in which the workers of a chain missed each other: that
    /// one and those after it are worth nothing, and whoever asked for them runs them again by a
    /// program without chains.
    pub after: Vec<Vec<u32>>,
}

impl Readback {
    /// Room for `runs` runs of `tensor`, a uniform tensor.
    pub fn new(gpu: &Gpu, tensor: &Tensor, runs: usize) -> Self {
        // What was before comes first; behind the slots are two words of each for what became of
        // its chains.
        let (slot_bytes, slots) = (tensor.data_bytes(), runs + 1);
        use wgpu::BufferUsages as Usage;
        let size = (slot_bytes + 8) * slots as u64;
        Self {
            buffer: buffer(gpu, "readback", size, Usage::MAP_READ | Usage::COPY_DST),
            slot_bytes,
            slots,
        }
    }
}

/// What stands for the strategies of calls that are one dispatch.
const CHAIN: &str = "chain";

/// Offsets of uniform bindings are multiples of this on every adapter.
pub(in crate::gpu) const PARAMETER_STRIDE: usize = 256;

impl Program {
    /// Compiles what is not compiled yet and binds the operands, taking each kernel's first
    /// strategy that is not quarantined. Each call is a dispatch.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn compile(gpu: &Gpu, recording: &Recording) -> Result<Self> {
        Self::compile_entries(gpu, recording.entries(), |strategies| strategies.swap_remove(0))
    }

    /// As [`Program::compile`], but where the device can, the calls of a block, and of blocks that
    /// do the same, are one dispatch. Such a dispatch may fail: see [`Runs::after`].
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn compile_fused(gpu: &Gpu, recording: &Recording) -> Result<Self> {
        let first = |strategies: &mut Vec<Strategy>| strategies.swap_remove(0);
        let fuses = gpu.capabilities().concurrent_workgroups > 1 && gpu.may_chain();
        let blocks = if fuses { recording.blocks() } else { &[] };
        Self::compile_with(gpu, recording.entries(), blocks, first)
    }

    /// As [`Program::compile`] with a choice among [`Gpu::strategies`].
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn compile_entries(
        gpu: &Gpu,
        entries: &[Entry],
        choose: impl Fn(&mut Vec<Strategy>) -> Strategy,
    ) -> Result<Self> {
        Self::compile_with(gpu, entries, &[], choose)
    }

    fn compile_with(
        gpu: &Gpu,
        entries: &[Entry],
        blocks: &[Range<usize>],
        choose: impl Fn(&mut Vec<Strategy>) -> Strategy,
    ) -> Result<Self> {
        let mut bytes = Vec::with_capacity(entries.len() * PARAMETER_STRIDE);
        for (index, entry) in entries.iter().enumerate() {
            for parameter in entry.kernel.parameters() {
                bytes.extend_from_slice(&match parameter {
                    Parameter::U32(_, value) => value.to_le_bytes(),
                    Parameter::F32(_, value) => value.to_le_bytes(),
                });
            }
            // Behind them, for chains, where the tensors begin in their arenas.
            let rows = bound(&*entry.kernel)
                .into_iter()
                .filter_map(|operand| Some(operand.tensor?.span()?.1));
            rows.for_each(|row| bytes.extend_from_slice(&row.to_le_bytes()));
            assert!(
                bytes.len() <= (index + 1) * PARAMETER_STRIDE,
                "{}: too many parameters",
                entry.label
            );
            bytes.resize((index + 1) * PARAMETER_STRIDE, 0);
        }
        let parameters = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: bytes.len().max(PARAMETER_STRIDE) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&parameters, 0, &bytes);

        let block = |index: usize, bytes: usize| {
            let start = (index * PARAMETER_STRIDE) as u64;
            Block { buffer: parameters.clone(), range: start..start + bytes as u64 }
        };
        let mut steps = Vec::with_capacity(entries.len());
        let mut meeting = None;
        let mut index = 0;
        while index < entries.len() {
            if let Some(first) = blocks.iter().position(|block| block.start == index) {
                let before = index;
                for chain in Chain::split(gpu, entries, &blocks[first..], &choose)? {
                    let meeting = meeting.get_or_insert_with(|| GridBarrier::new(gpu));
                    let block = block(index, chain.calls() * PARAMETER_STRIDE);
                    steps.push(chained(gpu, &chain, meeting, block)?);
                    index += chain.calls();
                }
                if index > before {
                    continue;
                }
            }
            let strategy = choose(&mut gpu.strategies(&*entries[index].kernel)?);
            let words = entries[index].kernel.parameters().len().next_multiple_of(4);
            steps.push(single(gpu, &entries[index], &strategy, block(index, 4 * words))?);
            index += 1;
        }
        gpu.check()?;
        Ok(Self { steps, meeting })
    }

    /// Dispatches a run takes.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Label and strategy of each dispatch.
    pub fn describe(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.steps.iter().map(|step| (step.label.as_str(), step.strategy))
    }

    /// Whether some dispatches are chains of calls, which need not succeed: see [`Runs::after`].
    pub fn is_chained(&self) -> bool {
        self.meeting.is_some()
    }

    pub(in crate::gpu) fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        self.steps.iter().for_each(|step| step.encode(&mut pass));
    }

    /// Submits one run without waiting.
    pub fn run(&self, gpu: &Gpu) {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder);
        gpu.queue.submit([encoder.finish()]);
    }

    /// Submits `runs` runs at once, copying the uniform tensor `result` out before the first and
    /// after each, and waits for all.
    ///
    /// # Errors
    /// When the device fails.
    #[track_caller]
    pub fn run_and_read(
        &self,
        gpu: &Gpu,
        runs: usize,
        result: &Tensor,
        readback: &Readback,
    ) -> Result<Runs> {
        let Storage::Uniform(source) = result.storage() else {
            panic!("{} is not a uniform tensor", result.label())
        };
        assert!(runs < readback.slots, "{}: no slot is left", result.label());
        let size = readback.slot_bytes;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.meeting.iter().for_each(|meeting| meeting.begin(gpu, runs));
        encoder.copy_buffer_to_buffer(source, 0, &readback.buffer, 0, size);
        let outcomes = readback.slots as u64 * size;
        for run in 1..=runs as u64 {
            self.encode(&mut encoder);
            encoder.copy_buffer_to_buffer(source, 0, &readback.buffer, run * size, size);
            if let Some(GridBarrier { buffer, .. }) = &self.meeting {
                let (missed, words) = (4, 8); // and `waited` behind it
                encoder.copy_buffer_to_buffer(
                    buffer,
                    missed,
                    &readback.buffer,
                    outcomes + run * words,
                    words,
                );
            }
        }
        gpu.queue.submit([encoder.finish()]);
        let words = map_words(gpu, &readback.buffer)?;
        let (slots, outcomes) = words.split_at(outcomes as usize / 4);
        let mut slots = slots.chunks(size as usize / 4).map(<[u32]>::to_vec);
        let before = slots.next().unwrap_or_default();
        let Some(meeting) = &self.meeting else {
            return Ok(Runs { before, after: slots.take(runs).collect() });
        };
        let outcomes = &outcomes[2..][..2 * runs];
        let met = outcomes.chunks(2).take_while(|outcome| outcome[0] == 0).count();
        match outcomes.last().filter(|_| met == runs) {
            Some(&waited) => meeting.end(waited, runs),
            None => log::debug!(
                "workers of a chain missed each other in run {met} of {runs}: {outcomes:?}"
            ),
        }
        Ok(Runs { before, after: slots.take(met).collect() })
    }
}

/// One call as a step.
fn single(gpu: &Gpu, entry: &Entry, strategy: &Strategy, parameters: Block) -> Result<Step> {
    let (label, kernel) = (&entry.label, &*entry.kernel);
    let operands = bound(kernel);
    let tensors: Vec<_> = operands
        .iter()
        .filter_map(|operand| Some((operand.tensor.as_ref()?, operand.access)))
        .collect();
    let mut kinds = vec![pipeline::uniform_buffer()];
    kinds.extend(tensors.iter().map(|(tensor, access)| pipeline::binding_type(tensor, *access)));
    let name = format!("{} ({})", kernel.name(), strategy.name);
    if strategy.grid.iter().any(|&workgroups| workgroups > MOST_WORKGROUPS) {
        let message = format!(
            "{label} takes {:?} workgroups, and an axis has {MOST_WORKGROUPS} at most; try a smaller batch or context",
            strategy.grid
        );
        return Err(Error::Kernel { kernel: name, message });
    }
    let signature = shader::signature(kernel, strategy);
    let text = || shader::render(kernel, strategy);
    let pipeline = pipeline::of(gpu, &name, strategy.entry, &signature, &kinds, text)?;
    let mut resources = vec![parameters.binding()];
    resources.extend(tensors.iter().map(|(tensor, _)| pipeline::resource(tensor, label)));
    let bindings = pipeline::bind_group(gpu, &pipeline.layout, resources, label);
    let (label, strategy, grid) = (label.clone(), strategy.name, strategy.grid);
    let parameters = Some(parameters);
    let bindings = vec![(0, bindings)];
    Ok(Step { label, strategy, pipeline, bindings, grid, parameters, immediates: vec![] })
}

/// Calls as one step with the block of all their parameters.
fn chained(gpu: &Gpu, chain: &Chain<'_>, meeting: &GridBarrier, parameters: Block) -> Result<Step> {
    let mut kinds = vec![pipeline::storage_buffer(Access::ReadWrite), pipeline::uniform_buffer()];
    kinds.extend(
        chain.tensors().iter().map(|(tensor, access)| pipeline::binding_type(tensor, *access)),
    );
    let label = chain.label();
    let pipeline =
        pipeline::of(gpu, &label, "chain", &chain.signature(), &kinds, || chain.render())?;
    let mut resources = vec![meeting.buffer.as_entire_binding(), parameters.binding()];
    resources.extend(chain.tensors().iter().map(|(tensor, _)| pipeline::resource(tensor, &label)));
    let bindings = vec![(0, pipeline::bind_group(gpu, &pipeline.layout, resources, &label))];
    let grid = [chain.workers(), 1, 1];
    let parameters = Some(parameters);
    Ok(Step { label, strategy: CHAIN, pipeline, bindings, grid, parameters, immediates: vec![] })
}
