//! A tensor: shape, element kind and storage, shared by reference.
//!
//! Both storages hold texels of 16 bytes, so that a shader reads and writes four numbers at a time
//! through `load_x(i)` and `store_x(i, v)` and never names the storage.

use crate::gpu::device::device::Gpu;
use crate::gpu::software::alias::{self, Request};
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a texel of 16 bytes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// `vec4<f32>`
    F32,
    /// `vec4<u32>`: ids, or packed weights
    U32,
    /// `vec4<u32>` of eight halves, as `pack2x16float` makes them
    F16,
    /// `vec4<u32>` of sixteen bytes. The shape ends with [R, S, 16]: of the R texels, S apart, the
    /// first one holds halves, each the scale of 32 signed bytes of those that follow.
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

/// Where a tensor's texels live on the device.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// A storage buffer: what GPUs like.
    Buffer,
    /// A storage texture: what software adapters and some mobile GPUs read faster.
    Texture,
}

/// Where new tensors go.
#[derive(Clone)]
pub enum Device {
    /// On an adapter.
    Gpu(Arc<Gpu>),
    /// Nowhere but in [`crate::gpu::HostMemory`]: for runs through the references alone.
    Reference,
}

impl Device {
    /// The name of what computes.
    pub fn name(&self) -> &str {
        match self {
            Self::Gpu(gpu) => &gpu.report().name,
            Self::Reference => "CPU references",
        }
    }
}

/// Texels in the row of a texture with more than one: index i is at (i mod width, i / width).
pub(in crate::gpu) const TEXTURE_WIDTH: u32 = 1024;
pub(in crate::gpu) const TEXEL_BYTES: u64 = 16;

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
    /// The same memory as kernels write it, where that is another storage.
    written: Option<Tensor>,
    /// The arena that it is a part of, and its first row there.
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
    /// A zeroed tensor of `shape` (slowest axis first, the last one a multiple of 4 numbers).
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    pub fn zeros(device: &Device, label: &str, shape: &[usize], element: Element) -> Result<Self> {
        match device {
            Device::Reference => Ok(Self::new(label, shape, element, Storage::Host, None)),
            Device::Gpu(gpu) => {
                Self::made(gpu, gpu.capabilities().storage, label, shape, element, gpu.aliases())
            }
        }
    }

    /// The same that no kernel writes: the host fills it.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    pub fn read_only(
        device: &Device,
        label: &str,
        shape: &[usize],
        element: Element,
    ) -> Result<Self> {
        match device {
            Device::Reference => Ok(Self::new(label, shape, element, Storage::Host, None)),
            Device::Gpu(gpu) => {
                Self::stored(gpu, gpu.capabilities().storage, label, shape, element)
            }
        }
    }

    /// A constant f32 tensor. The host keeps a copy for the references.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    #[track_caller]
    pub fn constant(device: &Device, label: &str, shape: &[usize], values: &[f32]) -> Result<Self> {
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "{label}: values do not fill {shape:?}"
        );
        let bytes = bytemuck::cast_slice::<f32, u8>(values);
        let initial = Some(bytes.to_vec());
        match device {
            Device::Reference => Ok(Self::new(label, shape, Element::F32, Storage::Host, initial)),
            Device::Gpu(gpu) => {
                let texels = texels(label, shape, Element::F32)?;
                let room = allocate(gpu, gpu.capabilities().storage, label, texels, false)?;
                let tensor = Self::of(label, shape, Element::F32, room, initial);
                tensor.write(gpu, 0, bytes);
                Ok(tensor)
            }
        }
    }

    /// A few u32 that every lane reads alike (positions, ids): a buffer that shaders read as a
    /// uniform and may write as storage.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    pub fn uniform(device: &Device, label: &str, count: usize) -> Result<Self> {
        let storage = match device {
            Device::Reference => Storage::Host,
            Device::Gpu(gpu) => {
                use wgpu::BufferUsages as Usage;
                let usage = Usage::UNIFORM | Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
                let texels = uniform_texels(texels(label, &[count], Element::U32)?);
                Storage::Uniform(buffer(gpu, label, texels * TEXEL_BYTES, usage))
            }
        };
        Ok(Self::new(label, &[count], Element::U32, storage, None))
    }

    /// A tensor in a given storage, whatever the adapter prefers. For probes and tests.
    ///
    /// # Errors
    /// When it exceeds what the device can bind.
    pub fn stored(
        gpu: &Gpu,
        kind: StorageKind,
        label: &str,
        shape: &[usize],
        element: Element,
    ) -> Result<Self> {
        Self::made(gpu, kind, label, shape, element, false)
    }

    /// The same; with `alias`, kernels write a texture through a buffer over the same memory where
    /// the two can share it.
    pub(in crate::gpu) fn made(
        gpu: &Gpu,
        kind: StorageKind,
        label: &str,
        shape: &[usize],
        element: Element,
        alias: bool,
    ) -> Result<Self> {
        let room = allocate(gpu, kind, label, texels(label, shape, element)?, alias)?;
        Ok(Self::of(label, shape, element, room, None))
    }

    /// Words in a texture that is there.
    pub(in crate::gpu) fn over(
        label: &str,
        shape: &[usize],
        (texture, buffer): alias::Made,
    ) -> Self {
        Self::of(label, shape, Element::U32, Room::texture(texture, buffer), None)
    }

    fn of(
        label: &str,
        shape: &[usize],
        element: Element,
        room: Room,
        initial: Option<Vec<u8>>,
    ) -> Self {
        let Room { storage, written, span } = room;
        let made = Inner::new(label, shape, element, storage);
        let written = written.map(|buffer| Inner {
            id: made.id,
            span: span.as_ref().map(|(span, row)| (span.written().clone(), *row)),
            ..Inner::new(label, shape, element, Storage::Buffer(buffer))
        });
        let written = written.map(|written| Self(Arc::new(written)));
        Self(Arc::new(Inner { written, span, initial, ..made }))
    }

    fn new(
        label: &str,
        shape: &[usize],
        element: Element,
        storage: Storage,
        initial: Option<Vec<u8>>,
    ) -> Self {
        Self(Arc::new(Inner { initial, ..Inner::new(label, shape, element, storage) }))
    }

    /// The tensor that kernels bind to write this one: another handle to its memory, where it is a
    /// texture that shares it with a buffer.
    pub(crate) fn written(&self) -> &Self {
        self.0.written.as_ref().unwrap_or(self)
    }

    /// Whether both are clones of one handle: what a shader binds once.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The arena that it is a part of, as this handle binds it, and its first row there: see
    /// `super::arena`.
    pub(in crate::gpu) fn span(&self) -> Option<&(Self, u32)> {
        self.0.span.as_ref()
    }

    /// Identifies the memory, equal for clones and for the handle that writes it.
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

    /// Length of axis `axis`.
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

    /// Count of 32-bit words that hold them.
    pub fn words(&self) -> usize {
        self.len() * 4 / self.element().per_texel()
    }

    /// Bytes of the numbers alone, without what fills the last texel.
    pub fn data_bytes(&self) -> u64 {
        4 * self.words() as u64
    }

    /// Whether it holds no number at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size on the device, bytes.
    pub fn bytes(&self) -> u64 {
        self.len().div_ceil(self.element().per_texel()) as u64 * TEXEL_BYTES
    }

    /// Texels of the array that a shader declares where this is a uniform.
    pub(in crate::gpu) fn uniform_texels(&self) -> u64 {
        uniform_texels(self.bytes() / TEXEL_BYTES)
    }

    pub(in crate::gpu) fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// The constant it was made from.
    pub(in crate::gpu) fn initial(&self) -> Option<&[u8]> {
        self.0.initial.as_deref()
    }
}

fn texels(label: &str, shape: &[usize], element: Element) -> Result<u64> {
    let numbers = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n as u64));
    numbers
        .map(|numbers| numbers.div_ceil(element.per_texel() as u64).max(1))
        .ok_or_else(|| Error::Device(format!("{label}: shape {shape:?} overflows")))
}

/// Texels of the buffer of a uniform of `texels`: few sizes, for a shader's text names the size,
/// and each text is a pipeline.
fn uniform_texels(texels: u64) -> u64 {
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

/// Where a tensor's texels are.
struct Room {
    storage: Storage,
    /// A buffer over the texels of a texture.
    written: Option<wgpu::Buffer>,
    /// The arena around them, and their first row there.
    span: Option<(Tensor, u32)>,
}

impl Room {
    fn texture(texture: wgpu::Texture, written: Option<wgpu::Buffer>) -> Self {
        let view = texture.create_view(&Default::default());
        Self { storage: Storage::Texture(texture, view), written, span: None }
    }
}

/// Room for `texels`; with `alias` a texture comes with a buffer over the same memory where it can.
fn allocate(gpu: &Gpu, kind: StorageKind, label: &str, texels: u64, alias: bool) -> Result<Room> {
    let limits = gpu.capabilities();
    let largest = match kind {
        StorageKind::Buffer => limits.max_binding_bytes / TEXEL_BYTES,
        StorageKind::Texture => limits.max_texture_bytes / TEXEL_BYTES,
    };
    if texels > largest {
        return Err(Error::Device(format!(
            "{label} takes {} MiB, but {} binds at most {} MiB at once",
            (texels * TEXEL_BYTES) >> 20,
            gpu.report().name,
            (largest * TEXEL_BYTES) >> 20,
        )));
    }
    if kind == StorageKind::Buffer {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let storage = Storage::Buffer(buffer(gpu, label, texels * TEXEL_BYTES, usage));
        return Ok(Room { storage, written: None, span: None });
    }
    if let Some(((texture, buffer), span)) = gpu.in_arena(label, texels, alias) {
        return Ok(Room { span: Some(span), ..Room::texture(texture, buffer) });
    }
    // What fits into the beginning of the first row has short rows: the others only take memory.
    let width = (texels.next_power_of_two().max(64) as u32).min(TEXTURE_WIDTH);
    let texture = described(label, width, texture_height(texels));
    let request = Request { texture: &texture, written: true };
    let shared = if alias { alias::allocate(gpu, request) } else { None };
    let (texture, buffer) = match shared {
        Some((_, made)) => made,
        None => (gpu.device.create_texture(&texture), None),
    };
    Ok(Room::texture(texture, buffer))
}

/// A texture of so many texels.
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

/// Rows for so many texels, never a power of two: lavapipe compiles a shader once more for each
/// combination of bound textures whose sides are and are not powers of two.
pub(in crate::gpu) fn texture_height(texels: u64) -> u32 {
    let rows = texels.div_ceil(u64::from(TEXTURE_WIDTH)).max(3) as u32;
    if rows.is_power_of_two() { rows + 1 } else { rows }
}
