//! What `doctor` found so far, written down before each run: what takes the device or the program
//! with it is in the file.

use super::doctor::StrategyReport;
use crate::gpu::{AdapterReport, Quarantine, Quarantined, Wrong};
use crate::{Error, Result};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The quarantine of an adapter while it is examined, by several threads maybe.
pub struct DoctorJournal {
    adapter: AdapterReport,
    /// What the file said of this adapter.
    before: Vec<Quarantined>,
    quarantine: Mutex<Quarantine>,
    /// A file that could not be written once is let be: what is found counts all the same.
    lost: AtomicBool,
}

/// A strategy that is being run; its entry stays in the file if the run never ends.
const SUSPECT: &str = "doctor ended while it was being checked: it hung or lost the device, or doctor was stopped by hand; \
    run it again to know";

impl DoctorJournal {
    /// Reads the file at `path`, which need not exist.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn open(path: &Path, adapter: &AdapterReport) -> Result<Self> {
        let quarantine = Quarantine::read(path)?;
        let before = quarantine.of(adapter).cloned().collect();
        let (adapter, quarantine) = (adapter.clone(), Mutex::new(quarantine));
        Ok(Self { adapter, before, quarantine, lost: AtomicBool::new(false) })
    }

    /// Whether an earlier examination ended while this strategy was being run: it had better come
    /// last.
    pub(in crate::workbench) fn is_suspect(&self, report: &StrategyReport) -> bool {
        self.before.iter().any(|entry| is_of(report, entry) && entry.reason == SUSPECT)
    }

    /// Before a run: the file has the strategy until [`DoctorJournal::ended`] says otherwise.
    pub fn begins(&self, report: &StrategyReport) {
        let mut quarantine = self.lock();
        if !report.quarantined {
            let suspect = wrong(report, SUSPECT);
            quarantine.set(&self.adapter, |entry| is_of(report, entry), vec![suspect]);
        }
        self.write(&quarantine);
    }

    /// After a run; the next write puts it into the file. What was wrong before on rows that were
    /// not run now stays wrong.
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

    /// Writes what was found; where nothing is wrong, there is no file.
    pub fn close(&self) {
        self.write(&self.lock());
    }

    /// Whether all that was found is in the file.
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

    /// A thread that panicked left the list whole.
    fn lock(&self) -> MutexGuard<'_, Quarantine> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said where findings cannot be kept.
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
