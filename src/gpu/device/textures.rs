//! How storage textures are created; lavapipe has an implementation of its own.

use super::device::Gpu;

/// Texels in a row of a texture with several rows: texel i is at (i mod width, i / width).
pub(in crate::gpu) const TEXTURE_WIDTH: u32 = 1024;
pub(in crate::gpu) const TEXEL_BYTES: u64 = 16;

/// A texture, and a buffer over the same memory if there is one. Kernels read the texture and write
/// the buffer.
pub(in crate::gpu) struct Made {
    pub texture: wgpu::Texture,
    pub buffer: Option<wgpu::Buffer>,
}

/// How the storage textures of an adapter are created; the default methods follow WebGPU.
pub(in crate::gpu) trait Textures: Send + Sync {
    /// The number of rows of a texture that holds `texels` texels.
    fn rows(&self, texels: u64) -> u32 {
        texels.div_ceil(u64::from(TEXTURE_WIDTH)).max(1) as u32
    }

    /// Whether writable textures have a buffer over the same memory, so that a kernel may write a
    /// tensor that it reads.
    fn share_memory(&self) -> bool {
        false
    }

    /// Creates a texture that kernels write.
    fn written(&self, gpu: &Gpu, texture: &wgpu::TextureDescriptor<'_>) -> Made {
        Made { texture: gpu.device.create_texture(texture), buffer: None }
    }
}

/// Textures as WebGPU creates them.
pub(in crate::gpu) struct PlainTextures;

impl Textures for PlainTextures {}

/// The descriptor of a texture for tensors.
pub(in crate::gpu) fn described(
    label: &str,
    width: u32,
    height: u32,
) -> wgpu::TextureDescriptor<'_> {
    use wgpu::TextureUsages as Usage;
    wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Uint,
        usage: Usage::STORAGE_BINDING | Usage::COPY_SRC | Usage::COPY_DST,
        view_formats: &[],
    }
}
