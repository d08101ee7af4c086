//! Every strategy of every kernel against its reference, on the machine at hand.

use super::cases::Table;
use super::check::check_case;
use crate::gpu::{AdapterReport, Quarantine, StorageKind, Wrong, fingerprint};
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;

/// What was found of one strategy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StrategyReport {
    /// The kernel's name.
    pub kernel: &'static str,
    /// The strategy's name.
    pub strategy: &'static str,
    /// Where the tensors were.
    pub storage: StorageKind,
    /// Rows that it was run on.
    pub cases: usize,
    /// Rows that agree with the reference.
    pub passed: usize,
    /// The largest of |found - expected| / max(1, |expected|) over all rows; null in JSON where something was not a
    /// number, or a row did not run.
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

/// Runs each strategy that the device offers on each row of `table`; `progress` is told the rows done. In the order of
/// kernels' names, and of preference within a kernel.
///
/// # Errors
/// When the device is lost. A strategy that does not compile or fails is a finding.
pub fn examine(table: &mut Table, mut progress: impl FnMut(usize)) -> Result<Vec<StrategyReport>> {
    let gpu = std::sync::Arc::clone(&table.gpu);
    let mut reports: Vec<StrategyReport> = vec![];
    for (done, case) in table.cases.iter_mut().enumerate() {
        let kernel = case.kernel.name();
        for (index, strategy) in gpu.strategies(&*case.kernel)?.iter().enumerate() {
            let (max_error, reason) = match check_case(&gpu, case, index) {
                Ok(comparison) => {
                    (comparison.max_error, comparison.divergence.map(|wrong| wrong.to_string()))
                }
                Err(error @ Error::Kernel { .. }) => (f32::INFINITY, Some(error.to_string())),
                Err(error) => {
                    // What one strategy did must not be blamed on the next; a lost device answers nothing any more.
                    gpu.wait()
                        .map_err(|_| Error::Device(format!("{kernel} ({}): {error}", strategy.name)))?;
                    (f32::INFINITY, Some(error.to_string()))
                }
            };
            let known =
                reports.iter().position(|known| (known.kernel, known.strategy) == (kernel, strategy.name));
            let at = known.unwrap_or_else(|| {
                reports.push(StrategyReport {
                    kernel,
                    strategy: strategy.name,
                    storage: gpu.capabilities().storage,
                    cases: 0,
                    passed: 0,
                    max_error: 0.0,
                    quarantined: false,
                    source: fingerprint(std::slice::from_ref(strategy)),
                    reason: None,
                });
                reports.len() - 1
            });
            let report = &mut reports[at];
            report.cases += 1;
            report.passed += usize::from(reason.is_none());
            report.max_error = report.max_error.max(max_error);
            report.quarantined |= reason.is_some();
            if report.reason.is_none() {
                report.reason = reason.map(|reason| first_lines(&reason));
            }
        }
        progress(done + 1);
    }
    reports.sort_by_key(|report| report.kernel);
    Ok(reports)
}

/// Compilers say much; the beginning tells.
fn first_lines(reason: &str) -> String {
    let lines: Vec<_> = reason.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    lines.join("; ")
}

/// Whether each row has a strategy left that is right in the storage of the table: each kernel, and within a kernel with strategies for different
/// shapes, each shape.
pub fn healthy(table: &Table, reports: &[StrategyReport]) -> bool {
    let right = |kernel: &str, strategy: &str| {
        reports
            .iter()
            .filter(|report| report.storage == table.gpu.capabilities().storage)
            .any(|report| (report.kernel, report.strategy) == (kernel, strategy) && !report.quarantined)
    };
    table.cases.iter().all(|case| {
        let all = case.kernel.strategies(table.gpu.capabilities());
        all.iter().any(|strategy| right(case.kernel.name(), strategy.name))
    })
}

/// Remembers at `path` which strategies are wrong on an adapter, and forgets what was known of it before in the storages
/// that were looked at.
///
/// # Errors
/// When the file cannot be read or written.
pub fn remember(path: &Path, adapter: &AdapterReport, reports: &[StrategyReport]) -> Result<()> {
    let mut quarantine = Quarantine::read(path)?;
    let wrong = reports.iter().filter(|report| report.quarantined).map(|report| Wrong {
        storage: report.storage,
        kernel: report.kernel.into(),
        strategy: report.strategy.into(),
        source: report.source.clone(),
        reason: report.reason.clone().unwrap_or_default(),
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() && quarantine.of(adapter).next().is_none() {
        return Ok(());
    }
    let looked_at = |storage| reports.iter().any(|report| report.storage == storage);
    quarantine.set(adapter, looked_at, wrong);
    quarantine.write()
}
