//! `kaiwu doctor`: is this adapter fit to be used, and what can it do at most?

use super::Outcome;
use super::arguments::DeviceArguments;
use super::output::{print, print_pretty, table};
use super::progress::Progress;
use crate::gpu::{AdapterReport, Gpu, GpuOptions, Quarantine, StorageKind};
use crate::workbench::{
    ChainReport, Roofs, StrategyReport, cases, examine, examine_chains, healthy, measure_roofs, remember,
};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Check every kernel against its reference on this adapter, and measure what the adapter can do
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Open the adapter with less of what it has, one way after another, and check the kernels each time; remembers nothing
    #[arg(long)]
    matrix: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const HELP: &str =
    "A strategy that is wrong is not used from then on; doctor looks at all of them again. The list is in
kaiwu/quarantine.json in the folder for caches. Exit code 0 means that every kernel has a strategy
that is right.

Examples:
  kaiwu doctor
  kaiwu doctor --adapter nvidia --json
  kaiwu doctor --matrix";

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let options = GpuOptions { quarantine: None, tuning: None, ..device.options() };
    if arguments.matrix {
        return super::matrix::run(&options, arguments.json);
    }
    let gpu = Gpu::open(&options)?;
    let roofs = measure_roofs(&gpu)?;
    // The storage that is taken here, and the other one unless only one was asked for.
    let mut tables = vec![cases::table(&gpu)?];
    let other = match gpu.capabilities().storage {
        StorageKind::Buffer => StorageKind::Texture,
        StorageKind::Texture => StorageKind::Buffer,
    };
    let can = other == StorageKind::Buffer || gpu.report().storage_textures >= 8;
    if device.storage.is_none() && can {
        tables.push(cases::table(&Gpu::open(&GpuOptions { storage: Some(other), ..options })?)?);
    }
    let total: usize = tables.iter().map(|table| table.cases.len()).sum();
    let mut progress = Some(Progress::count("checking kernels", total as u64));
    let (mut reports, mut before) = (vec![], 0);
    for table in &mut tables {
        reports.extend(examine(table, |done| {
            progress.as_mut().into_iter().for_each(|bar| bar.set((before + done) as u64));
        })?);
        before += table.cases.len();
    }
    progress.take();
    reports.sort_by_key(|report| report.kernel);
    let fit = healthy(&tables[0], &reports);
    let chains = examine_chains(&gpu)?;
    let strategies = reports.len();
    reports.extend(chains.iter().map(ChainReport::as_strategy));
    match Quarantine::default_path() {
        Some(path) => remember(&path, gpu.report(), &reports)?,
        None => {
            eprintln!("kaiwu: neither HOME nor XDG_CACHE_HOME is set, so what was found is not remembered")
        }
    }
    if arguments.json {
        let kernels = &reports[..strategies];
        print_pretty(
            &json!({"adapter": gpu.report(), "roofs": roofs, "kernels": kernels, "chains": chains}),
        )?;
    } else {
        print(&format!(
            "{}\n{}\n{}{}",
            super::devices::describe(gpu.report()),
            about(&roofs),
            checked(&reports[..strategies]),
            chains.as_ref().map_or(String::new(), about_chains)
        ))?;
        print(&verdict(gpu.report(), fit, &reports))?;
    }
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn about(roofs: &Roofs) -> String {
    let optional = |rate: Option<f64>| rate.map_or("-".into(), |rate| format!("{rate:.1}"));
    let rows = [
        ["", "buffer", "texture", ""].map(String::from),
        [
            "read".into(),
            format!("{:.1}", roofs.read_buffer_gb_per_s),
            optional(roofs.read_texture_gb_per_s),
            "GB/s".into(),
        ],
        [
            "copy".into(),
            format!("{:.1}", roofs.copy_buffer_gb_per_s),
            optional(roofs.copy_texture_gb_per_s),
            "GB/s, read and written".into(),
        ],
    ];
    let rows: Vec<_> = rows
        .map(|[what, buffer, texture, unit]| {
            vec![what, format!("{buffer:>9}"), format!("{texture:>9}"), unit]
        })
        .into();
    format!(
        "{}multiply-add of f32  {:.1} GFLOP/s, of f16  {}\ndispatch  {:.1} us, {:.1} us more after one whose result it reads\n\
         workgroup barrier of 64 lanes  {:.2} us\n",
        table(&rows, 4),
        roofs.multiply_add_gflop_per_s,
        roofs.multiply_add_f16_gflop_per_s.map_or("-".into(), |rate| format!("{rate:.1} GFLOP/s")),
        roofs.dispatch_us,
        roofs.dependent_dispatch_us,
        roofs.workgroup_barrier_us
    )
}

fn about_chains(chains: &ChainReport) -> String {
    let ChainReport { calls, dispatches, runs, passed, missed, single_us, .. } = chains;
    let us = chains.us.map_or("no figure".into(), |us| format!("{us:.0} us"));
    format!(
        "\n{calls} calls of a layer, dispatches {dispatches}: the same bits in {passed} of {runs} runs, threads missed each other in \
         {missed}; {us}, one by one {single_us:.0} us\n"
    )
}

fn checked(reports: &[StrategyReport]) -> String {
    let heading = ["kernel", "strategy", "storage", "cases", "passed", "worst error", ""];
    let mut rows = vec![heading.map(String::from).to_vec()];
    let mut last = "";
    for report in reports {
        rows.push(vec![
            if report.kernel == last { String::new() } else { report.kernel.to_owned() },
            report.strategy.to_owned(),
            format!("{:?}", report.storage).to_lowercase(),
            report.cases.to_string(),
            report.passed.to_string(),
            match report.max_error.is_finite() {
                true => format!("{:.1e}", report.max_error),
                false => "not a number".into(),
            },
            if report.quarantined { "quarantined".into() } else { String::new() },
        ]);
        last = report.kernel;
    }
    table(&rows, 3)
}

fn verdict(adapter: &AdapterReport, fit: bool, reports: &[StrategyReport]) -> String {
    let wrong: Vec<_> = reports.iter().filter(|report| report.quarantined).collect();
    let mut text = "\n".to_owned();
    for report in &wrong {
        let reason = report.reason.as_deref().unwrap_or_default();
        let (kernel, strategy) = (report.kernel, report.strategy);
        text += &format!("{kernel} ({strategy}, {:?}s) is wrong here: {reason}\n", report.storage);
    }
    text + &match (fit, wrong.len()) {
        (true, 0) => format!("{}: all is well\n", adapter.name),
        (true, n) => format!("{}: usable; strategies left out: {n}\n", adapter.name),
        (false, _) => format!("{}: some kernels have no strategy that is right here\n", adapter.name),
    }
}
