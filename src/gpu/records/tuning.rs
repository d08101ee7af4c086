//! Which strategy is fastest for a kernel's shape on an adapter with a driver, in a small file that
//! people can read, share and delete.

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
    /// Where the tensors were.
    pub storage: StorageKind,
    /// The kernel's name.
    pub kernel: String,
    /// [`crate::gpu::Kernel::shape`].
    pub shape: String,
    /// The fastest strategy.
    pub strategy: String,
    /// Its counts, such as the tokens of a tile.
    pub sizes: BTreeMap<String, u32>,
    /// The best of its runs, microseconds.
    pub us: f64,
    /// The best run of the strategy that comes first without this entry, microseconds.
    pub first_us: f64,
    /// The shaders among which it was chosen ([`crate::gpu::fingerprint()`]): other texts make the
    /// entry void.
    pub source: String,
}

/// The file as it is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// For people who come across the file.
    about: String,
    tuned: Vec<Tuned>,
}

const ABOUT: &str = "The fastest strategies of kernels, as autotuning measured them, by adapter and \
    driver. Autotuning can import this file elsewhere. Delete it to go back to the defaults.";

/// What was measured on this machine, or shared by others.
#[derive(Debug)]
pub struct Tuning {
    path: PathBuf,
    entries: Vec<Tuned>,
}

impl Tuning {
    /// Where the program keeps the file: `kaiwu/tuning.json` in the user's folder for caches.
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

    /// Reads what another machine measured: a file that is not ours to delete.
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

    /// Those of one adapter and driver.
    pub fn of<'a>(&'a self, report: &AdapterReport) -> impl Iterator<Item = &'a Tuned> {
        let (adapter, driver) = (report.name.clone(), driver(report));
        self.entries.iter().filter(move |entry| entry.adapter == adapter && entry.driver == driver)
    }

    /// Adds entries in place of those for the same adapter, driver, storage, kernel and shape.
    pub fn add(&mut self, tuned: impl IntoIterator<Item = Tuned>) {
        fn key(entry: &Tuned) -> [&str; 4] {
            [&entry.adapter, &entry.driver, &entry.kernel, &entry.shape]
        }
        for new in tuned {
            self.entries.retain(|old| key(old) != key(&new) || old.storage != new.storage);
            self.entries.push(new);
        }
    }

    /// Forgets the entries of one adapter and driver; gives how many there were.
    pub fn forget(&mut self, report: &AdapterReport) -> usize {
        let (adapter, driver) = (report.name.clone(), driver(report));
        let before = self.entries.len();
        self.entries.retain(|entry| entry.adapter != adapter || entry.driver != driver);
        before - self.entries.len()
    }

    /// Writes the file, in one piece; without entries there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<()> {
        let contents = Contents { about: ABOUT.into(), tuned: self.entries.clone() };
        cache_file::write(&self.path, (!self.entries.is_empty()).then_some(&contents))
    }
}

/// Names an adapter and driver as the entries do.
pub fn names(report: &AdapterReport) -> (String, String) {
    (report.name.clone(), driver(report))
}
