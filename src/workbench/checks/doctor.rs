//! Every strategy of every kernel against its reference, on the machine at hand.

use super::cases::CaseTable;
use super::check::check_case_by;
use super::doctor_journal::DoctorJournal;
use crate::gpu::{AdapterReport, Comparison, StorageKind, Strategy, WHOLE_STORAGE, fingerprint};
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// What was found of one strategy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StrategyReport {
    /// The kernel's name.
    pub kernel: &'static str,
    /// The strategy's name.
    pub strategy: &'static str,
    /// Where the tensors were.
    pub storage: StorageKind,
    /// Rows that it is offered for.
    pub rows: usize,
    /// Rows that it was run on: all of them, unless time was short.
    pub cases: usize,
    /// Rows that agree with the reference.
    pub passed: usize,
    /// The largest of |found - expected| / max(1, |expected|) over all rows; null in JSON where
    /// something was not a number, or a row did not run.
    pub max_error: f32,
    /// Not to be used on this adapter with this driver.
    pub quarantined: bool,
    /// The shader it was ([`fingerprint`]).
    #[serde(skip)]
    pub source: String,
    /// The first thing that went wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What bounds an examination.
#[derive(Default)]
pub struct Bounds<'a> {
    /// Where each run is written down before it begins.
    pub journal: Option<&'a DoctorJournal>,
    /// When to begin no more runs, once each strategy had one.
    pub until: Option<Instant>,
    /// Leave out strategies that use no subgroups.
    pub only_subgroups: bool,
}

/// A strategy on a row.
struct Run {
    case: usize,
    strategy: Strategy,
    /// Its place among the reports.
    report: usize,
    /// What comes before what: each strategy's first row, then the others, and at the end what
    /// ended an earlier examination.
    turn: u8,
}

/// How far an examination is, in runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Done.
    pub done: usize,
    /// Made however long they take: one of each strategy.
    pub must: usize,
    /// Made where there is time.
    pub all: usize,
}

impl Pace {
    /// Seconds that are left after `seconds`, where runs that need not be made end after `most`.
    pub fn left(&self, seconds: f64, most: f64) -> f64 {
        let each = seconds / self.done.max(1) as f64;
        let of = |runs: usize| each * runs.saturating_sub(self.done) as f64;
        of(self.must).max(of(self.all).min(most - seconds))
    }
}

/// Runs each strategy that the device offers on each row of `table`, within `bounds`; `progress` is
/// told after each. In the order of kernels' names, and of preference within a kernel.
///
/// # Errors
/// When the device is lost. A strategy that does not compile or fails is a finding.
pub fn examine(
    table: &mut CaseTable,
    bounds: &Bounds<'_>,
    mut progress: impl FnMut(Pace),
) -> Result<Vec<StrategyReport>> {
    let gpu = std::sync::Arc::clone(&table.gpu);
    let (runs, mut reports) = plan(table, bounds)?;
    let must = runs.iter().filter(|run| run.turn == 0).count();
    for (done, run) in runs.iter().enumerate() {
        if run.turn > 0
            && reports[run.report].cases > 0
            && bounds.until.is_some_and(|end| Instant::now() > end)
        {
            continue;
        }
        let (case, report) = (&mut table.cases[run.case], &mut reports[run.report]);
        if let Some(journal) = bounds.journal {
            journal.begins(report);
        }
        let checked = check_case_by(&gpu, case, |_| run.strategy.clone());
        let lost = match &checked {
            Ok(_) | Err(Error::Kernel { .. }) => None,
            // What one strategy did must not be blamed on the next; a lost device answers nothing
            // any more.
            Err(error) => gpu.wait().err().map(|_| {
                Error::Device(format!("{} ({}): {error}", report.kernel, report.strategy))
            }),
        };
        report.add(checked);
        if let Some(journal) = bounds.journal {
            journal.ended(report);
        }
        if let Some(lost) = lost {
            if let Some(journal) = bounds.journal {
                journal.close();
            }
            return Err(lost);
        }
        progress(Pace { done: done + 1, must, all: runs.len() });
    }
    reports.sort_by_key(|report| report.kernel);
    Ok(reports)
}

/// All runs in their order, and an empty report of each strategy.
fn plan(table: &CaseTable, bounds: &Bounds<'_>) -> Result<(Vec<Run>, Vec<StrategyReport>)> {
    let (mut runs, mut reports) = (vec![], Vec::<StrategyReport>::new());
    for (case, kernel) in table.cases.iter().map(|case| &*case.kernel).enumerate() {
        for strategy in table.gpu.strategies(kernel)? {
            if bounds.only_subgroups && strategy.needs.subgroup == 0 {
                continue;
            }
            let names = (kernel.name(), strategy.name);
            let known = reports.iter().position(|known| (known.kernel, known.strategy) == names);
            let report = known.unwrap_or_else(|| {
                reports.push(StrategyReport::new(
                    kernel.name(),
                    &strategy,
                    table.gpu.capabilities().storage,
                ));
                reports.len() - 1
            });
            reports[report].rows += 1;
            let suspect =
                bounds.journal.is_some_and(|journal| journal.is_suspect(&reports[report]));
            let turn = if suspect { 2 } else { u8::from(known.is_some()) };
            runs.push(Run { case, strategy, report, turn });
        }
    }
    runs.sort_by_key(|run| run.turn);
    Ok((runs, reports))
}

impl StrategyReport {
    /// The report of a strategy that was not run yet.
    fn new(kernel: &'static str, strategy: &Strategy, storage: StorageKind) -> Self {
        Self {
            kernel,
            strategy: strategy.name,
            storage,
            rows: 0,
            cases: 0,
            passed: 0,
            max_error: 0.0,
            quarantined: false,
            source: fingerprint(std::slice::from_ref(strategy)),
            reason: None,
        }
    }

    /// The report of a storage as a whole: wrong where a kernel has no strategy left in it.
    pub fn of_storage(storage: StorageKind, healthy: bool) -> Self {
        let reason =
            (!healthy).then(|| "some kernels have no strategy that is right in it".to_owned());
        Self {
            kernel: WHOLE_STORAGE,
            strategy: WHOLE_STORAGE,
            storage,
            rows: 1,
            cases: 1,
            passed: usize::from(healthy),
            max_error: 0.0,
            quarantined: !healthy,
            source: env!("CARGO_PKG_VERSION").into(),
            reason,
        }
    }

    fn add(&mut self, checked: Result<Comparison>) {
        let (max_error, reason) = match checked {
            Ok(found) => (found.max_error, found.divergence.map(|wrong| wrong.to_string())),
            Err(error) => (f32::INFINITY, Some(error.to_string())),
        };
        self.cases += 1;
        self.passed += usize::from(reason.is_none());
        self.max_error = self.max_error.max(max_error);
        self.quarantined |= reason.is_some();
        if self.reason.is_none() {
            self.reason = reason.map(|reason| first_lines(&reason));
        }
    }
}

/// Compilers say much; the beginning tells.
fn first_lines(reason: &str) -> String {
    let lines: Vec<_> =
        reason.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    lines.join("; ")
}

/// Whether each row has a strategy left that is right in the storage of the table: each kernel, and
/// within a kernel with strategies for different shapes, each shape.
pub fn healthy(table: &CaseTable, reports: &[StrategyReport]) -> bool {
    let right = |kernel: &str, strategy: &str| {
        reports.iter().filter(|report| report.storage == table.gpu.capabilities().storage).any(
            |report| (report.kernel, report.strategy) == (kernel, strategy) && !report.quarantined,
        )
    };
    table.cases.iter().all(|case| {
        let all = case.kernel.strategies(table.gpu.capabilities());
        all.iter().any(|strategy| right(case.kernel.name(), strategy.name))
    })
}

/// Remembers at `path` which strategies are wrong on an adapter, and forgets what was known of
/// those that are right.
///
/// # Errors
/// When the file cannot be read; one that cannot be written is a warning.
pub fn remember(path: &Path, adapter: &AdapterReport, reports: &[StrategyReport]) -> Result<()> {
    let journal = DoctorJournal::open(path, adapter)?;
    reports.iter().for_each(|report| journal.ended(report));
    journal.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_knows_of_runs_that_are_made_however_long_they_take() {
        let pace = |done| Pace { done, must: 40, all: 400 };
        for (done, seconds, most, left) in [
            (10, 5.0, 50.0, 45.0),
            (10, 5.0, 1000.0, 195.0),
            (10, 20.0, 10.0, 60.0),
            (39, 33.0, 10.0, 33.0 / 39.0),
            (200, 10.0, 50.0, 10.0),
            (400, 10.0, 50.0, 0.0),
        ] {
            let found = pace(done).left(seconds, most);
            assert!((found - left).abs() < 1e-9, "{done} runs in {seconds} s of {most}: {found}");
        }
    }
}
