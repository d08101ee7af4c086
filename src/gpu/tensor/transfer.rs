//! Transfers of numbers to a device and back.

use super::tensor::{Storage, Tensor, buffer};
use crate::gpu::device::device::Gpu;
use crate::gpu::device::textures::{TEXEL_BYTES, TEXTURE_WIDTH};
use crate::{Error, Result};

impl Tensor {
    /// Writes `bytes`, a whole number of texels, from texel `first` on. In a texture the range must
    /// start at a whole row or end within one row.
    #[track_caller]
    pub fn write(&self, gpu: &Gpu, first: u64, bytes: &[u8]) {
        assert_eq!(bytes.len() % TEXEL_BYTES as usize, 0, "{}: not whole texels", self.label());
        match self.storage() {
            Storage::Host => {}
            Storage::Buffer(buffer) | Storage::Uniform(buffer) => {
                gpu.queue.write_buffer(buffer, first * TEXEL_BYTES, bytes);
            }
            Storage::Texture(texture, _) => write_texture(gpu, texture, first, bytes),
        }
    }

    /// Reads the whole tensor back as words, waiting for the device.
    ///
    /// # Errors
    /// When the device fails in the meantime.
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<u32>> {
        let size = match self.storage() {
            Storage::Texture(texture, _) => {
                u64::from(texture.width() * texture.height()) * TEXEL_BYTES
            }
            _ => self.data_bytes().max(4),
        };
        use wgpu::BufferUsages as Usage;
        let staging = buffer(gpu, "readback", size, Usage::MAP_READ | Usage::COPY_DST);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.copy_to(&mut encoder, &staging);
        gpu.queue.submit([encoder.finish()]);
        let mut words = map_words(gpu, &staging)?;
        words.truncate(self.words());
        Ok(words)
    }

    /// Encodes a copy of the words of a uniform tensor to byte offset `at` in `target`.
    #[track_caller]
    pub(in crate::gpu) fn copy_words(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::Buffer,
        at: u64,
    ) {
        let Storage::Uniform(source) = self.storage() else {
            panic!("{} is not a uniform tensor", self.label())
        };
        encoder.copy_buffer_to_buffer(source, 0, target, at, Some(self.data_bytes()));
    }

    fn copy_to(&self, encoder: &mut wgpu::CommandEncoder, staging: &wgpu::Buffer) {
        match self.storage() {
            Storage::Host => {}
            Storage::Buffer(buffer) | Storage::Uniform(buffer) => {
                encoder.copy_buffer_to_buffer(buffer, 0, staging, 0, Some(staging.size()));
            }
            Storage::Texture(texture, _) => encoder.copy_texture_to_buffer(
                texture.as_image_copy(),
                wgpu::TexelCopyBufferInfo {
                    buffer: staging,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some(texture.width() * TEXEL_BYTES as u32),
                        rows_per_image: None,
                    },
                },
                texture.size(),
            ),
        }
    }

    /// Reads a whole f32 tensor back, waiting for the device.
    ///
    /// # Errors
    /// When the device fails in the meantime.
    pub fn read_f32(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        Ok(bytemuck::cast_vec(self.read(gpu)?))
    }

    /// Copies each of `parts` equal parts to the start of the corresponding part of `target`, a
    /// tensor in the same kind of storage with parts at least as large. A cache grows in this way,
    /// one part for each head.
    #[track_caller]
    pub fn copy_parts(&self, gpu: &Gpu, target: &Self, parts: usize) {
        let [part, room] = [self, target].map(|tensor| tensor.words() as u64 / 4 / parts as u64);
        assert!(room >= part, "{} does not fit into {}", self.label(), target.label());
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for index in 0..parts as u64 {
            match (self.written().storage(), target.written().storage()) {
                (Storage::Buffer(from), Storage::Buffer(to)) => {
                    let [first, to_first, size] =
                        [index * part, index * room, part].map(|at| at * TEXEL_BYTES);
                    encoder.copy_buffer_to_buffer(from, first, to, to_first, Some(size));
                }
                (Storage::Texture(from, _), Storage::Texture(to, _)) => {
                    copy_texels(&mut encoder, [from, to], [index * part, index * room], part);
                }
                _ => {}
            }
        }
        gpu.queue.submit([encoder.finish()]);
    }
}

/// Encodes a copy of `count` texels from one texture to another, from texel `first` of each on.
/// Each step copies whole rows, or what lies in one row of both.
fn copy_texels(
    encoder: &mut wgpu::CommandEncoder,
    textures: [&wgpu::Texture; 2],
    mut first: [u64; 2],
    mut count: u64,
) {
    let width = u64::from(TEXTURE_WIDTH);
    while count > 0 {
        let [column, to_column] = first.map(|at| at % width);
        let (columns, rows) = if column == 0 && to_column == 0 && count >= width {
            (width, count / width)
        } else {
            (count.min(width - column.max(to_column)), 1)
        };
        let [from, to] = [0, 1].map(|side| wgpu::TexelCopyTextureInfo {
            origin: wgpu::Origin3d {
                x: (first[side] % width) as u32,
                y: (first[side] / width) as u32,
                z: 0,
            },
            ..textures[side].as_image_copy()
        });
        let size =
            wgpu::Extent3d { width: columns as u32, height: rows as u32, depth_or_array_layers: 1 };
        encoder.copy_texture_to_texture(from, to, size);
        first = first.map(|at| at + columns * rows);
        count -= columns * rows;
    }
}

/// Writes a range of texels as up to three rectangles of a texture: the rest of a row, whole rows,
/// and the start of a row.
fn write_texture(gpu: &Gpu, texture: &wgpu::Texture, first: u64, bytes: &[u8]) {
    let width = u64::from(TEXTURE_WIDTH);
    let (mut at, mut rest) = (first, bytes);
    while !rest.is_empty() {
        let (x, y) = (at % width, at / width);
        let left = rest.len() as u64 / TEXEL_BYTES;
        let (columns, rows) =
            if x == 0 && left >= width { (width, left / width) } else { (left.min(width - x), 1) };
        let (now, later) = rest.split_at((columns * rows * TEXEL_BYTES) as usize);
        gpu.queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                origin: wgpu::Origin3d { x: x as u32, y: y as u32, z: 0 },
                ..texture.as_image_copy()
            },
            now,
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some((columns * TEXEL_BYTES) as u32),
                rows_per_image: None,
            },
            wgpu::Extent3d { width: columns as u32, height: rows as u32, depth_or_array_layers: 1 },
        );
        (at, rest) = (at + columns * rows, later);
    }
}

/// Encodes a copy of the first `texels` texels of a buffer to a texture, as whole rows and the
/// start of one.
pub(in crate::gpu) fn copy_to_texture(
    encoder: &mut wgpu::CommandEncoder,
    buffer: &wgpu::Buffer,
    texture: &wgpu::Texture,
    texels: u64,
) {
    let width = u64::from(TEXTURE_WIDTH);
    let (rows, rest) = (texels / width, texels % width);
    for (first, columns, rows) in [(0, width, rows), (rows, rest, 1)] {
        if columns * rows == 0 {
            continue;
        }
        let layout = wgpu::TexelCopyBufferLayout {
            offset: first * width * TEXEL_BYTES,
            bytes_per_row: Some(TEXTURE_WIDTH * TEXEL_BYTES as u32),
            rows_per_image: None,
        };
        encoder.copy_buffer_to_texture(
            wgpu::TexelCopyBufferInfo { buffer, layout },
            wgpu::TexelCopyTextureInfo {
                origin: wgpu::Origin3d { x: 0, y: first as u32, z: 0 },
                ..texture.as_image_copy()
            },
            wgpu::Extent3d { width: columns as u32, height: rows as u32, depth_or_array_layers: 1 },
        );
    }
}

/// Maps a readback buffer and copies its words out.
pub(in crate::gpu) fn map_words(gpu: &Gpu, staging: &wgpu::Buffer) -> Result<Vec<u32>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    staging.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver waits below; it can only be gone if that wait failed first.
        let _ = sender.send(result);
    });
    gpu.wait()?;
    let failed = |what: String| Error::Device(format!("reading back from the device: {what}"));
    receiver
        .recv()
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    let view = staging.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
    let words = bytemuck::pod_collect_to_vec(&view);
    drop(view);
    staging.unmap();
    Ok(words)
}
