//! Textures that share their memory with a buffer.
//!
//! Lavapipe loads texels at a tenth of the price of words in a buffer, and stores them at five
//! times that price: what is written often and read often wants to be both. Vulkan lets an image
//! and a buffer be bound to the same memory (specification, "Memory Aliasing"), and in lavapipe a
//! linear image is its rows, one after the other. So kernels read a tensor through its texture and
//! write it through its buffer.
//!
//! wgpu takes the two for strangers and puts no barrier between them, and its first one for the
//! image is from an undefined layout, which may lose what was there. So this is for a driver that
//! ends a dispatch before it begins the next, and has neither caches nor layouts: see
//! `crate::gpu::adapter::adapter::is_lavapipe`.

use crate::gpu::adapter::adapter::is_lavapipe;
use crate::gpu::device::device::Gpu;
use crate::gpu::device::textures::{Made, PlainTextures, TEXEL_BYTES, TEXTURE_WIDTH, Textures};
use crate::gpu::tensor::tensor::{Element, Tensor};

/// Textures as lavapipe wants them.
struct LavapipeTextures {
    share_memory: bool,
}

impl Textures for LavapipeTextures {
    /// Three at least and never a power of two: lavapipe compiles a shader once more for each
    /// combination of bound textures whose sides are and are not powers of two.
    fn rows(&self, texels: u64) -> u32 {
        let rows = texels.div_ceil(u64::from(TEXTURE_WIDTH)).max(3) as u32;
        if rows.is_power_of_two() { rows + 1 } else { rows }
    }

    fn share_memory(&self) -> bool {
        self.share_memory
    }

    fn written(&self, gpu: &Gpu, texture: &wgpu::TextureDescriptor<'_>) -> Made {
        let request = Request { texture, written: true };
        let shared = if self.share_memory { allocate(gpu, request) } else { None };
        shared.map_or_else(|| PlainTextures.written(gpu, texture), |(_, made)| made)
    }
}

/// Has `gpu` make textures as its driver wants them, where this is lavapipe, and with `share_memory`
/// where they can share it with buffers.
pub(in crate::gpu) fn make_textures(gpu: &mut Gpu, share_memory: bool) {
    if is_lavapipe(&gpu.report().driver) {
        gpu.textures = Box::new(LavapipeTextures { share_memory });
        if share_memory && !works(gpu) {
            log::info!("textures share no memory with buffers here, and are slow to write");
            gpu.textures = Box::new(LavapipeTextures { share_memory: false });
        }
    }
}

/// Whether what is written to the buffer of a tensor is read from its texture.
fn works(gpu: &Gpu) -> bool {
    let words = [0x1234_5678, 2, 3, 4];
    let shared = Tensor::zeros(gpu, "alias", &[4], Element::U32).ok();
    let shared = shared.filter(|texture| !texture.written().is(texture));
    let read = shared.and_then(|texture| {
        texture.written().write(gpu, 0, bytemuck::cast_slice(&words));
        texture.read(gpu).ok()
    });
    read.as_deref() == Some(&words)
}

/// What to make over some memory.
#[derive(Clone, Copy)]
pub(in crate::gpu) struct Request<'a> {
    pub texture: &'a wgpu::TextureDescriptor<'a>,
    /// Whether kernels write it: a buffer over the texels comes with it.
    pub written: bool,
}

/// Memory that textures and buffers are bound to. It is free when they are gone.
#[cfg(target_os = "linux")]
#[derive(Clone)]
pub(in crate::gpu) struct Memory(std::sync::Arc<shared::Memory>);

#[cfg(not(target_os = "linux"))]
#[derive(Clone)]
pub(in crate::gpu) struct Memory;

/// New memory with a texture and, where that is asked for, a buffer. What kernels write is zeros,
/// and the host fills the rest. `None` where there is no such thing, no memory for it, or more of
/// it than a buffer can bind.
#[cfg(target_os = "linux")]
pub(in crate::gpu) fn allocate(gpu: &Gpu, request: Request<'_>) -> Option<(Memory, Made)> {
    // SAFETY: the device is there, and what is made here keeps to what it was made for.
    unsafe {
        let device = gpu.device.as_hal::<wgpu::hal::vulkan::Api>()?;
        let parts = shared::Parts::new(&device, gpu.bytes_of(request)?, request)?;
        let memory = shared::Memory::of(&device, &parts, request.written)?;
        let parts = parts.bind(std::sync::Arc::clone(&memory), 0)?;
        drop(device);
        Some((Memory(memory), made(gpu, parts, request)?))
    }
}

/// A texture and, where that is asked for, a buffer over memory that is there, from `offset` bytes
/// on. `None` as for [`allocate`].
#[cfg(target_os = "linux")]
pub(in crate::gpu) fn within(
    gpu: &Gpu,
    memory: &Memory,
    offset: u64,
    request: Request<'_>,
) -> Option<Made> {
    // SAFETY: as above.
    unsafe {
        let device = gpu.device.as_hal::<wgpu::hal::vulkan::Api>()?;
        let parts = shared::Parts::new(&device, gpu.bytes_of(request)?, request)?;
        let parts = parts.bind(std::sync::Arc::clone(&memory.0), offset)?;
        drop(device);
        made(gpu, parts, request)
    }
}

impl Gpu {
    /// Bytes of all rows, if they can be bound.
    fn bytes_of(&self, Request { texture, written }: Request<'_>) -> Option<u64> {
        let size = u64::from(texture.size.width) * TEXEL_BYTES * u64::from(texture.size.height);
        (!written || size <= self.capabilities().max_binding_bytes).then_some(size)
    }
}

/// The parts as wgpu's.
///
/// # Safety
/// They must be of this device, made for `request` and bound.
#[cfg(target_os = "linux")]
unsafe fn made(gpu: &Gpu, parts: shared::Parts, request: Request<'_>) -> Option<Made> {
    use wgpu::TextureUses as Uses;
    use wgpu::hal::{MemoryFlags, TextureDescriptor, vulkan};

    let Request { texture, .. } = request;
    debug_assert_eq!(texture.format, wgpu::TextureFormat::Rgba32Uint);
    let size = gpu.bytes_of(request)?;
    let parts = std::sync::Arc::new(parts);
    let owner = || {
        let owner = std::sync::Arc::clone(&parts);
        Box::new(move || drop(owner))
    };
    // SAFETY: the handles are of this device and destroyed when the last of texture and buffer is,
    // which wgpu tells after the device has done with them; their descriptions are those that they
    // were made by, and what they hold this driver's barriers leave as it is.
    unsafe {
        let device = gpu.device.as_hal::<vulkan::Api>()?;
        let described = TextureDescriptor {
            label: texture.label,
            size: texture.size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: texture.dimension,
            format: texture.format,
            usage: Uses::STORAGE_READ_ONLY
                | Uses::STORAGE_WRITE_ONLY
                | Uses::COPY_SRC
                | Uses::COPY_DST,
            memory_flags: MemoryFlags::empty(),
            view_formats: vec![],
        };
        let external = vulkan::TextureMemory::External;
        let image = device.texture_from_raw(parts.image, &described, Some(owner()), external);
        drop(device);
        let image =
            gpu.device.create_texture_from_hal::<vulkan::Api>(image, texture, Uses::UNINITIALIZED);
        let buffer = request.written.then(|| {
            let usage = wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST;
            let described = wgpu::BufferDescriptor {
                label: texture.label,
                size,
                usage,
                mapped_at_creation: false,
            };
            let buffer = vulkan::Buffer::from_raw_externally_owned(parts.buffer, owner());
            gpu.device.create_buffer_from_hal::<vulkan::Api>(buffer, &described)
        });
        Some(Made { texture: image, buffer })
    }
}

#[cfg(not(target_os = "linux"))]
pub(in crate::gpu) fn allocate(_: &Gpu, _: Request<'_>) -> Option<(Memory, Made)> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(in crate::gpu) fn within(_: &Gpu, _: &Memory, _: u64, _: Request<'_>) -> Option<Made> {
    None
}

#[cfg(target_os = "linux")]
mod shared {
    use super::{Request, TEXEL_BYTES};
    use ash::{Device, vk};
    use std::sync::Arc;

    /// Memory, as much as was asked for.
    pub struct Memory {
        device: Device,
        memory: vk::DeviceMemory,
        size: u64,
    }

    impl Memory {
        /// Memory for `parts`; zeros if asked for. `None` if the driver refuses.
        ///
        /// # Safety
        /// The device must live for as long as what is made here.
        pub unsafe fn of(
            hal: &wgpu::hal::vulkan::Device,
            parts: &Parts,
            zeroed: bool,
        ) -> Option<Arc<Self>> {
            let device = hal.raw_device();
            // SAFETY: the handles are of the device; what is mapped is as long as what is written.
            unsafe {
                let types = hal
                    .shared_instance()
                    .raw_instance()
                    .get_physical_device_memory_properties(hal.raw_physical_device());
                let (size, kinds) = parts.needs();
                let ours =
                    vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
                let kind = types.memory_types_as_slice().iter().enumerate().position(
                    |(index, kind)| kinds & (1 << index) != 0 && kind.property_flags.contains(ours),
                )?;
                let described = vk::MemoryAllocateInfo::default()
                    .allocation_size(size)
                    .memory_type_index(kind as u32);
                let memory = device.allocate_memory(&described, None).ok()?;
                let made = Arc::new(Self { device: device.clone(), memory, size });
                if zeroed {
                    let bytes =
                        device.map_memory(memory, 0, size, vk::MemoryMapFlags::empty()).ok()?;
                    advise_huge_pages(bytes.cast(), size as usize);
                    bytes.cast::<u8>().write_bytes(0, size as usize);
                    device.unmap_memory(memory);
                }
                Some(made)
            }
        }
    }

    /// Asks for pages of 2 MiB where the kernel gives them to who asks: a token goes through all of
    /// a cache, and a CPU looks up its pages, and starts to fetch ahead, again every 4 KiB. Not for
    /// weights: kernels are rehearsed before these are there, and to read a huge page is to have
    /// it.
    ///
    /// # Safety
    /// The bytes must be mapped.
    unsafe fn advise_huge_pages(bytes: *mut u8, size: usize) {
        const PAGE: usize = 4096;
        const HUGE: usize = 2 << 20;
        let before = bytes.align_offset(PAGE);
        let Some(size) = size.checked_sub(before).filter(|&size| size >= HUGE) else { return };
        // SAFETY: the pages are inside what is mapped, and none of what they hold is changed. A
        // kernel that has no such pages refuses, which is no loss.
        unsafe { libc::madvise(bytes.add(before).cast(), size / PAGE * PAGE, libc::MADV_HUGEPAGE) };
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: all that was bound to it is gone: it holds this.
            unsafe { self.device.free_memory(self.memory, None) }
        }
    }

    /// An image and a buffer, null where none was asked for, and the memory they are bound to.
    pub struct Parts {
        device: Device,
        pub image: vk::Image,
        pub buffer: vk::Buffer,
        memory: Option<Arc<Memory>>,
    }

    impl Parts {
        /// What `request` asks for, of `size` bytes; `None` if the driver refuses, or lays an image's
        /// rows out in another way.
        ///
        /// # Safety
        /// The device must live for as long as what is made here.
        pub unsafe fn new(
            hal: &wgpu::hal::vulkan::Device,
            size: u64,
            Request { texture, written }: Request<'_>,
        ) -> Option<Self> {
            let device = hal.raw_device();
            let wgpu::Extent3d { width, height, .. } = texture.size;
            let image = vk::ImageCreateInfo::default()
                .flags(vk::ImageCreateFlags::ALIAS)
                .image_type(vk::ImageType::TYPE_2D)
                .format(vk::Format::R32G32B32A32_UINT)
                .extent(vk::Extent3D { width, height, depth: 1 })
                .mip_levels(1)
                .array_layers(1)
                .samples(vk::SampleCountFlags::TYPE_1)
                .tiling(vk::ImageTiling::LINEAR)
                .usage(
                    vk::ImageUsageFlags::STORAGE
                        | vk::ImageUsageFlags::TRANSFER_SRC
                        | vk::ImageUsageFlags::TRANSFER_DST,
                );
            let buffer = vk::BufferCreateInfo::default().size(size).usage(
                vk::BufferUsageFlags::STORAGE_BUFFER
                    | vk::BufferUsageFlags::TRANSFER_SRC
                    | vk::BufferUsageFlags::TRANSFER_DST,
            );
            // SAFETY: what has not been made yet is null, which the functions that destroy take.
            unsafe {
                let mut parts = Self {
                    device: device.clone(),
                    image: vk::Image::null(),
                    buffer: vk::Buffer::null(),
                    memory: None,
                };
                parts.image = device.create_image(&image, None).ok()?;
                let aspect =
                    vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR);
                let layout = device.get_image_subresource_layout(parts.image, aspect);
                if layout.offset != 0 || layout.row_pitch != u64::from(width) * TEXEL_BYTES {
                    return None;
                }
                if written {
                    parts.buffer = device.create_buffer(&buffer, None).ok()?;
                }
                Some(parts)
            }
        }

        fn requirements(&self) -> [vk::MemoryRequirements; 2] {
            // SAFETY: both are of the device, where they are not null.
            unsafe {
                let image = self.device.get_image_memory_requirements(self.image);
                let buffer = match self.buffer == vk::Buffer::null() {
                    true => image,
                    false => self.device.get_buffer_memory_requirements(self.buffer),
                };
                [image, buffer]
            }
        }

        /// Bytes they need, and the types of memory that are right for both, a bit each.
        fn needs(&self) -> (u64, u32) {
            let [image, buffer] = self.requirements();
            (image.size.max(buffer.size), image.memory_type_bits & buffer.memory_type_bits)
        }

        /// Binds them `offset` bytes into `memory`; `None` where they are not in it, or the driver
        /// wants them elsewhere.
        ///
        /// # Safety
        /// The memory must be of the same device and of a type for both, and who uses them must not
        /// mind what else is there.
        pub unsafe fn bind(mut self, memory: Arc<Memory>, offset: u64) -> Option<Self> {
            let fits = |needs: vk::MemoryRequirements| {
                offset.is_multiple_of(needs.alignment)
                    && offset.checked_add(needs.size).is_some_and(|end| end <= memory.size)
            };
            if !self.requirements().into_iter().all(fits) {
                return None;
            }
            // SAFETY: they are inside, and not bound yet.
            unsafe {
                self.device.bind_image_memory(self.image, memory.memory, offset).ok()?;
                if self.buffer != vk::Buffer::null() {
                    self.device.bind_buffer_memory(self.buffer, memory.memory, offset).ok()?;
                }
            }
            self.memory = Some(memory);
            Some(self)
        }
    }

    impl Drop for Parts {
        fn drop(&mut self) {
            // SAFETY: only the handles that are gone used them.
            unsafe {
                self.device.destroy_buffer(self.buffer, None);
                self.device.destroy_image(self.image, None);
            }
        }
    }
}
