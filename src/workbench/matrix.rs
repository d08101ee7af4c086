//! The capability matrix: this adapter opened with less than it has, as smaller ones would be.

use super::cases;
use super::doctor::{StrategyReport, examine};
use crate::Result;
use crate::gpu::{Gpu, GpuOptions, StorageKind};
use serde::Serialize;

/// A way to open the adapter.
pub struct Cell {
    /// What is asked for less.
    pub name: &'static str,
    lower: fn(&mut GpuOptions),
}

/// WebGPU's default limits one by one, then all of them together. Immediates are asked for by no cell: no kernel uses them.
pub const CELLS: [Cell; 9] = [
    Cell { name: "all it has", lower: |_| () },
    Cell { name: "no f16", lower: |options| options.without_f16 = true },
    Cell { name: "no subgroups", lower: |options| options.without_subgroups = true },
    Cell { name: "bindings of 128 MiB", lower: |options| options.max_binding_bytes = Some(128 << 20) },
    Cell {
        name: "16 KiB of workgroup memory",
        lower: |options| options.max_workgroup_bytes = Some(16 << 10),
    },
    Cell { name: "8 storage buffers", lower: |options| options.max_storage_buffers = Some(8) },
    Cell { name: "256 lanes", lower: |options| options.max_lanes = Some(256) },
    Cell { name: "offsets aligned to 256", lower: |options| options.min_offset_alignment = Some(256) },
    Cell { name: "all of these", lower: |options| CELLS[1..8].iter().for_each(|cell| (cell.lower)(options)) },
];

/// What was found in a cell, with the tensors in one storage.
#[derive(Debug, Clone, Serialize)]
pub struct CellReport {
    /// The cell's name.
    pub cell: &'static str,
    /// Where the tensors were.
    pub storage: StorageKind,
    /// Strategies that the device offered.
    pub strategies: usize,
    /// Runs of a strategy on a row.
    pub runs: usize,
    /// Those that agree with the reference.
    pub passed: usize,
    /// What was wrong, by strategy.
    pub wrong: Vec<StrategyReport>,
}

/// Opens the adapter of `options` as `cell` says and runs every strategy it then offers on every row of the cases' table.
///
/// # Errors
/// When the device refuses to open, or is lost.
pub fn examine_cell(cell: &Cell, options: &GpuOptions, storage: StorageKind) -> Result<CellReport> {
    let mut options =
        GpuOptions { storage: Some(storage), quarantine: None, tuning: None, ..options.clone() };
    (cell.lower)(&mut options);
    let gpu = Gpu::open(&options)?;
    let reports = examine(&mut cases::table(&gpu)?, |_| ())?;
    let sum = |count: fn(&StrategyReport) -> usize| reports.iter().map(count).sum();
    Ok(CellReport {
        cell: cell.name,
        storage,
        strategies: reports.len(),
        runs: sum(|report| report.cases),
        passed: sum(|report| report.passed),
        wrong: reports.into_iter().filter(|report| report.quarantined).collect(),
    })
}
