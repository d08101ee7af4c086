//! Having a driver compile what it otherwise compiles when a pipeline is first used.
//!
//! Lavapipe makes machine code at the first dispatch, for the textures that are bound then, and its
//! compiler takes tens of MiB meanwhile. A dispatch of no workgroups is enough for it, bound to
//! small stand-ins; so that can be over before the weights take the same memory. The parameters are
//! the step's own: lavapipe tries what a shader becomes when those that bound its loops are
//! constants, and compiles it again when they change.

use crate::Result;
use crate::gpu::Element;
use crate::gpu::device::device::Gpu;
use crate::gpu::kernel::pipeline;
use crate::gpu::recording::program::{Program, Step};
use crate::gpu::tensor::tensor::{StorageKind, Tensor, buffer};

/// What pipelines are bound to that compute nothing: nothing is both read and written by one of
/// them.
struct StandIns {
    read: wgpu::Buffer,
    written: wgpu::Buffer,
    read_texture: Tensor,
    written_texture: Tensor,
}

impl StandIns {
    /// As large as any uniform block; textures are as wide and as little powers of two as tensors
    /// are.
    fn new(gpu: &Gpu) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let size = gpu.device.limits().max_uniform_buffer_binding_size.min(1 << 16);
        let texture = |label| Tensor::stored(gpu, StorageKind::Texture, label, &[4], Element::U32);
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
                pipeline::resource(&self.read_texture, "warm_up")
            }
            BindingType::StorageTexture { .. } => {
                pipeline::resource(&self.written_texture, "warm_up")
            }
            BindingType::Buffer { ty: BufferBindingType::Storage { read_only: false }, .. } => {
                self.written.as_entire_binding()
            }
            _ => self.read.as_entire_binding(),
        }
    }

    fn bind(&self, gpu: &Gpu, step: &Step) -> wgpu::BindGroup {
        // The first uniform buffer is `p`, in chains too.
        let mut parameters = step.parameters.as_ref();
        let resource = |kind: &wgpu::BindingType| match parameters
            .take_if(|_| *kind == pipeline::uniform_buffer())
        {
            Some(block) => block.binding(),
            None => self.of(kind),
        };
        let resources = step.pipeline.kinds.iter().map(resource).collect();
        pipeline::bind_group(gpu, &step.pipeline.layout, resources, "warm_up")
    }
}

impl Program {
    /// Uses each pipeline for nothing, where drivers compile at the first use, and waits for that.
    /// Nothing that the program is bound to is touched.
    ///
    /// # Errors
    /// When the device fails.
    pub fn warm_up(&self, gpu: &Gpu) -> Result<()> {
        if !gpu.capabilities().software {
            return Ok(());
        }
        let stand_ins = StandIns::new(gpu)?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for step in &self.steps {
            // Programs share pipelines, and a driver compiles each once.
            if step.pipeline.is_first_rehearsal() {
                pass.set_pipeline(&step.pipeline.pipeline);
                pass.set_bind_group(0, &stand_ins.bind(gpu, step), &[]);
                pass.dispatch_workgroups(0, 0, 0);
            }
        }
        drop(pass);
        gpu.queue.submit([encoder.finish()]);
        gpu.wait()
    }
}
