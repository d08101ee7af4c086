//! `kaiwu doctor --matrix`: is everything right on adapters that have less, too?

use crate::Error;
use crate::cli::Outcome;
use crate::cli::support::output::{print, print_pretty, table};
use crate::cli::support::progress::Progress;
use crate::gpu::{GpuOptions, StorageKind, list_adapters};
use crate::workbench::{Bounds, CELLS, CellReport, examine_cell};
use serde_json::json;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Steps of the bar for one cell.
const THOUSAND: u64 = 1000;

/// Runs all cells in each storage, or in the one that `options` ask for; with `only_subgroups` no
/// strategies but those that use them.
pub(in crate::cli) fn run(options: &GpuOptions, only_subgroups: bool, as_json: bool) -> Outcome {
    let start = Instant::now();
    let adapters = list_adapters(options.adapter.as_deref())?;
    let Some(adapter) = adapters.into_iter().find(|adapter| adapter.chosen) else {
        return Err(Error::Internal("no adapter is chosen"));
    };
    let storages: Vec<_> = match options.storage {
        Some(storage) => vec![storage],
        None if adapter.storage_textures >= 8 => vec![StorageKind::Buffer, StorageKind::Texture],
        None => vec![StorageKind::Buffer],
    };
    let bounds = Bounds { only_subgroups, ..Bounds::default() };
    let progress = Mutex::new(Progress::percent("checking cells", THOUSAND * CELLS.len() as u64));
    let mut reports: Vec<CellReport> = vec![];
    for (number, cell) in (0..).zip(&CELLS) {
        let told = |share: f64| {
            let done = THOUSAND * number + (share * THOUSAND as f64) as u64;
            progress.lock().unwrap_or_else(PoisonError::into_inner).set(done);
        };
        let of_cell = examine_cell(cell, options, &storages, &reports, &bounds, &told)?;
        told(1.0);
        if !std::io::stderr().is_terminal() {
            // Minutes pass, and a log shows no bar.
            let (runs, passed) =
                of_cell.iter().fold((0, 0), |(r, p), cell| (r + cell.runs, p + cell.passed));
            let seconds = start.elapsed().as_secs_f64();
            let left =
                seconds / f64::from(number as u32 + 1) * (CELLS.len() as f64 - number as f64 - 1.0);
            eprintln!(
                "kaiwu: {}: {passed} of {runs} runs right, {seconds:.0} s so far, at most {left:.0} s left",
                cell.name
            );
        }
        reports.extend(of_cell);
    }
    drop(progress);
    let right = reports.iter().all(|report| report.wrong.is_empty());
    let seconds = start.elapsed().as_secs_f64();
    if as_json {
        print_pretty(&json!({"adapter": adapter, "cells": reports, "seconds": seconds}))?;
    } else {
        let verdict = if right { "all cells are right" } else { "some cells are wrong" };
        print(&format!(
            "{}\n{}\n{}: {verdict}, {seconds:.0} s\n",
            super::devices::describe(&adapter),
            as_table(&reports),
            adapter.name
        ))?;
    }
    for CellReport { cell, storage, wrong, .. } in &reports {
        for report in wrong {
            let (kernel, strategy) = (report.kernel, report.strategy);
            let reason = report.reason.as_deref().unwrap_or_default();
            eprintln!("kaiwu: {cell}, {storage:?}s: {kernel} ({strategy}) is wrong: {reason}");
        }
    }
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_table(reports: &[CellReport]) -> String {
    let heading = ["asked for", "storage", "strategies", "runs", "passed", ""];
    let mut rows = vec![heading.map(String::from).to_vec()];
    for report in reports {
        rows.push(vec![
            report.cell.to_owned(),
            format!("{:?}", report.storage).to_lowercase(),
            report.strategies.to_string(),
            report.runs.to_string(),
            report.passed.to_string(),
            report.same_as.map_or(String::new(), |cell| format!("the same here as: {cell}")),
        ]);
    }
    table(&rows, 2)
}
