//! Results that reach a texture by way of a buffer.
//!
//! Lavapipe stores texels lane by lane and number by number, in textures at five times the price of buffers, and loads from
//! textures at a tenth of it. So what a training step computes much of is stored in a buffer and copied, which is a plain
//! copy of memory: both are fast then, and no kernel notices.

use super::device::Gpu;
use super::kernel::{Access, Operand};
use super::recording::Entry;
use super::tensor::{Storage, StorageKind, TEXEL_BYTES, Tensor, buffer};
use super::transfer::copy_to_texture;

/// Texels of a result from which on the way by a buffer is the shorter one: a copy has a price of its own.
const WORTHWHILE: u64 = 4096;

/// Most bytes of a result that goes by a buffer, for the buffer is there besides.
const MOST: u64 = 16 << 20;

/// Buffers for the results of one dispatch, which the next one uses again.
pub(super) struct Staging {
    buffers: Vec<wgpu::Buffer>,
    from: u64,
}

/// A copy that follows a dispatch.
pub(super) struct Copy {
    buffer: wgpu::Buffer,
    tensor: Tensor,
}

impl Gpu {
    /// Texels from which on results should reach textures by way of buffers.
    pub(super) fn stages_from(&self) -> u64 {
        let can = self.capabilities();
        if can.software && can.storage == StorageKind::Texture { WORTHWHILE } else { u64::MAX }
    }
}

impl Staging {
    /// What results of `from` texels or more of `entries` need.
    pub fn new(gpu: &Gpu, entries: &[Entry], from: u64) -> Self {
        let mut sizes: Vec<u64> = vec![];
        for entry in entries {
            let operands = entry.kernel.operands();
            for (index, bytes) in operands.iter().filter_map(|operand| staged(operand, from)).enumerate() {
                sizes.resize(sizes.len().max(index + 1), 0);
                sizes[index] = sizes[index].max(bytes);
            }
        }
        use wgpu::BufferUsages as Usage;
        let buffers =
            sizes.iter().map(|&size| buffer(gpu, "staging", size, Usage::STORAGE | Usage::COPY_SRC));
        Self { buffers: buffers.collect(), from }
    }

    /// Binds buffers in place of textures that `operands` write, and gives the copies that are to follow.
    pub fn bind(&self, operands: &mut [Operand]) -> Vec<Copy> {
        let written = operands.iter_mut().filter(|operand| staged(operand, self.from).is_some());
        let stage = |(operand, buffer): (&mut Operand, &wgpu::Buffer)| {
            let tensor = operand.tensor.take()?;
            operand.tensor = Some(tensor.in_buffer(buffer));
            Some(Copy { buffer: buffer.clone(), tensor })
        };
        written.zip(&self.buffers).filter_map(stage).collect()
    }
}

/// Bytes of the buffer for an operand that is written to a texture and large enough.
fn staged(operand: &Operand, from: u64) -> Option<u64> {
    let tensor = operand.tensor.as_ref().filter(|_| operand.access == Access::Write)?;
    let bytes = tensor.bytes();
    let fits = (from.saturating_mul(TEXEL_BYTES)..=MOST).contains(&bytes);
    (fits && matches!(tensor.storage(), Storage::Texture(..))).then_some(bytes)
}

impl Copy {
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        if let Storage::Texture(texture, _) = self.tensor.storage() {
            copy_to_texture(encoder, &self.buffer, texture, self.tensor.bytes() / TEXEL_BYTES);
        }
    }
}
