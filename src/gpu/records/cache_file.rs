//! Small files with results about an adapter, in the user's cache folder, which the user can read
//! and delete.

use crate::files::write_whole;
use crate::gpu::adapter::adapter::AdapterReport;
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// The largest accepted file in bytes; the program writes none that large.
const LARGEST: u64 = 1 << 20;

/// The path of the file `name`, in the folder `kaiwu` of the user's cache folder.
pub(in crate::gpu) fn path(name: &str) -> Option<PathBuf> {
    let variable =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder(std::env::consts::OS, variable, |path| path.is_dir()).map(|folder| folder.join(name))
}

/// The explanation when no cache folder is known.
pub const NO_FOLDER: &str = if cfg!(windows) {
    "neither LOCALAPPDATA nor XDG_CACHE_HOME is set"
} else {
    "neither HOME nor XDG_CACHE_HOME is set"
};

/// The program's cache folder on a system: `$XDG_CACHE_HOME/kaiwu` if that is set (XDG Base
/// Directory Specification 0.8), else the system's cache folder. That is `~/.cache/kaiwu` except on
/// Windows and macOS, where `~/.cache/kaiwu` is used only if it exists.
fn folder(
    system: &str,
    variable: impl Fn(&str) -> Option<PathBuf>,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    if let Some(caches) = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
        return Some(caches.join("kaiwu"));
    }
    let common = variable("HOME").map(|home| home.join(".cache").join("kaiwu"));
    let own = match system {
        "windows" => variable("LOCALAPPDATA").map(|folder| folder.join("kaiwu")),
        "macos" => variable("HOME").map(|home| home.join("Library").join("Caches").join("kaiwu")),
        _ => None,
    };
    match (own, common) {
        (Some(own), common) => Some(common.filter(|common| exists(common)).unwrap_or(own)),
        (None, common) => common,
    }
}

/// An adapter's driver and its version, as written in the files.
pub(in crate::gpu) fn driver(report: &AdapterReport) -> String {
    format!("{} {}", report.driver, report.driver_info).trim().to_owned()
}

/// What to do about a damaged file that the program wrote.
pub(in crate::gpu) const OURS: &str = "; delete this file to begin anew";

/// Reads the file, which messages call `what`; `None` if it does not exist. `advice` is appended to
/// the message about a damaged file.
pub(in crate::gpu) fn read<T: DeserializeOwned>(
    path: &Path,
    what: &str,
    advice: &str,
) -> Result<Option<T>> {
    let damaged = |problem: String| Error::damaged(path, format!("{problem}{advice}"));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
        Ok(metadata) if metadata.len() > LARGEST => {
            return Err(damaged(format!("has {} bytes, no {what} is as long", metadata.len())));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| damaged(format!("is not a {what}: {error}")))
}

/// Writes the file atomically, or deletes it if `contents` is `None`.
pub(in crate::gpu) fn write(path: &Path, contents: Option<&impl Serialize>) -> Result<()> {
    let Some(contents) = contents else {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("delete", path)(error))
            }
            _ => Ok(()),
        };
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    let text = serde_json::to_string_pretty(contents)
        .map_err(|error| Error::damaged(path, format!("JSON: {error}")))?;
    write_whole(path, text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_folder_for_caches() {
        let all = [("HOME", "/home/a"), ("LOCALAPPDATA", "/local")];
        let here = [&all[..], &[("XDG_CACHE_HOME", "/caches")]].concat();
        let relative = [&all[..], &[("XDG_CACHE_HOME", "caches")]].concat();
        for (system, set, there, expected) in [
            ("linux", &all[..], false, Some("/home/a/.cache/kaiwu")),
            ("linux", &here, true, Some("/caches/kaiwu")),
            ("linux", &relative, false, Some("/home/a/.cache/kaiwu")),
            ("linux", &[], false, None),
            ("windows", &all, false, Some("/local/kaiwu")),
            ("windows", &all, true, Some("/home/a/.cache/kaiwu")),
            ("windows", &all[..1], false, Some("/home/a/.cache/kaiwu")),
            ("windows", &here, false, Some("/caches/kaiwu")),
            ("macos", &all, false, Some("/home/a/Library/Caches/kaiwu")),
            ("macos", &all, true, Some("/home/a/.cache/kaiwu")),
            ("macos", &here, false, Some("/caches/kaiwu")),
        ] {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value))
            };
            assert_eq!(
                folder(system, variable, |_| there),
                expected.map(PathBuf::from),
                "{system} {set:?}"
            );
        }
    }
}
