//! Strategies found wrong on an adapter with a driver, in a small file that the user can read and
//! delete.

use super::cache_file::{self, driver};
use crate::Result;
use crate::gpu::adapter::adapter::AdapterReport;
use crate::gpu::adapter::storage::StorageKind;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A strategy that is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The adapter's name.
    pub adapter: String,
    /// The driver and its version; with another version the strategy is tried again.
    pub driver: String,
    /// Where the strategy's tensors were stored.
    pub storage: StorageKind,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// Fingerprint of the shader ([`crate::gpu::fingerprint()`]); with another text the strategy is
    /// tried again.
    pub source: String,
    /// A description of the failure.
    pub reason: String,
}

/// Takes the place of kernel and strategy in an entry for a storage with kernels that have no
/// correct strategy.
pub const WHOLE_STORAGE: &str = "storage";

/// A strategy found wrong: [`Quarantined`] without the adapter and driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Where the strategy's tensors were stored.
    pub storage: StorageKind,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// Fingerprint of the shader ([`crate::gpu::fingerprint()`]).
    pub source: String,
    /// A description of the failure.
    pub reason: String,
}

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// A note to a user who opens the file.
    about: String,
    quarantined: Vec<Quarantined>,
}

const ABOUT: &str = "Kernel strategies that the doctor found wrong on an adapter with a driver, and that \
    Kaiwu skips there. Delete this file, or run the doctor again, to give them another chance.";

/// The strategies found wrong on this machine.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    entries: Vec<Quarantined>,
}

impl Quarantine {
    /// The default path of the file: `kaiwu/quarantine.json` in the user's cache folder.
    pub fn default_path() -> Option<PathBuf> {
        cache_file::path("quarantine.json")
    }

    /// Reads the file; one that does not exist has no entries.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let contents: Option<Contents> = cache_file::read(path, "quarantine", cache_file::OURS)?;
        Ok(Self { path: path.into(), entries: contents.unwrap_or_default().quarantined })
    }

    /// The entries of one adapter and driver.
    pub fn of<'a>(&'a self, report: &AdapterReport) -> impl Iterator<Item = &'a Quarantined> {
        let (adapter, driver) = (report.name.clone(), driver(report));
        self.entries.iter().filter(move |entry| entry.adapter == adapter && entry.driver == driver)
    }

    /// Replaces the entries of one adapter and driver that were `looked_at` again by `wrong`, and
    /// keeps the others.
    pub fn set(
        &mut self,
        report: &AdapterReport,
        looked_at: impl Fn(&Quarantined) -> bool,
        wrong: Vec<Wrong>,
    ) {
        let (adapter, driver) = (report.name.clone(), driver(report));
        self.entries.retain(|entry| {
            entry.adapter != adapter || entry.driver != driver || !looked_at(entry)
        });
        self.entries.extend(wrong.into_iter().map(|wrong| Quarantined {
            adapter: adapter.clone(),
            driver: driver.clone(),
            storage: wrong.storage,
            kernel: wrong.kernel,
            strategy: wrong.strategy,
            source: wrong.source,
            reason: wrong.reason,
        }));
    }

    /// Writes the file atomically; without entries it is deleted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<()> {
        let contents = Contents { about: ABOUT.into(), quarantined: self.entries.clone() };
        cache_file::write(&self.path, (!self.entries.is_empty()).then_some(&contents))
    }
}
