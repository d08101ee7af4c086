//! A recording compiled for a device: pipelines and bind groups made once, encoded again for every run.

use super::device::{Gpu, lock};
use super::kernel::{Access, Kernel, Operand, Parameter, Strategy};
use super::recording::{Entry, Recording};
use super::shader;
use super::tensor::{Storage, Tensor};
use super::transfer::map_words;
use crate::{Error, Result};
use std::sync::Arc;

/// A compiled strategy.
pub struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

pub(super) struct Step {
    pub(super) label: String,
    pub(super) strategy: &'static str,
    pub(super) pipeline: Arc<Pipeline>,
    /// By their group.
    pub(super) bindings: Vec<(u32, wgpu::BindGroup)>,
    pub(super) grid: [u32; 3],
}

impl Step {
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        if !self.grid.contains(&0) {
            pass.set_pipeline(&self.pipeline.pipeline);
            for (group, bindings) in &self.bindings {
                pass.set_bind_group(*group, bindings, &[]);
            }
            pass.dispatch_workgroups(self.grid[0], self.grid[1], self.grid[2]);
        }
    }
}

/// A recording ready to run on one device, as often as wanted.
pub struct Program {
    pub(super) steps: Vec<Step>,
}

/// Memory that the host can map, for what comes back each run.
pub struct Readback {
    buffer: wgpu::Buffer,
    slot_bytes: u64,
}

impl Readback {
    /// Room for `slots` runs of `tensor`, a uniform tensor.
    pub fn new(gpu: &Gpu, tensor: &Tensor, slots: usize) -> Self {
        let slot_bytes = tensor.data_bytes();
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: slot_bytes * slots as u64,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { buffer, slot_bytes }
    }
}

/// Offsets of uniform bindings are multiples of this on every adapter.
const PARAMETER_STRIDE: usize = 256;

impl Program {
    /// Compiles what is not compiled yet and binds the operands, taking each kernel's first strategy that is not
    /// quarantined.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn compile(gpu: &Gpu, recording: &Recording) -> Result<Self> {
        Self::compile_entries(gpu, recording.entries(), |strategies| strategies.swap_remove(0))
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
        let mut bytes = Vec::with_capacity(entries.len() * PARAMETER_STRIDE);
        for entry in entries {
            for parameter in entry.kernel.parameters() {
                bytes.extend_from_slice(&match parameter {
                    Parameter::U32(_, value) => value.to_le_bytes(),
                    Parameter::F32(_, value) => value.to_le_bytes(),
                });
            }
            bytes.resize(bytes.len().next_multiple_of(PARAMETER_STRIDE), 0);
        }
        let parameters = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: bytes.len().max(PARAMETER_STRIDE) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&parameters, 0, &bytes);

        let mut steps = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let kernel = &*entry.kernel;
            let strategy = choose(&mut gpu.strategies(kernel)?);
            let pipeline = pipeline(gpu, kernel, &strategy)?;
            let words = kernel.parameters().len().next_multiple_of(4);
            let parameters = wgpu::BufferBinding {
                buffer: &parameters,
                offset: (index * PARAMETER_STRIDE) as u64,
                size: std::num::NonZeroU64::new(4 * words as u64),
            };
            let bindings = bind(gpu, &pipeline.layout, kernel, parameters, &entry.label);
            let grid = strategy.grid;
            steps.push(Step {
                label: entry.label.clone(),
                strategy: strategy.name,
                pipeline,
                bindings: vec![(0, bindings)],
                grid,
            });
        }
        gpu.check()?;
        Ok(Self { steps })
    }

    /// Dispatches a run takes.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Label and strategy of each dispatch.
    pub fn describe(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.steps.iter().map(|step| (step.label.as_str(), step.strategy))
    }

    fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for step in &self.steps {
            step.encode(&mut pass);
        }
    }

    /// Runs once with a timestamp before and after each dispatch and gives the seconds each took. Dispatches cannot
    /// overlap then; where the adapter has no timestamps, each is submitted alone and timed from the host.
    ///
    /// # Errors
    /// When the device fails.
    pub fn profile(&self, gpu: &Gpu) -> Result<Vec<f64>> {
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return self.profile_from_host(gpu);
        }
        let mut seconds = Vec::with_capacity(self.steps.len());
        for steps in self.steps.chunks(wgpu::QUERY_SET_MAX_QUERIES as usize / 2) {
            let count = 2 * steps.len() as u32;
            let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("profile"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let size = 8 * u64::from(count);
            let buffer = |usage| {
                gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("profile"),
                    size,
                    usage,
                    mapped_at_creation: false,
                })
            };
            let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            for (index, step) in steps.iter().enumerate() {
                let first = 2 * index as u32;
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(&step.label),
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &queries,
                        beginning_of_pass_write_index: Some(first),
                        end_of_pass_write_index: Some(first + 1),
                    }),
                });
                step.encode(&mut pass);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, Some(size));
            gpu.queue.submit([encoder.finish()]);
            let words = map_words(gpu, &staging)?;
            let ticks = |at: usize| u64::from(words[2 * at]) | u64::from(words[2 * at + 1]) << 32;
            let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
            seconds.extend(
                (0..steps.len()).map(|at| ticks(2 * at + 1).saturating_sub(ticks(2 * at)) as f64 * period),
            );
        }
        Ok(seconds)
    }

    fn profile_from_host(&self, gpu: &Gpu) -> Result<Vec<f64>> {
        let mut seconds = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            step.encode(&mut encoder.begin_compute_pass(&Default::default()));
            let start = std::time::Instant::now();
            gpu.queue.submit([encoder.finish()]);
            gpu.wait()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(seconds)
    }

    /// Submits one run without waiting.
    pub fn run(&self, gpu: &Gpu) {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder);
        gpu.queue.submit([encoder.finish()]);
    }

    /// Submits `runs` runs at once, copying the uniform tensor `result` out after each, and waits for all.
    /// Gives the words of `result` after each run.
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
    ) -> Result<Vec<Vec<u32>>> {
        let Storage::Uniform(source) = result.storage() else {
            panic!("{} is not a uniform tensor", result.label())
        };
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for run in 0..runs as u64 {
            self.encode(&mut encoder);
            let slot = run * readback.slot_bytes;
            encoder.copy_buffer_to_buffer(source, 0, &readback.buffer, slot, readback.slot_bytes);
        }
        gpu.queue.submit([encoder.finish()]);
        let words = map_words(gpu, &readback.buffer)?;
        let slot_words = readback.slot_bytes as usize / 4;
        Ok(words.chunks(slot_words).take(runs).map(<[u32]>::to_vec).collect())
    }
}

fn pipeline(gpu: &Gpu, kernel: &dyn Kernel, strategy: &Strategy) -> Result<Arc<Pipeline>> {
    let key = shader::signature(kernel, strategy);
    if let Some(known) = lock(&gpu.pipelines).get(&key) {
        return Ok(Arc::clone(known));
    }
    let source = shader::render(kernel, strategy)?;
    log::debug!("compiling {} for {}", strategy.name, kernel.name());
    log::trace!("{source}");
    let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let module = gpu.shader_module(strategy.name, &source);
    let entries: Vec<_> = layout_entries(&kernel.operands());
    let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(strategy.name),
        entries: &entries,
    });
    let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(strategy.name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(strategy.name),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(strategy.entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            // No shader here reads workgroup memory that it did not write.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    if let Some(error) = pollster::block_on(scope.pop()) {
        let kernel = format!("{} ({})", kernel.name(), strategy.name);
        return Err(Error::Kernel { kernel, message: error.to_string() });
    }
    let made = Arc::new(Pipeline { pipeline, layout });
    lock(&gpu.pipelines).insert(key, Arc::clone(&made));
    Ok(made)
}

fn layout_entries(operands: &[Operand]) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding: usize, ty| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: None,
    };
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let present = operands.iter().filter_map(|operand| Some((operand.tensor.as_ref()?, operand.access)));
    let kinds = present.map(|(tensor, access)| match tensor.storage() {
        Storage::Texture(..) => wgpu::BindingType::StorageTexture {
            access: match access {
                Access::Read => wgpu::StorageTextureAccess::ReadOnly,
                Access::Write => wgpu::StorageTextureAccess::WriteOnly,
                Access::ReadWrite => wgpu::StorageTextureAccess::ReadWrite,
            },
            format: wgpu::TextureFormat::Rgba32Uint,
            view_dimension: wgpu::TextureViewDimension::D2,
        },
        Storage::Uniform(_) if access == Access::Read => buffer(wgpu::BufferBindingType::Uniform),
        _ => buffer(wgpu::BufferBindingType::Storage { read_only: access == Access::Read }),
    });
    let parameters = buffer(wgpu::BufferBindingType::Uniform);
    std::iter::once(parameters).chain(kinds).enumerate().map(|(at, ty)| entry(at, ty)).collect()
}

#[track_caller]
fn bind(
    gpu: &Gpu,
    layout: &wgpu::BindGroupLayout,
    kernel: &dyn Kernel,
    parameters: wgpu::BufferBinding<'_>,
    label: &str,
) -> wgpu::BindGroup {
    let operands = kernel.operands();
    let mut entries =
        vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(parameters) }];
    for tensor in operands.iter().filter_map(|operand| operand.tensor.as_ref()) {
        let resource = match tensor.storage() {
            Storage::Host => panic!("{label}: {} is not on the device", tensor.label()),
            Storage::Buffer(buffer) | Storage::Uniform(buffer) => buffer.as_entire_binding(),
            Storage::Texture(_, view) => wgpu::BindingResource::TextureView(view),
        };
        entries.push(wgpu::BindGroupEntry { binding: entries.len() as u32, resource });
    }
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(label), layout, entries: &entries })
}
