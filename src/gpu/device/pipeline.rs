//! Compiled pipelines, cached by the signature of their text, and their bind groups.

use super::device::{Gpu, lock};
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes between the parameters of two calls: every adapter accepts uniform-binding offsets that
/// are multiples of this.
pub(in crate::gpu) const PARAMETER_STRIDE: usize = 256;

/// A compiled shader with the layout of its group 0.
pub struct Pipeline {
    pub(in crate::gpu) pipeline: wgpu::ComputePipeline,
    pub(in crate::gpu) layout: wgpu::BindGroupLayout,
    /// The kinds of bindings in group 0.
    pub(in crate::gpu) kinds: Vec<wgpu::BindingType>,
    rehearsed: AtomicBool,
}

impl Pipeline {
    pub(in crate::gpu) fn new(
        pipeline: wgpu::ComputePipeline,
        layout: wgpu::BindGroupLayout,
        kinds: &[wgpu::BindingType],
    ) -> Self {
        Self { pipeline, layout, kinds: kinds.into(), rehearsed: AtomicBool::new(false) }
    }

    /// Whether this is the first request to warm up the pipeline.
    pub(in crate::gpu) fn is_first_rehearsal(&self) -> bool {
        !self.rehearsed.swap(true, Ordering::Relaxed)
    }
}

/// The pipeline for a shader text with the bindings of group 0, compiled once for each `signature`.
/// A text that `is_own` runs without bounds and loop checks, unless the device was opened to check
/// all.
pub(in crate::gpu) fn of(
    gpu: &Gpu,
    label: &str,
    entry_point: &str,
    signature: &str,
    kinds: &[wgpu::BindingType],
    is_own: bool,
    render: impl Fn() -> Result<String>,
) -> Result<Arc<Pipeline>> {
    if let Some(known) = lock(&gpu.pipelines).get(signature) {
        return Ok(Arc::clone(known));
    }
    let source = render()?;
    log::debug!("compiling {label}");
    log::trace!("{source}");
    let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let module = gpu.shader_module(label, &source, is_own);
    let entries: Vec<_> = (0..)
        .zip(kinds)
        .map(|(binding, &ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        })
        .collect();
    let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(label),
        entries: &entries,
    });
    let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(entry_point),
        compilation_options: wgpu::PipelineCompilationOptions {
            // No shader of this crate reads workgroup memory that it did not write.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    if let Some(error) = pollster::block_on(scope.pop()) {
        return Err(Error::Kernel { kernel: label.into(), message: error.to_string() });
    }
    let made = Arc::new(Pipeline::new(pipeline, layout, kinds));
    lock(&gpu.pipelines).insert(signature.into(), Arc::clone(&made));
    Ok(made)
}

fn buffer_type(ty: wgpu::BufferBindingType) -> wgpu::BindingType {
    wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None }
}

pub(in crate::gpu) fn uniform_buffer() -> wgpu::BindingType {
    buffer_type(wgpu::BufferBindingType::Uniform)
}

pub(in crate::gpu) fn storage_buffer(read_only: bool) -> wgpu::BindingType {
    buffer_type(wgpu::BufferBindingType::Storage { read_only })
}

pub(in crate::gpu) fn bind_group(
    gpu: &Gpu,
    layout: &wgpu::BindGroupLayout,
    resources: Vec<wgpu::BindingResource<'_>>,
    label: &str,
) -> wgpu::BindGroup {
    let entries: Vec<_> = (0..)
        .zip(resources)
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
        .collect();
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(label),
        layout,
        entries: &entries,
    })
}
