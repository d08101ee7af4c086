//! Memory that the tensors of many layers share, so that one binding reaches all of them.
//!
//! Where textures share memory with buffers (`super::alias`), the tensors of a pool are textures
//! over neighbouring rows of one allocation, and another texture, the span, covers all of it.
//! Kernels use them like other tensors. A chain of calls (`super::chain`) binds the span instead
//! and reads from its parameters at which row a layer's tensor starts, so it can run many layers in
//! one dispatch.

use super::alias::{self, Memory, Request};
use crate::Result;
use crate::gpu::device::device::{Gpu, lock};
use crate::gpu::device::textures::{Made, TEXEL_BYTES, TEXTURE_WIDTH, described};
use crate::gpu::tensor::allocator::{Allocator, TensorSpec, Writer};
use crate::gpu::tensor::tensor::{Device, Element, Room, Tensor};
use std::sync::Mutex;

const ROW_BYTES: u64 = TEXTURE_WIDTH as u64 * TEXEL_BYTES;

/// An [`Allocator`] for a set of similar tensors in each layer of a model: where an adapter rewards
/// it, they are parts of one allocation. A tensor that does not fit there, and every tensor on
/// other adapters, has memory of its own.
pub struct Pool {
    device: Device,
    writer: Writer,
    shared: Option<Mutex<Rows>>,
}

impl Pool {
    /// Reserves capacity for tensors of `bytes` bytes each, written by `writer`.
    pub fn new(device: &Device, writer: Writer, bytes: impl IntoIterator<Item = u64>) -> Self {
        let shared = device.gpu().filter(|gpu| gpu.textures.share_memory()).and_then(|gpu| {
            let rows = |bytes: u64| u64::from(gpu.textures.rows(bytes.div_ceil(TEXEL_BYTES)));
            Rows::new(gpu, bytes.into_iter().map(rows).sum(), writer == Writer::Kernels)
        });
        Self { device: device.clone(), writer, shared: shared.map(Mutex::new) }
    }
}

impl Allocator for Pool {
    fn gpu(&self) -> Option<&Gpu> {
        self.device.gpu()
    }

    fn tensor(&self, spec: &TensorSpec<'_>) -> Result<Tensor> {
        if let (Some(gpu), Some(shared)) = (self.gpu(), &self.shared)
            && spec.writer == self.writer
            && spec.is_texture(gpu)
        {
            spec.check(gpu)?;
            if let Some(room) = lock(shared).place(gpu, spec.label, spec.texels()?) {
                return Ok(Tensor::of(spec, room));
            }
        }
        self.device.tensor(spec)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let Rows { rows, used, refused, .. } = &*lock(shared);
            log::debug!("a pool of {rows} rows has {used} in use, {refused} did not fit");
        }
    }
}

/// One allocation, filled row by row.
struct Rows {
    span: Tensor,
    memory: Memory,
    /// Whether kernels write the tensors.
    written: bool,
    rows: u32,
    used: u32,
    /// Rows that did not fit.
    refused: u32,
}

impl Rows {
    /// Allocates `rows` rows, or as many as a texture can have; `None` if there is no memory for
    /// them.
    fn new(gpu: &Gpu, rows: u64, written: bool) -> Option<Self> {
        if rows == 0 {
            return None;
        }
        let can = gpu.capabilities();
        let most = if written {
            can.max_texture_bytes.min(can.max_binding_bytes)
        } else {
            can.max_texture_bytes
        };
        // One row more, because drivers need some bytes after an image; and one less than the
        // maximum if necessary, because the number must not be a power of two.
        let most = (most / ROW_BYTES).saturating_sub(1);
        let rows = gpu.textures.rows((rows + 1).min(most) * u64::from(TEXTURE_WIDTH));
        let texture = described("pool", TEXTURE_WIDTH, rows);
        let (memory, made) = alias::allocate(gpu, Request { texture: &texture, written })?;
        let shape = [(rows * TEXTURE_WIDTH) as usize, 4];
        let spec = TensorSpec::new("pool", &shape, Element::U32);
        let span = Tensor::of(&spec, Room::texture(made));
        Some(Self { span, memory, written, rows, used: 0, refused: 0 })
    }

    /// Places a texture of `texels` texels, with a buffer if kernels write it.
    fn place(&mut self, gpu: &Gpu, label: &str, texels: u64) -> Option<Room> {
        let (height, first) = (gpu.textures.rows(texels), self.used);
        if height > self.rows - first {
            self.refused += height;
            return None;
        }
        let texture = described(label, TEXTURE_WIDTH, height);
        let request = Request { texture: &texture, written: self.written };
        let made: Made = alias::within(gpu, &self.memory, u64::from(first) * ROW_BYTES, request)?;
        self.used += height;
        Some(Room { span: Some((self.span.clone(), first)), ..Room::texture(made) })
    }
}
