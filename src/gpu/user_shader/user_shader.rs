//! A shader supplied by the user, compiled into a program with its bindings.

use super::dialect::readable;
use crate::gpu::device::device::Gpu;
use crate::gpu::device::pipeline::Pipeline;
use crate::gpu::program::program::{Program, Step};
use crate::gpu::tensor::tensor::buffer;
use crate::gpu::tensor::transfer::map_words;
use crate::{Error, Result};
use std::sync::Arc;

/// The kind of numbers that a sampled texture gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    /// Floats, four a texel, that may be filtered.
    Float,
    /// Depth values.
    Depth,
    /// Signed integers, four a texel.
    Signed,
    /// Unsigned integers, four a texel.
    Unsigned,
}

/// A resource to bind.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// A uniform buffer with these bytes.
    Uniform(Vec<u8>),
    /// Immediates with these bytes; they have no group or binding.
    Immediates(Vec<u8>),
    /// A storage buffer with these bytes.
    Storage(Vec<u8>),
    /// A storage texture of zeros.
    StorageTexture {
        /// Its format as WebGPU names it, in any case: "rgba32uint".
        format: String,
        /// Texels along x, y and z (or layers).
        size: [u32; 3],
        /// Number of dimensions: 1, 2 or 3.
        dimension: u32,
        /// Whether z counts layers of an array.
        layered: bool,
    },
    /// A sampled texture of zeros.
    Texture {
        /// The kind of numbers it gives.
        samples: Samples,
        /// Texels along x, y and z (or layers).
        size: [u32; 3],
        /// Number of dimensions: 1, 2 or 3.
        dimension: u32,
        /// Whether z counts layers of an array.
        layered: bool,
    },
    /// A sampler.
    Sampler {
        /// Whether it is a comparison sampler.
        comparison: bool,
    },
}

/// A resource with its group and binding.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The number in `@group`.
    pub group: u32,
    /// The number in `@binding`.
    pub binding: u32,
    /// The variable's name, for error messages.
    pub name: String,
    /// The resource to bind.
    pub resource: Resource,
}

/// WebGPU's storage texel formats.
const FORMATS: [wgpu::TextureFormat; 17] = {
    use wgpu::TextureFormat as F;
    [
        F::Rgba8Unorm,
        F::Rgba8Snorm,
        F::Rgba8Uint,
        F::Rgba8Sint,
        F::Bgra8Unorm,
        F::Rgba16Uint,
        F::Rgba16Sint,
        F::Rgba16Float,
        F::R32Uint,
        F::R32Sint,
        F::R32Float,
        F::Rg32Uint,
        F::Rg32Sint,
        F::Rg32Float,
        F::Rgba32Uint,
        F::Rgba32Sint,
        F::Rgba32Float,
    ]
};

impl Resource {
    /// Size of the resource in bytes.
    ///
    /// # Errors
    /// For a format that is not one of WebGPU's storage formats.
    pub fn bytes(&self) -> Result<u64> {
        let texels = |size: &[u32; 3]| size.iter().map(|&side| u64::from(side)).product::<u64>();
        Ok(match self {
            Self::Uniform(bytes) | Self::Immediates(bytes) | Self::Storage(bytes) => {
                bytes.len() as u64
            }
            Self::StorageTexture { format, size, .. } => {
                texels(size)
                    * u64::from(storage_format(format)?.block_copy_size(None).unwrap_or(16))
            }
            Self::Texture { samples, size, .. } => {
                let bytes = if matches!(samples, Samples::Float | Samples::Depth) { 4 } else { 16 };
                texels(size) * bytes
            }
            Self::Sampler { .. } => 0,
        })
    }
}

fn storage_format(name: &str) -> Result<wgpu::TextureFormat> {
    let found = FORMATS.iter().find(|format| format!("{format:?}").eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| {
        Error::input(format!(
            "storage textures of {} are not among WebGPU's formats",
            name.to_lowercase()
        ))
    })
}

/// A shader supplied by the user, compiled and bound.
pub struct UserShader {
    program: Program,
    /// The bound resources, by name.
    held: Vec<(String, Made)>,
}

impl UserShader {
    /// Compiles the entry point `entry` of `text` with all the resources that it uses in `bound`.
    /// `constants` are its pipeline-overridable constants by number, or by name if they have none.
    /// Bounds and loops are checked, because the shader is not trusted.
    ///
    /// # Errors
    /// When the compiler or the device refuses the shader, with its message.
    pub fn compile(
        gpu: &Gpu,
        text: &str,
        entry: &str,
        constants: &[(String, f64)],
        bound: &[Bound],
        grid: [u32; 3],
    ) -> Result<Self> {
        let lacks = |what: &str| {
            Err(Error::Device(format!(
                "{entry} needs {what}, which {} lacks here",
                gpu.report().name
            )))
        };
        let (text, subgroups) = readable(text);
        if subgroups && gpu.capabilities().subgroup == 0 {
            return lacks("subgroups");
        }
        let immediates = bound.iter().find_map(|bound| match &bound.resource {
            Resource::Immediates(bytes) => Some(bytes.clone()),
            _ => None,
        });
        if immediates.is_some() && !gpu.has_immediates() {
            return lacks("immediates");
        }
        let refused =
            |error: wgpu::Error| Error::Kernel { kernel: entry.into(), message: error.to_string() };
        let memory = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(entry),
            source: wgpu::ShaderSource::Wgsl(text),
        });
        let constants: Vec<_> = constants.iter().map(|(name, value)| (&**name, *value)).collect();
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: None,
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                ..Default::default()
            },
            cache: None,
        });
        if let Some(error) = pollster::block_on(scope.pop()) {
            drop(memory);
            return Err(refused(error));
        }
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let placed =
            || bound.iter().filter(|bound| !matches!(bound.resource, Resource::Immediates(_)));
        let made: Vec<_> =
            placed().map(|bound| Ok((bound, make(gpu, bound)?))).collect::<Result<_>>()?;
        let mut groups: Vec<u32> = placed().map(|bound| bound.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let bindings = groups.into_iter().map(|group| {
            let entries: Vec<_> = made
                .iter()
                .filter(|(bound, _)| bound.group == group)
                .map(|(bound, made)| wgpu::BindGroupEntry {
                    binding: bound.binding,
                    resource: made.resource(),
                })
                .collect();
            let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(entry),
                layout: &pipeline.get_bind_group_layout(group),
                entries: &entries,
            });
            (group, bind_group)
        });
        let bindings = bindings.collect();
        if let Some(error) = pollster::block_on(scope.pop()) {
            drop(memory);
            return Err(refused(error));
        }
        if let Some(error) = pollster::block_on(memory.pop()) {
            return Err(crate::gpu::device::device::device_error(&error));
        }
        let layout = pipeline.get_bind_group_layout(0);
        let pipeline = Arc::new(Pipeline::new(pipeline, layout, &[]));
        let parameters = None;
        let mut immediates = immediates.unwrap_or_default();
        immediates.resize(immediates.len().next_multiple_of(4), 0);
        let label = entry.into();
        let step =
            Step { label, strategy: "own", pipeline, bindings, grid, parameters, immediates };
        let held = made.into_iter().map(|(bound, made)| (bound.name.clone(), made)).collect();
        Ok(Self { program: Program { steps: vec![step] }, held })
    }

    /// Runs the shader once and returns the seconds that it took.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(&self, gpu: &Gpu) -> Result<f64> {
        Ok(self.program.profile(gpu)?.into_iter().sum())
    }

    /// The bytes of the buffer or storage texture `name`; those of a texture row by row and layer
    /// by layer.
    ///
    /// # Errors
    /// When no resource of that name can be read back, or the device fails.
    pub fn read(&self, gpu: &Gpu, name: &str) -> Result<Vec<u8>> {
        match self.held.iter().find(|(held, _)| held == name) {
            Some((_, Made::Buffer(buffer, bytes))) => read_buffer(gpu, buffer, *bytes),
            Some((_, Made::View(view))) => read_texture(gpu, view.texture()),
            Some((_, Made::Sampler(_))) | None => {
                Err(Error::input(format!("there is no buffer or texture {name:?} to read back")))
            }
        }
    }
}

fn read_buffer(gpu: &Gpu, source: &wgpu::Buffer, bytes: usize) -> Result<Vec<u8>> {
    use wgpu::BufferUsages as Usage;
    let staging = buffer(gpu, "dump", source.size(), Usage::MAP_READ | Usage::COPY_DST);
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(source, 0, &staging, 0, source.size());
    gpu.queue.submit([encoder.finish()]);
    let mut read: Vec<u8> = bytemuck::cast_slice(&map_words(gpu, &staging)?).to_vec();
    read.truncate(bytes);
    Ok(read)
}

fn read_texture(gpu: &Gpu, texture: &wgpu::Texture) -> Result<Vec<u8>> {
    use wgpu::BufferUsages as Usage;
    let size = texture.size();
    let texel = texture.format().block_copy_size(None).unwrap_or(16);
    let row = (size.width * texel) as usize;
    let padded = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT as usize);
    let rows = size.height as usize * size.depth_or_array_layers as usize;
    let staging = buffer(gpu, "dump", (padded * rows) as u64, Usage::MAP_READ | Usage::COPY_DST);
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &staging,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(padded as u32),
                rows_per_image: Some(size.height),
            },
        },
        size,
    );
    gpu.queue.submit([encoder.finish()]);
    let words = map_words(gpu, &staging)?;
    let bytes: &[u8] = bytemuck::cast_slice(&words);
    Ok(bytes.chunks_exact(padded).flat_map(|padded| &padded[..row]).copied().collect())
}

/// A resource created on the device.
enum Made {
    /// A buffer, with the requested number of bytes, which may be fewer than it has.
    Buffer(wgpu::Buffer, usize),
    View(wgpu::TextureView),
    Sampler(wgpu::Sampler),
}

impl Made {
    fn resource(&self) -> wgpu::BindingResource<'_> {
        match self {
            Self::Buffer(buffer, _) => buffer.as_entire_binding(),
            Self::View(view) => wgpu::BindingResource::TextureView(view),
            Self::Sampler(sampler) => wgpu::BindingResource::Sampler(sampler),
        }
    }
}

fn make(gpu: &Gpu, bound: &Bound) -> Result<Made> {
    let name = &*bound.name;
    let filled = |usage, bytes: &[u8]| {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(4).max(4), 0);
        let copied = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let made = buffer(gpu, name, padded.len() as u64, usage | copied);
        gpu.queue.write_buffer(&made, 0, &padded);
        Made::Buffer(made, bytes.len())
    };
    Ok(match &bound.resource {
        Resource::Uniform(bytes) | Resource::Immediates(bytes) => {
            filled(wgpu::BufferUsages::UNIFORM, bytes)
        }
        Resource::Storage(bytes) => filled(wgpu::BufferUsages::STORAGE, bytes),
        Resource::StorageTexture { format, size, dimension, layered } => {
            let usage = wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_SRC;
            Made::View(view(gpu, name, storage_format(format)?, *size, *dimension, *layered, usage))
        }
        Resource::Texture { samples, size, dimension, layered } => {
            let format = match samples {
                Samples::Float => wgpu::TextureFormat::Rgba8Unorm,
                Samples::Depth => wgpu::TextureFormat::Depth32Float,
                Samples::Signed => wgpu::TextureFormat::Rgba32Sint,
                Samples::Unsigned => wgpu::TextureFormat::Rgba32Uint,
            };
            let usage = wgpu::TextureUsages::TEXTURE_BINDING;
            Made::View(view(gpu, name, format, *size, *dimension, *layered, usage))
        }
        Resource::Sampler { comparison } => {
            Made::Sampler(gpu.device.create_sampler(&wgpu::SamplerDescriptor {
                label: Some(name),
                compare: comparison.then_some(wgpu::CompareFunction::Less),
                ..Default::default()
            }))
        }
    })
}

fn view(
    gpu: &Gpu,
    name: &str,
    format: wgpu::TextureFormat,
    [width, height, depth_or_array_layers]: [u32; 3],
    dimension: u32,
    layered: bool,
    usage: wgpu::TextureUsages,
) -> wgpu::TextureView {
    use wgpu::{TextureDimension as Of, TextureViewDimension as As};
    let (dimension, seen) = match (dimension, layered) {
        (1, _) => (Of::D1, As::D1),
        (3, _) => (Of::D3, As::D3),
        (_, true) => (Of::D2, As::D2Array),
        (_, false) => (Of::D2, As::D2),
    };
    let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some(name),
        size: wgpu::Extent3d { width, height, depth_or_array_layers },
        mip_level_count: 1,
        sample_count: 1,
        dimension,
        format,
        usage,
        view_formats: &[],
    });
    texture
        .create_view(&wgpu::TextureViewDescriptor { dimension: Some(seen), ..Default::default() })
}
