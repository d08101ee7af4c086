//! Strategies that were found wrong on an adapter with a driver, in a small file that people can read and delete.

use super::adapter::AdapterReport;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A strategy that is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The adapter's name.
    pub adapter: String,
    /// The driver with its version: another version is another chance.
    pub driver: String,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// What was wrong, in words.
    pub reason: String,
}

/// The file as it is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// For people who come across the file.
    about: String,
    quarantined: Vec<Quarantined>,
}

const ABOUT: &str = "Kernel strategies that `kaiwu doctor` found wrong on an adapter with a driver, and that kaiwu \
    skips there. Delete this file, or run `kaiwu doctor` again, to give them another chance.";

/// Larger files are none of ours, bytes.
const LARGEST: u64 = 1 << 20;

/// The strategies found wrong on this machine.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    entries: Vec<Quarantined>,
}

/// An adapter's driver with its version, as the file names it.
pub(super) fn driver(report: &AdapterReport) -> String {
    format!("{} {}", report.driver, report.driver_info).trim().to_owned()
}

impl Quarantine {
    /// Where the program keeps the file: `$XDG_CACHE_HOME/kaiwu/quarantine.json`, `~/.cache/kaiwu/quarantine.json`
    /// without that variable (XDG Base Directory Specification 0.8).
    pub fn default_path() -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let cache = cache.or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
        Some(cache.join("kaiwu").join("quarantine.json"))
    }

    /// Reads the file; one that does not exist has no entries.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let empty = || Self { path: path.into(), entries: vec![] };
        let damaged = |what: String| Error::format(path, format!("{what}; delete this file to begin anew"));
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(empty()),
            Err(error) => return Err(Error::io("read", path)(error)),
            Ok(metadata) if metadata.len() > LARGEST => {
                return Err(damaged(format!("has {} bytes, no quarantine is as long", metadata.len())));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let contents: Contents =
            serde_json::from_str(&text).map_err(|error| damaged(format!("is not a quarantine: {error}")))?;
        Ok(Self { entries: contents.quarantined, ..empty() })
    }

    /// Those of one adapter and driver.
    pub fn of<'a>(&'a self, report: &AdapterReport) -> impl Iterator<Item = &'a Quarantined> {
        let (adapter, driver) = (report.name.clone(), driver(report));
        self.entries.iter().filter(move |entry| entry.adapter == adapter && entry.driver == driver)
    }

    /// Replaces all entries of one adapter and driver by `wrong`: kernel, strategy, reason.
    pub fn set(&mut self, report: &AdapterReport, wrong: Vec<(String, String, String)>) {
        let (adapter, driver) = (report.name.clone(), driver(report));
        self.entries.retain(|entry| entry.adapter != adapter || entry.driver != driver);
        self.entries.extend(wrong.into_iter().map(|(kernel, strategy, reason)| Quarantined {
            adapter: adapter.clone(),
            driver: driver.clone(),
            kernel,
            strategy,
            reason,
        }));
    }

    /// Writes the file, in one piece; without entries there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<()> {
        if self.entries.is_empty() {
            return match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io("delete", &self.path)(error))
                }
                _ => Ok(()),
            };
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let contents = Contents { about: ABOUT.into(), quarantined: self.entries.clone() };
        let text = serde_json::to_string_pretty(&contents)
            .map_err(|error| Error::format(&self.path, format!("JSON: {error}")))?;
        // Another process never sees half a file.
        let half = self.path.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&half, text + "\n").map_err(Error::io("write", &half))?;
        std::fs::rename(&half, &self.path).map_err(Error::io("write", &self.path))
    }
}
