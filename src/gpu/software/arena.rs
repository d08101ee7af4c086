//! Memory that the tensors of many layers share, so that one binding reaches all of them.
//!
//! Where textures may share memory (`super::alias`), tensors that are made while an arena is open
//! are textures over neighbouring rows of one memory, and another texture, the span, lies over all
//! of it. To a kernel they are tensors like others. A chain of calls (`super::chain`) binds the
//! span instead and learns from its parameters at which row a layer's tensor begins; so it can walk
//! through many layers in one dispatch.

use super::alias::{self, Made, Memory, Request};
use crate::gpu::device::device::{Gpu, lock};
use crate::gpu::tensor::tensor::{TEXEL_BYTES, TEXTURE_WIDTH, Tensor, described, texture_height};

const ROW_BYTES: u64 = TEXTURE_WIDTH as u64 * TEXEL_BYTES;

/// One memory, filled row by row.
pub(in crate::gpu) struct Arena {
    span: Tensor,
    memory: Memory,
    written: bool,
    rows: u32,
    used: u32,
    /// Rows for which there was no room.
    refused: u32,
}

impl Arena {
    /// Of so many rows, or as many as a texture can have. `None` where textures share no memory.
    fn new(gpu: &Gpu, rows: u64, written: bool) -> Option<Self> {
        if !gpu.aliases() || rows == 0 {
            return None;
        }
        let can = gpu.capabilities();
        let most = if written {
            can.max_texture_bytes.min(can.max_binding_bytes)
        } else {
            can.max_texture_bytes
        };
        // A row more, for drivers want some bytes behind an image; and one less than there may be,
        // as it must not be a power of two.
        let most = (most / ROW_BYTES).saturating_sub(1);
        let rows = texture_height((rows + 1).min(most) * u64::from(TEXTURE_WIDTH));
        let texture = described("arena", TEXTURE_WIDTH, rows);
        let request = Request { texture: &texture, written };
        let (memory, made) = alias::allocate(gpu, request)?;
        let shape = [(rows * TEXTURE_WIDTH) as usize, 4];
        let span = Tensor::over("arena", &shape, made);
        Some(Self { span, memory, written, rows, used: 0, refused: 0 })
    }

    /// A texture of so many texels, with a buffer if kernels write it, and the row where it begins.
    fn place(&mut self, gpu: &Gpu, label: &str, texels: u64) -> Option<(Made, u32)> {
        let (height, first) = (texture_height(texels), self.used);
        if height > self.rows - first {
            self.refused += height;
            return None;
        }
        let texture = described(label, TEXTURE_WIDTH, height);
        let request = Request { texture: &texture, written: self.written };
        let made = alias::within(gpu, &self.memory, u64::from(first) * ROW_BYTES, request)?;
        self.used += height;
        Some((made, first))
    }
}

/// An arena is open while this is held, or until another one is opened.
#[must_use = "the arena closes when this is dropped"]
pub struct OpenArena<'a> {
    gpu: &'a Gpu,
}

impl Drop for OpenArena<'_> {
    fn drop(&mut self) {
        if let Some(arena) = lock(&self.gpu.arena).take() {
            log::debug!(
                "an arena of {} rows has {} in use, {} did not fit",
                arena.rows,
                arena.used,
                arena.refused
            );
        }
    }
}

impl Gpu {
    /// From now on, tensors share memory, where this device can do that: those that kernels write
    /// (`written`), or those that the host fills. There is room for tensors of so many `bytes`
    /// each; what has none is a tensor of its own.
    pub fn open_arena(&self, bytes: impl IntoIterator<Item = u64>, written: bool) -> OpenArena<'_> {
        let rows = bytes
            .into_iter()
            .map(|bytes| u64::from(texture_height(bytes.div_ceil(TEXEL_BYTES))))
            .sum();
        *lock(&self.arena) = Arena::new(self, rows, written);
        OpenArena { gpu: self }
    }

    /// A tensor's texture in the arena that is open, with the span and the row of it where the
    /// tensor begins.
    pub(in crate::gpu) fn in_arena(
        &self,
        label: &str,
        texels: u64,
        written: bool,
    ) -> Option<(Made, (Tensor, u32))> {
        let mut open = lock(&self.arena);
        let arena = open.as_mut().filter(|arena| arena.written == written)?;
        let (made, row) = arena.place(self, label, texels)?;
        Some((made, (arena.span.clone(), row)))
    }
}
