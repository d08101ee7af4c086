//! How much memory a device has, if that is known.

use super::cgroup::free_in_groups;
use super::device::{Gpu, GpuOptions};
use crate::error::Remedy;
use crate::{Error, Result};
use std::path::Path;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The memory that tensors may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The device's own memory or the allowed limit: total bytes, including those already in use.
    Device(u64),
    /// The computer's main memory, which adapters on the CPU and integrated GPUs share.
    System,
    /// Unknown.
    Unknown,
}

impl Memory {
    /// The memory of `adapter`.
    pub(in crate::gpu) fn of(
        adapter: &wgpu::Adapter,
        kind: wgpu::DeviceType,
        options: &GpuOptions,
    ) -> Self {
        if let Some(most) = options.memory_bytes {
            return Self::Device(most);
        }
        match kind {
            wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu => Self::System,
            _ => heap(adapter).map_or(Self::Unknown, Self::Device),
        }
    }
}

/// The size in bytes of the largest device-local heap, from Vulkan because wgpu does not report it.
#[cfg(any(target_os = "linux", target_os = "windows"))]
fn heap(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handles are only asked for their properties while the adapter is alive.
    unsafe {
        let vulkan = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = vulkan.shared_instance().raw_instance();
        let found = instance.get_physical_device_memory_properties(vulkan.raw_physical_device());
        let heaps = found.memory_heaps.iter().take(found.memory_heap_count as usize);
        // Bit 0 of a heap's flags: VK_MEMORY_HEAP_DEVICE_LOCAL_BIT.
        heaps.filter(|heap| heap.flags.as_raw() & 1 != 0).map(|heap| heap.size).max()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "windows")))]
fn heap(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// Free main memory in bytes, within the limits of this process.
fn free() -> Option<u64> {
    let asked = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(asked);
    let free = system.available_memory();
    let free = free_in_groups(Path::new("/")).map_or(free, |in_groups| free.min(in_groups));
    (system.total_memory() > 0).then_some(free)
}

impl Gpu {
    /// Refuses an allocation that cannot fit: `more` bytes in addition to the `held` ones. `what`
    /// names it in the message.
    ///
    /// # Errors
    /// When it does not fit, with both sizes in the message.
    pub fn refuse_beyond(&self, held: u64, more: u64, what: &str) -> Result<()> {
        self.refuse_more(held, more, what, Remedy::SmallerInference)
    }

    /// Like [`Gpu::refuse_beyond`], with a `remedy` in the message that would take less memory.
    ///
    /// # Errors
    /// When it does not fit, with both sizes in the message.
    pub fn refuse_more(&self, held: u64, more: u64, what: &str, remedy: Remedy) -> Result<()> {
        let (needed, available, is_shared) = match self.memory {
            Memory::Unknown => return Ok(()),
            Memory::Device(most) => (held.saturating_add(more), most, false),
            Memory::System => match free() {
                None => return Ok(()),
                Some(free) => (more, free, true),
            },
        };
        if needed <= available {
            return Ok(());
        }
        let (what, adapter) = (what.to_owned(), self.report().name.clone());
        Err(Error::OutOfMemory { what, needed, available, adapter, is_shared, remedy })
    }
}
