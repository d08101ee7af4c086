//! The baseline of `kaiwu bench kernels`: an earlier output, and what differs from it.

use crate::gpu::{Gpu, StorageKind};
use crate::workbench::{Change, Measurement, Refused};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A machine that is slower than before by this factor is mentioned to the user.
const BUSY: f64 = 1.1;

/// The output of --json, which --baseline reads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Baseline {
    adapter: serde_json::Value,
    #[serde(default)]
    storage: Option<String>,
    #[serde(default)]
    clock: Option<String>,
    pub(super) results: Vec<Measurement>,
}

pub(super) fn storage_word(storage: StorageKind) -> String {
    format!("{storage:?}").to_lowercase()
}

/// Reports on standard error which results of the baseline are missing, and returns their number.
/// Results that failed have already been reported.
pub(super) fn report_vanished(vanished: &[[String; 3]], refused: &[Refused]) -> usize {
    let said = |[shape, kernel, strategy]: &[String; 3]| {
        refused.iter().any(|r| (&r.shape, &r.kernel, &r.strategy) == (shape, kernel, strategy))
    };
    let gone: Vec<_> = vanished.iter().filter(|names| !said(names)).collect();
    for [shape, kernel, strategy] in &gone {
        eprintln!(
            "kaiwu: {shape}: {kernel} ({strategy}) is in the baseline, but was not timed now"
        );
    }
    gone.len()
}

/// Warns on standard error if the baseline is of another adapter, driver or storage.
pub(super) fn report_other(baseline: &Baseline, gpu: &Gpu, storage: StorageKind) {
    let now = serde_json::json!(gpu.report());
    for (what, key) in [("adapter", "name"), ("driver", "driver"), ("driver", "driver_info")] {
        let (before, now) = (&baseline.adapter[key], &now[key]);
        if before != now {
            eprintln!("kaiwu: the baseline is of another {what}, {before} and not {now}");
        }
    }
    let others = [
        ("storage", &baseline.storage, storage_word(storage)),
        ("clock", &baseline.clock, gpu.clock().into()),
    ];
    for (what, before, now) in others {
        if let Some(before) = before.as_ref().filter(|before| **before != now) {
            eprintln!("kaiwu: the baseline is of another {what}, {before} and not {now}");
        }
    }
}

pub(super) fn read_baseline(path: &Path) -> Result<Baseline> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::damaged(path, format!("is not the output of `kaiwu bench kernels --json`: {error}"))
    })
}

/// Reports on standard error what is slower than `tolerance` allows, and returns how many results.
pub(super) fn report_changes(changes: &[Change], tolerance: f64) -> usize {
    let slower: Vec<_> = changes.iter().filter(|change| change.is_slower(tolerance)).collect();
    for change in &slower {
        let Change { shape, kernel, strategy, before_us, now_us, busier, .. } = change;
        let busy = if *busier > BUSY {
            format!(", and the machine is only {:.0} % busier", (busier - 1.0) * 100.0)
        } else {
            String::new()
        };
        eprintln!(
            "kaiwu: {shape}: {kernel} ({strategy}) takes {now_us:.1} us, {:+.0} % of \
             {before_us:.1} us before{busy}",
            (now_us / before_us - 1.0) * 100.0
        );
    }
    let mut busier: Vec<_> = changes.iter().map(|change| change.busier).collect();
    busier.sort_by(f64::total_cmp);
    if let Some(busier) = busier.get(busier.len() / 2).filter(|&&busier| busier > BUSY) {
        eprintln!(
            "kaiwu: the machine is {:.0} % busier than it was for the baseline, which is allowed \
             for",
            (busier - 1.0) * 100.0
        );
    }
    let (count, compared) = (slower.len(), changes.len());
    eprintln!(
        "kaiwu: {count} of {compared} are slower than the baseline by more than {:.0} %",
        tolerance * 100.0
    );
    // If nothing could be compared, the check must not succeed.
    if compared == 0 { 1 } else { count }
}
