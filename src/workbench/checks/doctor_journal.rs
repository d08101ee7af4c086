//! Records what `doctor` is about to run in the quarantine file, so that a strategy that crashes
//! the device or the program is on record.

use super::doctor::StrategyReport;
use crate::gpu::{AdapterReport, Quarantine, Quarantined, Wrong};
use crate::{Error, Result};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The quarantine of an adapter during an examination, shared by threads.
pub struct DoctorJournal {
    adapter: AdapterReport,
    /// The adapter's entries before the examination.
    before: Vec<Quarantined>,
    quarantine: Mutex<Quarantine>,
    /// Set after a failed write, so that the file is not written again; results are still reported.
    lost: AtomicBool,
}

/// The reason in the entry of a running strategy, which stays in the file if the run never ends.
const SUSPECT: &str = "doctor ended while it was being checked: it hung or lost the device, or doctor was stopped by hand; \
    run it again to know";

impl DoctorJournal {
    /// Reads the file at `path`, which need not exist.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn open(path: &Path, adapter: &AdapterReport) -> Result<Self> {
        let quarantine = Quarantine::read(path)?;
        let before = quarantine.of(adapter).cloned().collect();
        let (adapter, quarantine) = (adapter.clone(), Mutex::new(quarantine));
        Ok(Self { adapter, before, quarantine, lost: AtomicBool::new(false) })
    }

    /// Whether an earlier examination ended during this strategy's run, so that it should run last.
    pub(in crate::workbench) fn is_suspect(&self, report: &StrategyReport) -> bool {
        self.before.iter().any(|entry| is_of(report, entry) && entry.reason == SUSPECT)
    }

    /// Call before a run: the file lists the strategy until [`DoctorJournal::ended`] replaces the
    /// entry.
    pub fn begins(&self, report: &StrategyReport) {
        let mut quarantine = self.lock();
        if !report.quarantined {
            let suspect = wrong(report, SUSPECT);
            quarantine.set(&self.adapter, |entry| is_of(report, entry), vec![suspect]);
        }
        self.write(&quarantine);
    }

    /// Call after a run; the next write saves the result. Entries on cases that did not run this
    /// time are kept.
    pub fn ended(&self, report: &StrategyReport) {
        let found = if report.quarantined {
            vec![wrong(report, report.reason.as_deref().unwrap_or_default())]
        } else if report.cases < report.rows {
            let known =
                |entry: &&Quarantined| is_of(report, entry) && entry.source == report.source;
            let known = self.before.iter().filter(known).filter(|entry| entry.reason != SUSPECT);
            known.map(|entry| wrong(report, &entry.reason)).collect()
        } else {
            vec![]
        };
        self.lock().set(&self.adapter, |entry| is_of(report, entry), found);
    }

    /// Writes all results; if nothing is wrong, the file is deleted.
    pub fn close(&self) {
        self.write(&self.lock());
    }

    /// Whether all results are in the file.
    pub fn is_kept(&self) -> bool {
        !self.lost.load(Ordering::Relaxed)
    }

    fn write(&self, quarantine: &Quarantine) {
        if self.is_kept()
            && let Err(error) = quarantine.write()
        {
            self.lost.store(true, Ordering::Relaxed);
            log::warn!("{}", not_remembered(&error));
        }
    }

    /// Locks the list even after a panic in another thread, which leaves it valid.
    fn lock(&self) -> MutexGuard<'_, Quarantine> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The warning when results cannot be saved.
pub fn not_remembered(error: &Error) -> String {
    format!("{error}; what is found counts for this run, and is not remembered")
}

fn is_of(report: &StrategyReport, entry: &Quarantined) -> bool {
    (report.kernel, report.strategy, report.storage)
        == (&*entry.kernel, &*entry.strategy, entry.storage)
}

fn wrong(report: &StrategyReport, reason: &str) -> Wrong {
    Wrong {
        storage: report.storage,
        kernel: report.kernel.into(),
        strategy: report.strategy.into(),
        source: report.source.clone(),
        reason: reason.into(),
    }
}
