//! How much memory a device has, where that can be known.

use super::cgroup::free_in_groups;
use super::device::{Gpu, GpuOptions};
use crate::error::Remedy;
use crate::{Error, Result};
use std::path::Path;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Memory that tensors can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Of a device of its own, or what was allowed: so much, with what is taken already.
    Device(u64),
    /// The computer's: adapters that compute on the CPU, and GPUs without memory of their own, take
    /// from it.
    System,
    /// Nobody says.
    Unknown,
}

impl Memory {
    /// What `adapter` has.
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

/// The largest heap that is the device's own, by Vulkan's account; wgpu has no name for it.
#[cfg(any(target_os = "linux", target_os = "windows"))]
fn heap(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handles are only asked for their properties, while the adapter is held.
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

/// What is free of the computer's memory, or of what this process may have of it.
fn free() -> Option<u64> {
    let asked = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(asked);
    let free = system.available_memory();
    let free = free_in_groups(Path::new("/")).map_or(free, |in_groups| free.min(in_groups));
    (system.total_memory() > 0).then_some(free)
}

/// Gives back what compiling left resident, for when all shaders are compiled. Compilers free many
/// pages, which glibc keeps for what is allocated in small pieces later, and there is little of
/// that here. The code of lavapipe's compiler is a file like a model's: pages of it come back from
/// there, should it be called again.
pub fn return_compilers_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes no pointers, and may be called at any time from any thread.
        unsafe { libc::malloc_trim(0) };
        for code in
            std::fs::read_to_string("/proc/self/smaps").iter().flat_map(|maps| compiler_code(maps))
        {
            // SAFETY: these are pages of a file, mapped to be read and run and by nobody changed,
            // so that the next who reads or runs one finds the same bytes.
            let done = unsafe {
                libc::madvise(code.start as *mut _, code.end - code.start, libc::MADV_DONTNEED)
            };
            log::debug!(
                "{} KiB of the compiler's code given back: {done}",
                (code.end - code.start) >> 10
            );
        }
    }
}

/// Where LLVM's code lies by this `/proc/self/smaps`, without what was changed in memory, by a
/// debugger for instance.
#[cfg(any(test, all(target_os = "linux", target_env = "gnu")))]
fn compiler_code(maps: &str) -> Vec<std::ops::Range<usize>> {
    let (mut all, mut current) = (Vec::new(), None);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Anonymous:"), Some("0")) => all.extend(current.take()),
            (Some(name), _) if name.ends_with(':') => {}
            (Some(place), rights) => {
                let file = line.rsplit('/').next().filter(|file| file.starts_with("libLLVM"));
                let code = file.filter(|_| rights == Some("r-xp")).and_then(|_| {
                    let (start, end) = place.split_once('-')?;
                    let address = |digits| usize::from_str_radix(digits, 16).ok();
                    Some(address(start)?..address(end)?)
                });
                current = code;
            }
            _ => {}
        }
    }
    all
}

impl Gpu {
    /// Refuses what cannot fit: `more` bytes to allocate beside `held` ones that are there. `what`
    /// names them.
    ///
    /// # Errors
    /// When they do not fit, with the figures.
    pub fn refuse_beyond(&self, held: u64, more: u64, what: &str) -> Result<()> {
        self.refuse_more(held, more, what, Remedy::SmallerInference)
    }

    /// Refuses what cannot fit, as [`Gpu::refuse_beyond`] does, where `remedy` would take less.
    ///
    /// # Errors
    /// When it does not fit, with the figures.
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

#[cfg(test)]
mod tests {
    use super::compiler_code;

    #[test]
    fn finds_code_of_llvm_that_nobody_changed() {
        let maps = "\
7f0000000000-7f0000001000 r--p 00000000 08:01 7      /usr/lib/libLLVM-15.so.1
Anonymous:             0 kB
7f0000001000-7f0000003000 r-xp 00001000 08:01 7      /usr/lib/libLLVM-15.so.1
Rss:                   8 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
7f0000003000-7f0000005000 rw-p 00003000 08:01 7      /usr/lib/libLLVM-15.so.1
Anonymous:             0 kB
7f0000005000-7f0000006000 r-xp 00001000 08:01 8      /usr/lib/libLLVM.so.19.1
Anonymous:             4 kB
7f0000007000-7f0000008000 r-xp 00001000 08:01 9      /usr/lib/libvulkan.so.1
Anonymous:             0 kB
7f0000009000-7f000000a000 rw-p 00000000 00:00 0 \n\
Anonymous:             0 kB\n";
        let found = compiler_code(maps);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0], 0x7f00_0000_1000..0x7f00_0000_3000);
    }
}
