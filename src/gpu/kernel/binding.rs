//! Which handle of a tensor a kernel binds, and with which access.

use super::kernel::{Access, Kernel, Operand};
use crate::gpu::device::pipeline::{storage_buffer, uniform_buffer};
use crate::gpu::tensor::tensor::{Storage, Tensor};

/// The operands of a kernel as they are bound: written tensors by their handle for writing.
///
/// # Panics
/// If the kernel reads and writes one tensor, which few adapters can bind.
pub(in crate::gpu) fn bound(kernel: &dyn Kernel) -> Vec<Operand> {
    let mut operands = kernel.operands();
    let of = |access| {
        let tensors = operands.iter().filter(move |operand| operand.access == access);
        tensors.filter_map(|operand| operand.tensor.as_ref())
    };
    if let Some(tensor) =
        of(Access::Write).find(|&written| of(Access::Read).any(|read| read.is(written)))
    {
        panic!("{} reads and writes {}", kernel.name(), tensor.label());
    }
    for operand in operands.iter_mut().filter(|operand| operand.access == Access::Write) {
        operand.tensor = operand.tensor.take().map(|tensor| tensor.written().clone());
    }
    operands
}

pub(in crate::gpu) fn binding_type(tensor: &Tensor, access: Access) -> wgpu::BindingType {
    match tensor.storage() {
        Storage::Texture(..) => wgpu::BindingType::StorageTexture {
            access: match access {
                Access::Read => wgpu::StorageTextureAccess::ReadOnly,
                Access::Write => wgpu::StorageTextureAccess::WriteOnly,
                Access::ReadWrite => wgpu::StorageTextureAccess::ReadWrite,
            },
            format: wgpu::TextureFormat::Rgba32Uint,
            view_dimension: wgpu::TextureViewDimension::D2,
        },
        Storage::Uniform(_) if access == Access::Read => uniform_buffer(),
        _ => storage_buffer(access == Access::Read),
    }
}

#[track_caller]
pub(in crate::gpu) fn resource<'a>(tensor: &'a Tensor, label: &str) -> wgpu::BindingResource<'a> {
    match tensor.storage() {
        Storage::Host => panic!("{label}: {} is not on the device", tensor.label()),
        Storage::Buffer(buffer) | Storage::Uniform(buffer) => buffer.as_entire_binding(),
        Storage::Texture(_, view) => wgpu::BindingResource::TextureView(view),
    }
}
