//! Several runs in one submission, with copies between them and a few words read back from each.

use super::program::{Program, Readback};
use crate::Result;
use crate::gpu::device::device::Gpu;
use crate::gpu::device::textures::TEXEL_BYTES;
use crate::gpu::tensor::tensor::{Storage, Tensor};
use crate::gpu::tensor::transfer::{copy_to_texture, map_words};

/// Runs, copies and kept words, encoded in order until [`Submission::finish`].
pub struct Submission<'a> {
    gpu: &'a Gpu,
    readback: &'a Readback,
    encoder: wgpu::CommandEncoder,
    kept: usize,
}

impl<'a> Submission<'a> {
    /// An empty submission; kept words go to the slots of `readback`.
    pub fn new(gpu: &'a Gpu, readback: &'a Readback) -> Self {
        Self {
            gpu,
            readback,
            encoder: gpu.device.create_command_encoder(&Default::default()),
            kept: 0,
        }
    }

    /// Encodes a run of `program`.
    pub fn run(&mut self, program: &Program) {
        program.encode(&mut self.encoder);
    }

    /// Copies all texels into a tensor of equal size, from a buffer into any kind of storage.
    #[track_caller]
    pub fn copy(&mut self, from: &Tensor, to: &Tensor) {
        assert_eq!(from.bytes(), to.bytes(), "{} and {} differ in size", from.label(), to.label());
        match (from.storage(), to.storage()) {
            (Storage::Buffer(from), Storage::Buffer(to)) => {
                self.encoder.copy_buffer_to_buffer(from, 0, to, 0, Some(from.size()));
            }
            (Storage::Texture(from, _), Storage::Texture(to, _)) => {
                let (source, target) = (from.as_image_copy(), to.as_image_copy());
                self.encoder.copy_texture_to_texture(source, target, from.size());
            }
            (Storage::Buffer(buffer), Storage::Texture(texture, _)) => {
                copy_to_texture(&mut self.encoder, buffer, texture, from.bytes() / TEXEL_BYTES);
            }
            _ => panic!("{} and {} differ in storage", from.label(), to.label()),
        }
    }

    /// Keeps the current words of a uniform tensor in the next slot of the readback.
    #[track_caller]
    pub fn keep(&mut self, tensor: &Tensor) {
        let (slot, size) = (self.kept as u64 * self.readback.slot_bytes, self.readback.slot_bytes);
        assert!(slot + size <= self.readback.buffer.size(), "{}: no slot is left", tensor.label());
        tensor.copy_words(&mut self.encoder, &self.readback.buffer, slot);
        self.kept += 1;
    }

    /// Submits what is encoded so far, so that the device starts while the rest is encoded.
    pub fn hand_over(&mut self) {
        let next = self.gpu.device.create_command_encoder(&Default::default());
        self.gpu.queue.submit([std::mem::replace(&mut self.encoder, next).finish()]);
    }

    /// Submits, waits, and returns the kept words, in order.
    ///
    /// # Errors
    /// When the device fails.
    pub fn finish(self) -> Result<Vec<Vec<u32>>> {
        self.gpu.queue.submit([self.encoder.finish()]);
        let words = map_words(self.gpu, &self.readback.buffer)?;
        let slot_words = self.readback.slot_bytes as usize / 4;
        Ok(words.chunks(slot_words).take(self.kept).map(<[u32]>::to_vec).collect())
    }
}
