//! How much memory this process may still use under the limits of its Linux control groups, in
//! versions 1 and 2.
//!
//! Linux: `Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`, and
//! `proc_pid_mountinfo(5)`.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The file names under which a version of control groups reports memory.
struct Files {
    limit: &'static str,
    used: &'static str,
    /// Rows of `memory.stat` that count reclaimable pages: cached files and their kernel
    /// structures.
    cached: &'static [&'static str],
}

const FIRST: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: &["total_inactive_file", "total_active_file"],
};

const SECOND: Files = Files {
    limit: "memory.max",
    used: "memory.current",
    cached: &["inactive_file", "active_file", "slab_reclaimable"],
};

/// The least free memory, in bytes, of all groups that contain this process; `None` if none has a
/// limit. `/proc` and the group hierarchies are read below `root`.
pub fn free_in_groups(root: &Path) -> Option<u64> {
    let own = read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = read_to_string(root.join("proc/self/mountinfo")).ok()?;
    // A later mount at a path hides the earlier one.
    let mounts: BTreeMap<PathBuf, Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let free = mounts.iter().filter_map(|(place, mount)| {
        let path = own.lines().find_map(|line| mount.path_of(line))?;
        let top = root.join(place.strip_prefix("/").ok()?);
        let inner = top.join(path);
        inner
            .ancestors()
            .take_while(|group| group.starts_with(&top))
            .filter_map(|group| mount.files().free(group))
            .min()
    });
    free.min()
}

/// A mounted hierarchy of control groups.
struct Mount {
    is_second: bool,
    /// The group that the mount point shows.
    root: PathBuf,
}

impl Mount {
    /// Parses a line of `mountinfo` into the mount point and the mount; `None` if it has no memory
    /// groups.
    fn parse(line: &str) -> Option<(PathBuf, Self)> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, place) = (unescaped(mount.next()?), unescaped(mount.next()?));
        let mut kind = kind.split(' ');
        let is_second = match kind.next()? {
            "cgroup2" => true,
            "cgroup" if kind.nth(1)?.split(',').any(|option| option == "memory") => false,
            _ => return None,
        };
        Some((place, Self { is_second, root }))
    }

    /// The process's path below the mount, from a line of its `cgroup` file; `None` if the line
    /// belongs to another hierarchy. A path outside of the mount, as seen in a container, means the
    /// mount's own group.
    fn path_of(&self, line: &str) -> Option<PathBuf> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, Path::new(parts.next()?));
        let is_this = if self.is_second {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == "memory")
        };
        let is_plain =
            path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
        let inside = path.strip_prefix(&self.root).ok().filter(|_| is_plain);
        is_this.then(|| inside.unwrap_or(Path::new("")).to_owned())
    }

    fn files(&self) -> &'static Files {
        if self.is_second { &SECOND } else { &FIRST }
    }
}

impl Files {
    /// Free memory of a group in bytes; `None` if it has no limit.
    fn free(&self, group: &Path) -> Option<u64> {
        let number = |name: &str| read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
        let (limit, used) = (number(self.limit)?, number(self.used)?);
        let rows = read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = rows.lines().filter_map(|row| {
            let (name, bytes) = row.split_once(' ')?;
            self.cached.contains(&name).then(|| bytes.trim().parse::<u64>().ok()).flatten()
        });
        let cached = cached.fold(0u64, u64::saturating_add);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    }
}

/// Decodes a path of `mountinfo`, in which spaces, tabs, line ends and backslashes are octal
/// numbers.
fn unescaped(text: &str) -> PathBuf {
    let codes = [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")];
    codes.iter().fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain)).into()
}
