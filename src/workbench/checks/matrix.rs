//! The capability matrix: opens this adapter with lower limits, to act as smaller adapters.

use super::cases;
use super::doctor::{Bounds, StrategyReport, examine};
use crate::gpu::{Gpu, GpuOptions, StorageKind};
use crate::{Error, Result};
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One way to open the adapter.
pub struct Cell {
    /// The limit or feature that is reduced.
    pub name: &'static str,
    lower: fn(&mut GpuOptions),
}

/// WebGPU's default limits one by one, then all of them together.
pub const CELLS: [Cell; 10] = [
    Cell { name: "all it has", lower: |_| () },
    Cell { name: "no f16", lower: |options| options.without_f16 = true },
    Cell { name: "no subgroups", lower: |options| options.without_subgroups = true },
    Cell {
        name: "bindings of 128 MiB",
        lower: |options| options.max_binding_bytes = Some(128 << 20),
    },
    Cell {
        name: "16 KiB of workgroup memory",
        lower: |options| options.max_workgroup_bytes = Some(16 << 10),
    },
    Cell { name: "8 storage buffers", lower: |options| options.max_storage_buffers = Some(8) },
    Cell { name: "256 lanes", lower: |options| options.max_lanes = Some(256) },
    Cell {
        name: "offsets aligned to 256",
        lower: |options| options.min_offset_alignment = Some(256),
    },
    // No kernel uses immediates, so nothing needs to be lowered: each cell checks that its device
    // has none.
    Cell { name: "no immediates", lower: |_| () },
    Cell {
        name: "all of these",
        lower: |options| CELLS[1..9].iter().for_each(|cell| (cell.lower)(options)),
    },
];

/// The results of a cell with the tensors in one kind of storage.
#[derive(Debug, Clone, Serialize)]
pub struct CellReport {
    /// The cell's name.
    pub cell: &'static str,
    /// The earlier cell that opens an identical device and whose results are reused, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<&'static str>,
    /// Where the tensors were stored.
    pub storage: StorageKind,
    /// Strategies that the device offered.
    pub strategies: usize,
    /// Runs of a strategy on a case.
    pub runs: usize,
    /// Runs that agree with the reference.
    pub passed: usize,
    /// Strategies that were wrong.
    pub wrong: Vec<StrategyReport>,
    /// The limits that the device was opened with ([`Gpu::asked_for`]).
    #[serde(skip)]
    asked: String,
}

/// Opens the adapter of `options` as `cell` says, and runs every strategy that it offers on every
/// case. All `storages` are examined at the same time, because most of the time a driver compiles
/// on one core. If the adapter's limits make the device identical to that of an `earlier` cell,
/// that cell's results are reused. `bounds` may skip runs, and `progress` receives the fraction
/// done.
///
/// # Errors
/// When the device does not open, or is lost.
pub fn examine_cell(
    cell: &Cell,
    options: &GpuOptions,
    storages: &[StorageKind],
    earlier: &[CellReport],
    bounds: &Bounds<'_>,
    progress: &(impl Fn(f64) + Sync),
) -> Result<Vec<CellReport>> {
    // Progress of each storage in thousandths.
    let shares: Vec<_> = storages.iter().map(|_| AtomicUsize::new(0)).collect();
    let examine_in = |storage: StorageKind, own: &AtomicUsize| {
        let mut options = GpuOptions {
            storage: Some(storage),
            quarantine: None,
            tuning: None,
            ..options.clone()
        };
        (cell.lower)(&mut options);
        let gpu = Gpu::open(&options)?;
        if gpu.has_immediates() {
            return Err(Error::Device(format!(
                "{}: the device was asked for immediates",
                cell.name
            )));
        }
        let asked = gpu.asked_for();
        let known = earlier.iter().find(|known| known.storage == storage && known.asked == asked);
        if let Some(known) = known {
            let same_as = Some(known.same_as.unwrap_or(known.cell));
            return Ok(CellReport { cell: cell.name, same_as, ..known.clone() });
        }
        let mut table = cases::table(&gpu)?;
        let reports = examine(&mut table, bounds, |pace| {
            own.store(pace.done * 1000 / pace.all.max(1), Ordering::Relaxed);
            let sum: usize = shares.iter().map(|share| share.load(Ordering::Relaxed)).sum();
            progress(sum as f64 * 1e-3 / shares.len() as f64);
        })?;
        let sum = |count: fn(&StrategyReport) -> usize| reports.iter().map(count).sum();
        Ok(CellReport {
            cell: cell.name,
            same_as: None,
            storage,
            strategies: reports.len(),
            runs: sum(|report| report.cases),
            passed: sum(|report| report.passed),
            wrong: reports.into_iter().filter(|report| report.quarantined).collect(),
            asked,
        })
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = storages
            .iter()
            .zip(&shares)
            .map(|(&storage, share)| {
                let examine_in = &examine_in;
                scope.spawn(move || examine_in(storage, share))
            })
            .collect();
        let ended = workers.into_iter().map(|worker| match worker.join() {
            Ok(report) => report,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect()
    })
}
