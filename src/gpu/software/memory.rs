//! Returns memory that the driver's compiler took and no longer needs.

use crate::gpu::device::device::Gpu;

impl Gpu {
    /// Returns memory that compiling took and no longer needs to the system, before a large
    /// allocation.
    pub(crate) fn trim_memory(&self) {
        return_to_system();
    }
}

/// Returns memory that compiling left resident, once all shaders are compiled. Compilers free many
/// pages, which glibc keeps for later small allocations, and few of those follow. The code of
/// lavapipe's compiler is mapped from a file, so its pages are loaded again if it is called again.
fn return_to_system() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: the function takes no pointers, and may be called at any time from any thread.
        unsafe { libc::malloc_trim(0) };
        for code in
            std::fs::read_to_string("/proc/self/smaps").iter().flat_map(|maps| compiler_code(maps))
        {
            // SAFETY: these pages are mapped from a file and never changed, so the next access
            // loads the same bytes again.
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

/// The ranges of LLVM's code by this `/proc/self/smaps`, except for pages changed in memory, by a
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

#[cfg(test)]
mod tests {
    use super::compiler_code;

    #[test]
    fn finds_code_of_llvm_that_is_as_in_its_file() {
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
