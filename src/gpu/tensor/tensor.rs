//! A tensor: shape, element kind and storage, shared by reference.
//!
//! Both storages hold texels of 16 bytes, so that a shader reads and writes four numbers at a time
//! through `load_x(i)` and `store_x(i, v)` and never names the storage.

use super::allocator::{Allocator, TensorSpec};
use crate::gpu::adapter::storage::StorageKind;
use crate::gpu::device::device::Gpu;
use crate::gpu::device::textures::{Made, TEXEL_BYTES};
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers in a texel of 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// `vec4<f32>`: four floats.
    F32,
    /// `vec4<u32>`: four ids, or packed weights.
    U32,
    /// `vec4<u32>` of eight half-precision numbers, as `pack2x16float` makes them.
    F16,
    /// `vec4<u32>` of sixteen bytes. The shape ends with [R, S, 16]: of the R texels, S apart, the
    /// first one holds halves, each the scale of 32 signed bytes in those that follow.
    Q8,
}

impl Element {
    /// Numbers in a texel of 16 bytes.
    pub fn per_texel(self) -> usize {
        match self {
            Element::F32 | Element::U32 => 4,
            Element::F16 => 8,
            Element::Q8 => 16,
        }
    }
}

/// Where new tensors are created and kernels run.
#[derive(Clone)]
pub enum Device {
    /// On an adapter.
    Gpu(Arc<Gpu>),
    /// Only in [`crate::gpu::HostMemory`], for runs through the references without an adapter.
    Reference,
}

impl Device {
    /// The name of the adapter, or of the references.
    pub fn name(&self) -> &str {
        match self {
            Self::Gpu(gpu) => &gpu.report().name,
            Self::Reference => "CPU references",
        }
    }
}

pub(in crate::gpu) enum Storage {
    Host,
    Buffer(wgpu::Buffer),
    Uniform(wgpu::Buffer),
    Texture(wgpu::Texture, wgpu::TextureView),
}

struct Inner {
    id: u64,
    label: String,
    shape: Vec<usize>,
    element: Element,
    storage: Storage,
    /// The handle that kernels write through, if it is another storage of the same memory.
    written: Option<Tensor>,
    /// The tensor that covers the memory of its pool, and the first row in it.
    span: Option<(Tensor, u32)>,
    initial: Option<Vec<u8>>,
}

impl Inner {
    fn new(label: &str, shape: &[usize], element: Element, storage: Storage) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (label, shape) = (label.into(), shape.into());
        Self { id, label, shape, element, storage, written: None, span: None, initial: None }
    }
}

/// A handle to a tensor; clones share the memory.
#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Tensor {
    /// A zeroed tensor of `shape` (slowest axis first, the last one a multiple of 4 numbers) that
    /// kernels write. [`TensorSpec`] has what else a tensor may be.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    pub fn zeros(
        allocator: &(impl Allocator + ?Sized),
        label: &str,
        shape: &[usize],
        element: Element,
    ) -> Result<Self> {
        TensorSpec::new(label, shape, element).make(allocator)
    }

    /// A constant f32 tensor. The host keeps a copy for the references.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    #[track_caller]
    pub fn constant(
        allocator: &(impl Allocator + ?Sized),
        label: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<Self> {
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "{label}: values do not fill {shape:?}"
        );
        let bytes = bytemuck::cast_slice(values);
        TensorSpec::new(label, shape, Element::F32).read_only().filled(bytes).make(allocator)
    }

    /// A few u32 that every lane reads alike (positions, ids): a buffer that shaders read as a
    /// uniform and may write as storage.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    pub fn uniform(
        allocator: &(impl Allocator + ?Sized),
        label: &str,
        count: usize,
    ) -> Result<Self> {
        TensorSpec::new(label, &[count], Element::U32).uniform().make(allocator)
    }

    /// Creates the tensor that `spec` describes, in `room`.
    pub(in crate::gpu) fn of(spec: &TensorSpec<'_>, room: Room) -> Self {
        let TensorSpec { label, shape, element, .. } = *spec;
        let Room { storage, written, span } = room;
        let made = Inner::new(label, shape, element, storage);
        let written = written.map(|buffer| Inner {
            id: made.id,
            span: span.as_ref().map(|(span, row)| (span.written().clone(), *row)),
            ..Inner::new(label, shape, element, Storage::Buffer(buffer))
        });
        let written = written.map(|written| Self(Arc::new(written)));
        let initial = spec.initial.map(<[u8]>::to_vec);
        Self(Arc::new(Inner { written, span, initial, ..made }))
    }

    /// A tensor for the next value of this one, for a kernel that reads this one and writes that.
    /// It has the same memory and [`Tensor::id`] where the device allows it; else it is in a buffer
    /// if it fits, because copies from buffers are the fastest.
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn successor(&self, allocator: &(impl Allocator + ?Sized)) -> Result<Self> {
        if !self.written().is(self) {
            return Ok(self.written().clone());
        }
        let spec = TensorSpec::new(self.label(), self.shape(), self.element());
        let fits = |gpu: &Gpu| self.bytes() <= gpu.capabilities().max_binding_bytes;
        if allocator.gpu().is_some_and(fits) {
            return spec.stored_as(StorageKind::Buffer).make(allocator);
        }
        spec.make(allocator)
    }

    /// The handle that kernels bind to write this tensor: a different one if it is a texture that
    /// shares its memory with a buffer.
    pub(in crate::gpu) fn written(&self) -> &Self {
        self.0.written.as_ref().unwrap_or(self)
    }

    /// Whether both are clones of one handle, so that a shader binds them once.
    pub(in crate::gpu) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The tensor that covers the memory of this tensor's pool, and this tensor's first row in it.
    pub(in crate::gpu) fn span(&self) -> Option<&(Self, u32)> {
        self.0.span.as_ref()
    }

    /// Identifies the memory; equal for clones and for the handle for writing.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The name shown in errors and listings.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Lengths, slowest axis first.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Length of axis number `axis`.
    #[track_caller]
    pub fn dim(&self, axis: usize) -> usize {
        self.0.shape[axis]
    }

    /// Kind of number.
    pub fn element(&self) -> Element {
        self.0.element
    }

    /// Count of numbers.
    pub fn len(&self) -> usize {
        self.0.shape.iter().product()
    }

    /// Count of 32-bit words that hold the numbers.
    pub fn words(&self) -> usize {
        self.len() * 4 / self.element().per_texel()
    }

    /// Bytes of the numbers, without the padding of the last texel.
    pub fn data_bytes(&self) -> u64 {
        4 * self.words() as u64
    }

    /// Whether it holds no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size on the device in bytes.
    pub fn bytes(&self) -> u64 {
        self.len().div_ceil(self.element().per_texel()) as u64 * TEXEL_BYTES
    }

    /// Length in texels of the array that a shader declares if this is a uniform.
    pub(in crate::gpu) fn uniform_texels(&self) -> u64 {
        uniform_texels(self.bytes() / TEXEL_BYTES)
    }

    pub(in crate::gpu) fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// The bytes of the constant that it was created from.
    pub(in crate::gpu) fn initial(&self) -> Option<&[u8]> {
        self.0.initial.as_deref()
    }
}

pub(super) fn texels(label: &str, shape: &[usize], element: Element) -> Result<u64> {
    let numbers = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n as u64));
    numbers
        .map(|numbers| numbers.div_ceil(element.per_texel() as u64).max(1))
        .ok_or_else(|| Error::Device(format!("{label}: shape {shape:?} overflows")))
}

/// Texels of the buffer of a uniform with `texels` texels, rounded up to a few sizes: the shader's
/// text contains the size, and each text is a pipeline.
pub(super) fn uniform_texels(texels: u64) -> u64 {
    texels.next_multiple_of(64)
}

pub(in crate::gpu) fn buffer(
    gpu: &Gpu,
    label: &str,
    size: u64,
    usage: wgpu::BufferUsages,
) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: false,
    })
}

/// The memory that holds a tensor's texels.
pub(in crate::gpu) struct Room {
    pub storage: Storage,
    /// A buffer over the texels of a texture.
    pub written: Option<wgpu::Buffer>,
    /// The tensor that covers a pool's memory, and the first row in it.
    pub span: Option<(Tensor, u32)>,
}

impl Room {
    pub fn plain(storage: Storage) -> Self {
        Self { storage, written: None, span: None }
    }

    pub fn texture(Made { texture, buffer }: Made) -> Self {
        let view = texture.create_view(&Default::default());
        Self { written: buffer, ..Self::plain(Storage::Texture(texture, view)) }
    }
}
