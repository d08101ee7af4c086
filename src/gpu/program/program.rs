//! A recording compiled for a device: pipelines and bind groups are created once, and encoded for
//! every run.

use crate::gpu::device::device::Gpu;
use crate::gpu::device::pipeline::{self, PARAMETER_STRIDE, Pipeline};
use crate::gpu::kernel::binding::{self, bound};
use crate::gpu::kernel::kernel::{MOST_WORKGROUPS, Parameter, Strategy};
use crate::gpu::kernel::recording::{Entry, Recording};
use crate::gpu::kernel::shader;
use crate::gpu::software::warm_up;
use crate::gpu::tensor::tensor::{Tensor, buffer};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

pub(in crate::gpu) struct Step {
    pub(in crate::gpu) label: String,
    pub(in crate::gpu) strategy: &'static str,
    pub(in crate::gpu) pipeline: Arc<Pipeline>,
    /// Bind groups, each with its group number.
    pub(in crate::gpu) bindings: Vec<(u32, wgpu::BindGroup)>,
    pub(in crate::gpu) grid: [u32; 3],
    /// The uniform block `p`; `None` for a user's shader.
    pub(in crate::gpu) parameters: Option<Block>,
    /// The immediates of a user's shader; empty for a shader of this crate.
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
    /// Compiles a call with its first strategy that is not quarantined.
    pub(in crate::gpu) fn of_first_strategy(
        gpu: &Gpu,
        entry: &Entry,
        parameters: Block,
    ) -> Result<Self> {
        Self::of(gpu, entry, &gpu.strategies(&*entry.kernel)?[0], parameters)
    }

    /// Compiles a call with `strategy`.
    fn of(gpu: &Gpu, entry: &Entry, strategy: &Strategy, parameters: Block) -> Result<Self> {
        let (label, kernel) = (&entry.label, &*entry.kernel);
        let operands = bound(kernel);
        let tensors: Vec<_> = operands
            .iter()
            .filter_map(|operand| Some((operand.tensor.as_ref()?, operand.access)))
            .collect();
        let mut kinds = vec![pipeline::uniform_buffer()];
        kinds.extend(tensors.iter().map(|(tensor, access)| binding::binding_type(tensor, *access)));
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
        let pipeline = pipeline::of(
            gpu,
            &name,
            strategy.entry,
            &signature,
            &kinds,
            shader::is_own(strategy.source),
            text,
        )?;
        let mut resources = vec![parameters.binding()];
        resources.extend(tensors.iter().map(|(tensor, _)| binding::resource(tensor, label)));
        let bindings = pipeline::bind_group(gpu, &pipeline.layout, resources, label);
        let (label, strategy, grid) = (label.clone(), strategy.name, strategy.grid);
        let parameters = Some(parameters);
        let bindings = vec![(0, bindings)];
        Ok(Self { label, strategy, pipeline, bindings, grid, parameters, immediates: vec![] })
    }

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

/// A recording compiled for one device, which can be run any number of times.
pub struct Program {
    pub(in crate::gpu) steps: Vec<Step>,
}

/// Memory that the host can map, for the results of several runs: see
/// [`Submission`](super::submission::Submission).
pub struct Readback {
    pub(in crate::gpu) buffer: wgpu::Buffer,
    pub(in crate::gpu) slot_bytes: u64,
}

impl Readback {
    /// Creates slots for the words of the uniform tensor `tensor` after each of `runs` runs.
    pub fn new(gpu: &Gpu, tensor: &Tensor, runs: usize) -> Self {
        let slot_bytes = tensor.data_bytes();
        use wgpu::BufferUsages as Usage;
        let size = slot_bytes * runs as u64;
        Self {
            buffer: buffer(gpu, "readback", size, Usage::MAP_READ | Usage::COPY_DST),
            slot_bytes,
        }
    }
}

/// The uniform blocks of the parameters of calls, one after the other in one buffer.
pub(in crate::gpu) struct Parameters<'a> {
    buffer: wgpu::Buffer,
    entries: &'a [Entry],
}

impl<'a> Parameters<'a> {
    /// Uploads the parameters of the calls, each followed by the words that `behind` returns.
    pub fn upload(gpu: &Gpu, entries: &'a [Entry], behind: impl Fn(&Entry) -> Vec<u32>) -> Self {
        let mut bytes = Vec::with_capacity(entries.len() * PARAMETER_STRIDE);
        for (index, entry) in entries.iter().enumerate() {
            for parameter in entry.kernel.parameters() {
                bytes.extend_from_slice(&match parameter {
                    Parameter::U32(_, value) => value.to_le_bytes(),
                    Parameter::F32(_, value) => value.to_le_bytes(),
                });
            }
            bytes.extend_from_slice(bytemuck::cast_slice(&behind(entry)));
            let end = (index + 1) * PARAMETER_STRIDE;
            assert!(bytes.len() <= end, "{}: too many parameters", entry.label);
            bytes.resize(end, 0);
        }
        use wgpu::BufferUsages as Usage;
        let size = bytes.len().max(PARAMETER_STRIDE) as u64;
        let buffer = buffer(gpu, "parameters", size, Usage::UNIFORM | Usage::COPY_DST);
        gpu.queue.write_buffer(&buffer, 0, &bytes);
        Self { buffer, entries }
    }

    /// The block of call number `index`, with the size of its shader's struct.
    pub fn of(&self, index: usize) -> Block {
        let words = self.entries[index].kernel.parameters().len().next_multiple_of(4);
        self.block(index, 4 * words)
    }

    /// `bytes` bytes starting at the block of call number `index`.
    pub fn block(&self, index: usize, bytes: usize) -> Block {
        let start = (index * PARAMETER_STRIDE) as u64;
        Block { buffer: self.buffer.clone(), range: start..start + bytes as u64 }
    }
}

impl Program {
    /// Compiles the kernels that are not compiled yet and binds the operands. Each call is one
    /// dispatch with the kernel's first strategy that is not quarantined.
    ///
    /// # Errors
    /// When a kernel does not compile; the message names it.
    pub fn compile(gpu: &Gpu, recording: &Recording) -> Result<Self> {
        Self::compile_entries(gpu, recording.entries(), |strategies| strategies.swap_remove(0))
    }

    /// Compiles calls, each as one dispatch, with a choice among [`Gpu::strategies`].
    ///
    /// # Errors
    /// When a kernel does not compile; the message names it.
    pub fn compile_entries(
        gpu: &Gpu,
        entries: &[Entry],
        choose: impl Fn(&mut Vec<Strategy>) -> Strategy,
    ) -> Result<Self> {
        let parameters = Parameters::upload(gpu, entries, |_| vec![]);
        let mut steps = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let strategy = choose(&mut gpu.strategies(&*entry.kernel)?);
            steps.push(Step::of(gpu, entry, &strategy, parameters.of(index))?);
        }
        gpu.check()?;
        Ok(Self { steps })
    }

    /// Number of dispatches in a run.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Label and strategy name of each dispatch.
    pub fn describe(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.steps.iter().map(|step| (step.label.as_str(), step.strategy))
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

    /// Uses each pipeline once without effect and waits, because some drivers compile at the first
    /// use. The program's tensors are not touched.
    ///
    /// # Errors
    /// When the device fails.
    pub fn warm_up(&self, gpu: &Gpu) -> Result<()> {
        let steps = self.steps.iter().map(|step| (&*step.pipeline, step.parameters.as_ref()));
        warm_up::run(gpu, steps.map(|(pipeline, block)| (pipeline, block.map(Block::binding))))
    }
}
