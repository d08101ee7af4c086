//! Makes a driver compile in advance what it otherwise compiles when a pipeline is first used.
//!
//! Lavapipe generates machine code at the first dispatch, for the textures bound then, and its
//! compiler takes tens of MiB in the meantime. A dispatch of no workgroups, bound to small
//! stand-ins, triggers it before the weights take the memory. The parameters are those of the real
//! step: lavapipe specialises a shader for the parameters that bound its loops, and compiles again
//! when they change.

use crate::Result;
use crate::gpu::adapter::storage::StorageKind;
use crate::gpu::device::device::Gpu;
use crate::gpu::device::pipeline::{self, Pipeline};
use crate::gpu::kernel::binding;
use crate::gpu::tensor::allocator::TensorSpec;
use crate::gpu::tensor::tensor::Element;
use crate::gpu::tensor::tensor::{Tensor, buffer};

/// Small resources for pipelines that compute nothing. No pipeline both reads and writes one of
/// them.
struct StandIns {
    read: wgpu::Buffer,
    written: wgpu::Buffer,
    read_texture: Tensor,
    written_texture: Tensor,
}

impl StandIns {
    /// Creates stand-ins: a buffer as large as any uniform block, and textures whose sides, like
    /// those of tensors, are not powers of two.
    fn new(gpu: &Gpu) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let size = gpu.device.limits().max_uniform_buffer_binding_size.min(1 << 16);
        let texture = |label| {
            TensorSpec::new(label, &[4], Element::U32).stored_as(StorageKind::Texture).make(gpu)
        };
        Ok(Self {
            read: buffer(gpu, "read in a warm_up", size, Usage::UNIFORM | Usage::STORAGE),
            written: buffer(gpu, "written in a warm_up", size, Usage::STORAGE),
            read_texture: texture("read in a warm_up")?,
            written_texture: texture("written in a warm_up")?,
        })
    }

    fn of(&self, kind: &wgpu::BindingType) -> wgpu::BindingResource<'_> {
        use wgpu::{BindingType, BufferBindingType, StorageTextureAccess};
        match kind {
            BindingType::StorageTexture { access: StorageTextureAccess::ReadOnly, .. } => {
                binding::resource(&self.read_texture, "warm_up")
            }
            BindingType::StorageTexture { .. } => {
                binding::resource(&self.written_texture, "warm_up")
            }
            BindingType::Buffer { ty: BufferBindingType::Storage { read_only: false }, .. } => {
                self.written.as_entire_binding()
            }
            _ => self.read.as_entire_binding(),
        }
    }

    /// Binds stand-ins to a pipeline; `parameters` become the first uniform buffer.
    fn bind(
        &self,
        gpu: &Gpu,
        pipeline: &Pipeline,
        mut parameters: Option<wgpu::BindingResource<'_>>,
    ) -> wgpu::BindGroup {
        let mut resources = Vec::with_capacity(pipeline.kinds.len());
        for kind in &pipeline.kinds {
            let own = parameters.take_if(|_| *kind == pipeline::uniform_buffer());
            resources.push(own.unwrap_or_else(|| self.of(kind)));
        }
        pipeline::bind_group(gpu, &pipeline.layout, resources, "warm_up")
    }
}

/// Uses each pipeline without effect, with the given parameters of a step, and waits.
///
/// # Errors
/// When the device fails.
pub(in crate::gpu) fn run<'a>(
    gpu: &Gpu,
    steps: impl Iterator<Item = (&'a Pipeline, Option<wgpu::BindingResource<'a>>)>,
) -> Result<()> {
    if !gpu.capabilities().software {
        return Ok(());
    }
    let stand_ins = StandIns::new(gpu)?;
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    for (pipeline, parameters) in steps {
        // Programs share pipelines, and a driver compiles each only once.
        if pipeline.is_first_rehearsal() {
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &stand_ins.bind(gpu, pipeline, parameters), &[]);
            pass.dispatch_workgroups(0, 0, 0);
        }
    }
    drop(pass);
    gpu.queue.submit([encoder.finish()]);
    gpu.wait()
}
