//! The fastest strategy for a kernel's shape on an adapter with a driver, in a small file that the
//! user can read, share and delete.

use super::cache_file::{self, driver};
use crate::Result;
use crate::gpu::adapter::adapter::AdapterReport;
use crate::gpu::adapter::storage::StorageKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A choice that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The adapter's name.
    pub adapter: String,
    /// The driver with its version.
    pub driver: String,
    /// Where the tensors were stored.
    pub storage: StorageKind,
    /// The kernel's name.
    pub kernel: String,
    /// The kernel's shape, as [`crate::gpu::Kernel::shape`] describes it.
    pub shape: String,
    /// The fastest strategy.
    pub strategy: String,
    /// The strategy's counts by name, such as the tokens in a tile.
    pub sizes: BTreeMap<String, u32>,
    /// Its shortest run in microseconds.
    pub us: f64,
    /// The shortest run, in microseconds, of the strategy that would be used without this entry.
    pub first_us: f64,
    /// Fingerprint of the candidate shaders ([`crate::gpu::fingerprint()`]); other texts make the
    /// entry void.
    pub source: String,
}

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// A note to a user who opens the file.
    about: String,
    tuned: Vec<Tuned>,
}

const ABOUT: &str = "The fastest strategies of kernels, as autotuning measured them, by adapter and \
    driver. Autotuning can import this file elsewhere. Delete it to go back to the defaults.";

/// The choices measured on this machine or shared by others.
#[derive(Debug)]
pub struct Tuning {
    path: PathBuf,
    entries: Vec<Tuned>,
}

impl Tuning {
    /// The default path of the file: `kaiwu/tuning.json` in the user's cache folder.
    pub fn default_path() -> Option<PathBuf> {
        cache_file::path("tuning.json")
    }

    /// Reads the file; one that does not exist has no entries.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let contents: Option<Contents> = cache_file::read(path, "tuning file", cache_file::OURS)?;
        Ok(Self { path: path.into(), entries: contents.unwrap_or_default().tuned })
    }

    /// Reads a file measured on another machine, which the message about a damaged file does not
    /// suggest to delete.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn read_shared(path: &Path) -> Result<Self> {
        let contents: Option<Contents> = cache_file::read(path, "tuning file", "")?;
        Ok(Self { path: path.into(), entries: contents.unwrap_or_default().tuned })
    }

    /// All entries.
    pub fn entries(&self) -> &[Tuned] {
        &self.entries
    }

    /// The entries of one adapter and driver.
    pub fn of<'a>(&'a self, report: &AdapterReport) -> impl Iterator<Item = &'a Tuned> {
        let (adapter, driver) = (report.name.clone(), driver(report));
        self.entries.iter().filter(move |entry| entry.adapter == adapter && entry.driver == driver)
    }

    /// Adds entries, replacing those with equal adapter, driver, storage, kernel and shape.
    pub fn add(&mut self, tuned: impl IntoIterator<Item = Tuned>) {
        fn key(entry: &Tuned) -> [&str; 4] {
            [&entry.adapter, &entry.driver, &entry.kernel, &entry.shape]
        }
        for new in tuned {
            self.entries.retain(|old| key(old) != key(&new) || old.storage != new.storage);
            self.entries.push(new);
        }
    }

    /// Removes the entries of one adapter and driver, and returns how many there were.
    pub fn forget(&mut self, report: &AdapterReport) -> usize {
        let (adapter, driver) = (report.name.clone(), driver(report));
        let before = self.entries.len();
        self.entries.retain(|entry| entry.adapter != adapter || entry.driver != driver);
        before - self.entries.len()
    }

    /// Writes the file atomically; without entries it is deleted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<()> {
        let contents = Contents { about: ABOUT.into(), tuned: self.entries.clone() };
        cache_file::write(&self.path, (!self.entries.is_empty()).then_some(&contents))
    }
}

/// The names of an adapter and its driver, as entries hold them.
pub fn names(report: &AdapterReport) -> (String, String) {
    (report.name.clone(), driver(report))
}
