//! What this process may still take of the memory that the control groups it is in are limited to,
//! in either version of them.
//!
//! Linux: `Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`, and
//! `proc_pid_mountinfo(5)`.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// How a version names what it knows of a group's memory.
struct Files {
    limit: &'static str,
    used: &'static str,
    /// Rows of `memory.stat` with pages that the system takes back when they are needed: files that
    /// were read, and lists of them.
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

/// The least that is free in any of the groups around this process; `None` where none has a limit.
/// `/proc` and the groups are read below `root`.
pub fn free_in_groups(root: &Path) -> Option<u64> {
    let own = read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = read_to_string(root.join("proc/self/mountinfo")).ok()?;
    // What is mounted later at a place hides what was there.
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

/// A hierarchy of groups.
struct Mount {
    is_second: bool,
    /// The group that stands at the place of the mount.
    root: PathBuf,
}

impl Mount {
    /// A line of `mountinfo`: its place, and what is there if it has to do with memory.
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

    /// Where the process is below the mount, by a line of its `cgroup` file if that is of this
    /// hierarchy. What lies outside, as a container sees it, is taken for the mount's own group.
    fn path_of(&self, line: &str) -> Option<PathBuf> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, Path::new(parts.next()?));
        let is_this = match self.is_second {
            true => controllers.is_empty(),
            false => controllers.split(',').any(|name| name == "memory"),
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
    /// What is free in a group, if it has a limit.
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

/// A path of `mountinfo`, where spaces, tabs, line ends and backslashes are octal numbers.
fn unescaped(text: &str) -> PathBuf {
    let codes = [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")];
    codes.iter().fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain)).into()
}
