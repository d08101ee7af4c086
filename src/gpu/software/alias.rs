//! Textures that share their memory with a buffer.
//!
//! Lavapipe loads texels at a tenth of the price of words in a buffer, and stores them at five
//! times that price, so a tensor that is often written and read should have both. Vulkan lets an
//! image and a buffer be bound to the same memory (specification, "Memory Aliasing"), and lavapipe
//! stores a linear image as its rows, one after the other. So kernels read a tensor through its
//! texture and write it through its buffer.
//!
//! wgpu does not know that the two share memory: it puts no barrier between them, and its first
//! barrier for the image is from an undefined layout, which may discard the contents. So this is
//! only for a driver that ends a dispatch before it begins the next, and has neither caches nor
//! layouts: see `crate::gpu::adapter::adapter::is_lavapipe`.

use crate::gpu::adapter::adapter::is_lavapipe;
use crate::gpu::device::device::Gpu;
use crate::gpu::device::textures::{Made, PlainTextures, TEXEL_BYTES, TEXTURE_WIDTH, Textures};
use crate::gpu::tensor::tensor::{Element, Tensor};

/// Creates textures in the way that suits lavapipe.
struct LavapipeTextures {
    share_memory: bool,
}

impl Textures for LavapipeTextures {
    /// At least three rows and never a power of two, because lavapipe compiles a shader again for
    /// each combination of bound textures whose sides are and are not powers of two.
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

/// Makes `gpu` create textures for lavapipe if that is the driver. With `share_memory`, textures
/// share their memory with buffers where that works.
pub(in crate::gpu) fn make_textures(gpu: &mut Gpu, share_memory: bool) {
    if is_lavapipe(&gpu.report().driver) {
        gpu.textures = Box::new(LavapipeTextures { share_memory });
        if share_memory && !works(gpu) {
            log::info!("textures share no memory with buffers here, and are slow to write");
            gpu.textures = Box::new(LavapipeTextures { share_memory: false });
        }
    }
}

/// Tests whether a value written to a tensor's buffer is read from its texture.
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

/// A texture to create over some memory.
#[derive(Clone, Copy)]
pub(in crate::gpu) struct Request<'a> {
    pub texture: &'a wgpu::TextureDescriptor<'a>,
    /// Whether kernels write the texture, which then gets a buffer over its texels.
    pub written: bool,
}

/// Memory that textures and buffers are bound to, freed when the last of them is dropped.
#[cfg(target_os = "linux")]
#[derive(Clone)]
pub(in crate::gpu) struct Memory(std::sync::Arc<shared::Memory>);

#[cfg(not(target_os = "linux"))]
#[derive(Clone)]
pub(in crate::gpu) struct Memory;

/// Allocates memory with a texture and, if requested, a buffer. Memory that kernels write starts as
/// zeros; the host fills the rest. `None` if aliasing is not supported, there is no memory, or the
/// size exceeds what a buffer can bind.
#[cfg(target_os = "linux")]
pub(in crate::gpu) fn allocate(gpu: &Gpu, request: Request<'_>) -> Option<(Memory, Made)> {
    // SAFETY: the device is alive, and the parts are made for `request`.
    unsafe {
        let device = gpu.device.as_hal::<wgpu::hal::vulkan::Api>()?;
        let parts = shared::Parts::new(&device, gpu.bytes_of(request)?, request)?;
        let memory = shared::Memory::of(&device, &parts, request.written)?;
        let parts = parts.bind(std::sync::Arc::clone(&memory), 0)?;
        drop(device);
        Some((Memory(memory), made(gpu, parts, request)?))
    }
}

/// Creates a texture and, if requested, a buffer over existing memory, at `offset` bytes. `None` in
/// the cases of [`allocate`].
#[cfg(target_os = "linux")]
pub(in crate::gpu) fn within(
    gpu: &Gpu,
    memory: &Memory,
    offset: u64,
    request: Request<'_>,
) -> Option<Made> {
    // SAFETY: the device is alive, and the parts are made for `request`.
    unsafe {
        let device = gpu.device.as_hal::<wgpu::hal::vulkan::Api>()?;
        let parts = shared::Parts::new(&device, gpu.bytes_of(request)?, request)?;
        let parts = parts.bind(std::sync::Arc::clone(&memory.0), offset)?;
        drop(device);
        made(gpu, parts, request)
    }
}

impl Gpu {
    /// Bytes of all rows; `None` if a buffer cannot bind that many.
    fn bytes_of(&self, Request { texture, written }: Request<'_>) -> Option<u64> {
        let size = u64::from(texture.size.width) * TEXEL_BYTES * u64::from(texture.size.height);
        (!written || size <= self.capabilities().max_binding_bytes).then_some(size)
    }
}

/// Wraps the parts as wgpu's texture and buffer.
///
/// # Safety
/// The parts must belong to this device and be made for `request` and bound.
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
    // SAFETY: the handles belong to the device and are destroyed with the last of texture and
    // buffer, which wgpu reports after the device has finished with them. The descriptors are those
    // that they were made by, and this driver's barriers leave their contents unchanged.
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

    /// An allocation of device memory.
    pub struct Memory {
        device: Device,
        memory: vk::DeviceMemory,
        size: u64,
    }

    impl Memory {
        /// Allocates memory for `parts`, zeroed if requested. `None` if the driver refuses.
        ///
        /// # Safety
        /// The device must outlive the memory.
        pub unsafe fn of(
            hal: &wgpu::hal::vulkan::Device,
            parts: &Parts,
            zeroed: bool,
        ) -> Option<Arc<Self>> {
            let device = hal.raw_device();
            // SAFETY: the handles belong to the device, and the mapping is as long as the range
            // written.
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

    /// Asks the kernel for pages of 2 MiB: a token reads all of a cache, and a CPU looks up a page
    /// and restarts its prefetching every 4 KiB. Not for weights: kernels are warmed up before the
    /// weights are loaded, and reading a huge page makes it resident.
    ///
    /// # Safety
    /// The bytes must be mapped.
    unsafe fn advise_huge_pages(bytes: *mut u8, size: usize) {
        const PAGE: usize = 4096;
        const HUGE: usize = 2 << 20;
        let before = bytes.align_offset(PAGE);
        let Some(size) = size.checked_sub(before).filter(|&size| size >= HUGE) else { return };
        // SAFETY: the pages are inside the mapping and their contents do not change. A kernel
        // without huge pages refuses, which does no harm.
        unsafe { libc::madvise(bytes.add(before).cast(), size / PAGE * PAGE, libc::MADV_HUGEPAGE) };
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: everything bound to the memory is gone, because it holds a reference to this.
            unsafe { self.device.free_memory(self.memory, None) }
        }
    }

    /// An image and a buffer, null if not requested, and the memory that they are bound to.
    pub struct Parts {
        device: Device,
        pub image: vk::Image,
        pub buffer: vk::Buffer,
        memory: Option<Arc<Memory>>,
    }

    impl Parts {
        /// Creates what `request` asks for, with `size` bytes; `None` if the driver refuses, or
        /// stores an image's rows in another layout.
        ///
        /// # Safety
        /// The device must outlive the parts.
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
            // SAFETY: handles that were not created are null, which the destroying functions
            // accept.
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
            // SAFETY: both handles belong to the device, or are null.
            unsafe {
                let image = self.device.get_image_memory_requirements(self.image);
                let buffer = if self.buffer == vk::Buffer::null() {
                    image
                } else {
                    self.device.get_buffer_memory_requirements(self.buffer)
                };
                [image, buffer]
            }
        }

        /// Bytes that the parts need, and a bit mask of the memory types that suit both.
        fn needs(&self) -> (u64, u32) {
            let [image, buffer] = self.requirements();
            (image.size.max(buffer.size), image.memory_type_bits & buffer.memory_type_bits)
        }

        /// Binds the parts `offset` bytes into `memory`; `None` if they do not fit, or the driver
        /// needs another alignment.
        ///
        /// # Safety
        /// The memory must belong to the same device and have a type that suits both, and users of
        /// the parts must accept other data in the same memory.
        pub unsafe fn bind(mut self, memory: Arc<Memory>, offset: u64) -> Option<Self> {
            let fits = |needs: vk::MemoryRequirements| {
                offset.is_multiple_of(needs.alignment)
                    && offset.checked_add(needs.size).is_some_and(|end| end <= memory.size)
            };
            if !self.requirements().into_iter().all(fits) {
                return None;
            }
            // SAFETY: the parts fit into the memory and are not bound yet.
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
            // SAFETY: the handles have no other users left.
            unsafe {
                self.device.destroy_buffer(self.buffer, None);
                self.device.destroy_image(self.image, None);
            }
        }
    }
}
