//! Textures that share their memory with a buffer.
//!
//! Lavapipe loads texels at a tenth of the price of words in a buffer, and stores them at five times that price: what is
//! written often and read often wants to be both. Vulkan lets an image and a buffer be bound to the same memory
//! (specification, "Memory Aliasing"), and in lavapipe a linear image is its rows, one after the other. So kernels read a
//! tensor through its texture and write it through its buffer.
//!
//! wgpu takes the two for strangers and puts no barrier between them, and its first one for the image is from an undefined layout,
//! which may lose what was there. So this is for a driver that ends a dispatch before it
//! begins the next, and has neither caches nor layouts: see `super::adapter::is_lavapipe`.

use super::device::Gpu;
use super::tensor::{Element, StorageKind, Tensor};

/// Whether a texture and a buffer share memory here: what is written to the one is read from the other.
pub(super) fn works(gpu: &Gpu) -> bool {
    let words = [0x1234_5678, 2, 3, 4];
    let shared = Tensor::made(gpu, StorageKind::Texture, "alias", &[4], Element::U32, true).ok();
    let shared = shared.filter(|texture| !texture.written().is(texture));
    let read = shared.and_then(|texture| {
        texture.written().write(gpu, 0, bytemuck::cast_slice(&words));
        texture.read(gpu).ok()
    });
    let works = read.as_deref() == Some(&words);
    if !works {
        log::info!("textures share no memory with buffers here, and are slow to write");
    }
    works
}

/// A texture of zeros and a buffer over its texels, row by row. `None` where there is no such thing, no memory for it, or more of it
/// than a buffer can bind.
#[cfg(target_os = "linux")]
pub(super) fn allocate(
    gpu: &Gpu,
    texture: &wgpu::TextureDescriptor<'_>,
    texel_bytes: u32,
) -> Option<(wgpu::Texture, wgpu::Buffer)> {
    use wgpu::TextureUses as Uses;
    use wgpu::hal::{MemoryFlags, TextureDescriptor, vulkan};

    let size = u64::from(texture.size.width * texel_bytes) * u64::from(texture.size.height);
    if size > gpu.capabilities().max_binding_bytes {
        return None;
    }
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    debug_assert_eq!(texture.format, wgpu::TextureFormat::Rgba32Uint);
    // SAFETY: the handles below are made by this device and destroyed when the last of texture and buffer is, which wgpu
    // tells after the device has done with them; their descriptions are those that they were made by, and they hold zeros,
    // which this driver's barriers leave as they are.
    unsafe {
        let device = gpu.device.as_hal::<vulkan::Api>()?;
        let memory = shared::Memory::new(&device, texture, texel_bytes, size)?;
        let (image, buffer) = (memory.image, memory.buffer);
        let owners = [memory.clone(), memory];
        let [for_texture, for_buffer] = owners.map(|owner| Box::new(move || drop(owner)));
        let described = TextureDescriptor {
            label: texture.label,
            size: texture.size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: texture.dimension,
            format: texture.format,
            usage: Uses::STORAGE_READ_ONLY | Uses::STORAGE_WRITE_ONLY | Uses::COPY_SRC | Uses::COPY_DST,
            memory_flags: MemoryFlags::empty(),
            view_formats: vec![],
        };
        let external = vulkan::TextureMemory::External;
        let image = device.texture_from_raw(image, &described, Some(for_texture), external);
        drop(device);
        let buffer = vulkan::Buffer::from_raw_externally_owned(buffer, for_buffer);
        let described =
            wgpu::BufferDescriptor { label: texture.label, size, usage, mapped_at_creation: false };
        Some((
            gpu.device.create_texture_from_hal::<vulkan::Api>(image, texture, Uses::UNINITIALIZED),
            gpu.device.create_buffer_from_hal::<vulkan::Api>(buffer, &described),
        ))
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn allocate(
    _: &Gpu,
    _: &wgpu::TextureDescriptor<'_>,
    _: u32,
) -> Option<(wgpu::Texture, wgpu::Buffer)> {
    None
}

#[cfg(target_os = "linux")]
mod shared {
    use ash::{Device, vk};
    use std::sync::Arc;

    /// Memory with the image and the buffer that are bound to it.
    pub struct Memory {
        device: Device,
        memory: vk::DeviceMemory,
        pub image: vk::Image,
        pub buffer: vk::Buffer,
    }

    impl Memory {
        /// Zeros under an image of `texture` and a buffer of `size` bytes; `None` if the driver refuses, or lays the image's
        /// rows out in another way.
        ///
        /// # Safety
        /// The device must live for as long as what is made here.
        pub unsafe fn new(
            hal: &wgpu::hal::vulkan::Device,
            texture: &wgpu::TextureDescriptor<'_>,
            texel_bytes: u32,
            size: u64,
        ) -> Option<Arc<Self>> {
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
            // SAFETY: what has not been made yet is null, which all the functions that destroy take; what is made is bound
            // before it is used, to memory that is large enough and of a type for both.
            unsafe {
                let mut all = Self {
                    device: device.clone(),
                    memory: vk::DeviceMemory::null(),
                    image: vk::Image::null(),
                    buffer: vk::Buffer::null(),
                };
                all.image = device.create_image(&image, None).ok()?;
                let aspect = vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR);
                let layout = device.get_image_subresource_layout(all.image, aspect);
                if layout.offset != 0 || layout.row_pitch != u64::from(width * texel_bytes) {
                    return None;
                }
                all.buffer = device.create_buffer(&buffer, None).ok()?;
                let needs = device.get_image_memory_requirements(all.image);
                let buffers = device.get_buffer_memory_requirements(all.buffer);
                let types = hal
                    .shared_instance()
                    .raw_instance()
                    .get_physical_device_memory_properties(hal.raw_physical_device());
                let ours = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
                let kind = types.memory_types_as_slice().iter().enumerate().position(|(index, kind)| {
                    let bit = 1 << index;
                    needs.memory_type_bits & buffers.memory_type_bits & bit != 0
                        && kind.property_flags.contains(ours)
                })?;
                let whole = needs.size.max(buffers.size);
                let memory =
                    vk::MemoryAllocateInfo::default().allocation_size(whole).memory_type_index(kind as u32);
                all.memory = device.allocate_memory(&memory, None).ok()?;
                device.bind_image_memory(all.image, all.memory, 0).ok()?;
                device.bind_buffer_memory(all.buffer, all.memory, 0).ok()?;
                let bytes = device.map_memory(all.memory, 0, whole, vk::MemoryMapFlags::empty()).ok()?;
                bytes.cast::<u8>().write_bytes(0, size as usize);
                device.unmap_memory(all.memory);
                Some(Arc::new(all))
            }
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: nobody but the two handles that are gone used them.
            unsafe {
                self.device.destroy_buffer(self.buffer, None);
                self.device.destroy_image(self.image, None);
                self.device.free_memory(self.memory, None);
            }
        }
    }
}
