//! Describes a tensor to be created, and the allocators that create it.

use super::tensor::{Device, Element, Room, Storage, Tensor, buffer, texels, uniform_texels};
use crate::gpu::adapter::storage::StorageKind;
use crate::gpu::device::device::Gpu;
use crate::gpu::device::textures::{Made, TEXEL_BYTES, TEXTURE_WIDTH, described};
use crate::{Error, Result};
use std::sync::Arc;

/// Who writes a tensor's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Kernels, and optionally the host.
    Kernels,
    /// Only the host, as for weights and tables.
    Host,
}

/// Where a tensor is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where the adapter reads fastest.
    Preferred,
    Given(StorageKind),
    /// In a buffer that shaders read as a uniform.
    Uniform,
}

/// The description of a tensor to create: label, shape (slowest axis first, the last one a multiple
/// of 4 numbers) and kind of number. By default it is zeroed, writable by kernels, and stored as
/// the adapter reads fastest.
#[derive(Debug, Clone, Copy)]
pub struct TensorSpec<'a> {
    pub(in crate::gpu) label: &'a str,
    pub(in crate::gpu) shape: &'a [usize],
    pub(in crate::gpu) element: Element,
    pub(in crate::gpu) writer: Writer,
    pub(in crate::gpu) initial: Option<&'a [u8]>,
    place: Place,
}

impl<'a> TensorSpec<'a> {
    /// A zeroed tensor that kernels write.
    pub fn new(label: &'a str, shape: &'a [usize], element: Element) -> Self {
        let (writer, place) = (Writer::Kernels, Place::Preferred);
        Self { label, shape, element, writer, initial: None, place }
    }

    /// Makes it read-only for kernels; the host fills it.
    pub fn read_only(self) -> Self {
        Self { writer: Writer::Host, ..self }
    }

    /// Stores it as `kind`, whatever the adapter prefers.
    pub fn stored_as(self, kind: StorageKind) -> Self {
        Self { place: Place::Given(kind), ..self }
    }

    /// Makes it a buffer that shaders read as a uniform and may write as storage.
    pub(super) fn uniform(self) -> Self {
        Self { place: Place::Uniform, ..self }
    }

    /// Fills it with these bytes, of which the host keeps a copy for the references.
    pub(super) fn filled(self, bytes: &'a [u8]) -> Self {
        Self { initial: Some(bytes), ..self }
    }

    /// Creates the tensor.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    pub fn make(&self, allocator: &(impl Allocator + ?Sized)) -> Result<Tensor> {
        let tensor = allocator.tensor(self)?;
        if let (Some(gpu), Some(bytes)) = (allocator.gpu(), self.initial) {
            tensor.write(gpu, 0, bytes);
        }
        Ok(tensor)
    }

    /// Number of 16-byte texels.
    pub(in crate::gpu) fn texels(&self) -> Result<u64> {
        texels(self.label, self.shape, self.element)
    }

    /// Whether `gpu` stores it as a texture.
    pub(in crate::gpu) fn is_texture(&self, gpu: &Gpu) -> bool {
        match self.place {
            Place::Preferred => gpu.capabilities().storage == StorageKind::Texture,
            Place::Given(kind) => kind == StorageKind::Texture,
            Place::Uniform => false,
        }
    }

    /// Refuses a tensor that `gpu` cannot bind.
    pub(in crate::gpu) fn check(&self, gpu: &Gpu) -> Result<()> {
        let limits = gpu.capabilities();
        let largest =
            if self.is_texture(gpu) { limits.max_texture_bytes } else { limits.max_binding_bytes };
        let (texels, largest) = (self.texels()?, largest / TEXEL_BYTES);
        if texels <= largest {
            return Ok(());
        }
        Err(Error::Device(format!(
            "{} takes {} MiB, but {} binds at most {} MiB at once",
            self.label,
            (texels * TEXEL_BYTES) >> 20,
            gpu.report().name,
            (largest * TEXEL_BYTES) >> 20,
        )))
    }
}

/// Creates tensors: a [`Device`], which allocates each separately, or a [`Pool`](crate::gpu::Pool).
pub trait Allocator: Sync {
    /// The adapter that holds the memory; `None` if tensors are only on the host.
    fn gpu(&self) -> Option<&Gpu>;

    /// Creates a tensor; its initial contents are not uploaded yet.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    fn tensor(&self, spec: &TensorSpec<'_>) -> Result<Tensor>;
}

impl Allocator for Gpu {
    fn gpu(&self) -> Option<&Gpu> {
        Some(self)
    }

    fn tensor(&self, spec: &TensorSpec<'_>) -> Result<Tensor> {
        if spec.place == Place::Uniform {
            use wgpu::BufferUsages as Usage;
            let usage = Usage::UNIFORM | Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
            let bytes = uniform_texels(spec.texels()?) * TEXEL_BYTES;
            let storage = Storage::Uniform(buffer(self, spec.label, bytes, usage));
            return Ok(Tensor::of(spec, Room::plain(storage)));
        }
        spec.check(self)?;
        let texels = spec.texels()?;
        if !spec.is_texture(self) {
            use wgpu::BufferUsages as Usage;
            let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
            let storage = Storage::Buffer(buffer(self, spec.label, texels * TEXEL_BYTES, usage));
            return Ok(Tensor::of(spec, Room::plain(storage)));
        }
        // A tensor smaller than a row gets short rows, because the others would only take memory.
        let width = (texels.next_power_of_two().max(64) as u32).min(TEXTURE_WIDTH);
        let texture = described(spec.label, width, self.textures.rows(texels));
        // A tensor whose storage was requested explicitly gets exactly that.
        let shares = spec.writer == Writer::Kernels && spec.place == Place::Preferred;
        let made = if shares {
            self.textures.written(self, &texture)
        } else {
            Made { texture: self.device.create_texture(&texture), buffer: None }
        };
        Ok(Tensor::of(spec, Room::texture(made)))
    }
}

impl Allocator for Arc<Gpu> {
    fn gpu(&self) -> Option<&Gpu> {
        Some(self)
    }

    fn tensor(&self, spec: &TensorSpec<'_>) -> Result<Tensor> {
        (**self).tensor(spec)
    }
}

impl Allocator for Device {
    fn gpu(&self) -> Option<&Gpu> {
        match self {
            Self::Gpu(gpu) => Some(gpu),
            Self::Reference => None,
        }
    }

    fn tensor(&self, spec: &TensorSpec<'_>) -> Result<Tensor> {
        match self {
            Self::Gpu(gpu) => gpu.tensor(spec),
            Self::Reference => Ok(Tensor::of(spec, Room::plain(Storage::Host))),
        }
    }
}
