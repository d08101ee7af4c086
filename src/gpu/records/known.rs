//! The entries of the files that concern the adapter being opened.

use super::quarantine::{Quarantine, Quarantined, WHOLE_STORAGE};
use super::tuning::{Tuned, Tuning};
use crate::gpu::adapter::adapter::AdapterReport;
use crate::gpu::adapter::storage::StorageKind;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// What earlier runs found out about the strategies on one adapter and driver.
#[derive(Default)]
pub(in crate::gpu) struct Known {
    pub quarantined: Vec<Quarantined>,
    pub tuned: Vec<Tuned>,
    /// Kernels and strategies whose omission was already reported.
    pub told: Mutex<BTreeSet<(String, String)>>,
}

impl Known {
    /// Reads the entries for the adapter of `report` from the files. A damaged file causes a
    /// warning, not an error.
    pub fn load(quarantine: Option<&Path>, tuning: Option<&Path>, report: &AdapterReport) -> Self {
        let mut known = Self::default();
        match quarantine.map(Quarantine::read).transpose() {
            Ok(read) => {
                let own = read.iter().flat_map(|read| read.of(report));
                known.quarantined = own.cloned().collect();
            }
            Err(error) => log::warn!("the list of strategies to avoid is left out: {error}"),
        }
        match tuning.map(Tuning::read).transpose() {
            Ok(read) => {
                known.tuned = read.iter().flat_map(|read| read.of(report)).cloned().collect();
            }
            Err(error) => log::warn!("what was tuned is left out: {error}"),
        }
        known
    }

    /// The storage to use regardless of speed, because the other one was found wrong as a whole.
    pub fn fit_storage(&self) -> Option<StorageKind> {
        let fit = |storage| {
            let of_it =
                |entry: &&Quarantined| entry.kernel == WHOLE_STORAGE && entry.storage == storage;
            !self
                .quarantined
                .iter()
                .filter(of_it)
                .any(|entry| entry.source == env!("CARGO_PKG_VERSION"))
        };
        let storage = match [StorageKind::Buffer, StorageKind::Texture].map(fit) {
            [true, false] => StorageKind::Buffer,
            [false, true] => StorageKind::Texture,
            // Neither storage is better than the other.
            [true, true] | [false, false] => return None,
        };
        log::warn!("taking {storage:?}s: kernels were found wrong in the other storage");
        Some(storage)
    }
}
