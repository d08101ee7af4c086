//! `kaiwu doctor`: checks whether the adapter computes correctly, and measures its peak rates.

use crate::cli::Outcome;
use crate::cli::support::arguments::DeviceArguments;
use crate::cli::support::output::{print, print_pretty, table};
use crate::cli::support::progress::{BETWEEN_LINES, Progress};
use crate::gpu::{AdapterReport, FusedReport, Gpu, GpuOptions, NO_FOLDER, Quarantine, StorageKind};
use crate::workbench::{
    Bounds, DoctorJournal, Pace, Roofs, StrategyReport, cases, examine, examine_chains, healthy,
    measure_roofs, not_remembered,
};
use crate::{Error, Result};
use clap::Args;
use serde_json::json;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Check every kernel against its reference on this adapter, and measure what the adapter can do
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(in crate::cli) struct Arguments {
    /// Open the adapter with less of what it has, one way after another, and check the kernels each
    /// time; remembers nothing
    #[arg(long)]
    matrix: bool,
    /// In the matrix, check only strategies that use subgroups: for an adapter checked before with
    /// subgroups of another size
    #[arg(long, requires = "matrix")]
    only_subgroups: bool,
    /// Time after which runs on further rows are left out; each strategy is run at least once
    #[arg(long, value_name = "N", default_value_t = 50, conflicts_with = "matrix",
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const HELP: &str =
    "A strategy that is wrong is not used from then on; doctor looks at all of them again. The \
     list is in
kaiwu/quarantine.json in the folder for caches; what is being run is in it too, so that a strategy
that hangs is left out the next time. Where only one storage has a right strategy of every kernel,
that storage is taken. Exit code 0 means that there is such a storage. With --checked, and where
that folder cannot be written, nothing is remembered.

Examples:
  kaiwu doctor
  kaiwu doctor --adapter nvidia --json
  kaiwu doctor --matrix";

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let options = GpuOptions { quarantine: None, tuning: None, ..device.options() };
    if arguments.matrix {
        return super::matrix::run(&options, arguments.only_subgroups, arguments.json);
    }
    let start = Instant::now();
    let gpu = Gpu::open(&options)?;
    let roofs = measure_roofs(&gpu)?;
    // The default storage, and the other one unless the user selected one.
    let mut gpus = vec![Arc::clone(&gpu)];
    let other = match gpu.capabilities().storage {
        StorageKind::Buffer => StorageKind::Texture,
        StorageKind::Texture => StorageKind::Buffer,
    };
    let can = other == StorageKind::Buffer || gpu.report().storage_textures >= 8;
    if device.storage.is_none() && can {
        gpus.push(Gpu::open(&GpuOptions { storage: Some(other), ..options })?);
    }
    let journal = journal(gpu.report(), device.checked)?;
    let bounds = Bounds {
        journal: journal.as_ref(),
        until: Some(start + Duration::from_secs(arguments.seconds.into())),
        ..Bounds::default()
    };
    let found = check(&gpus, &bounds, start);
    // Earlier findings are kept, whatever ended the checks.
    if let Some(journal) = &journal {
        journal.close();
    }
    let mut reports = vec![];
    let mut fit = false;
    for (of_storage, healthy, storage) in found? {
        if let Some(journal) = journal.as_ref().filter(|_| gpus.len() > 1) {
            journal.ended(&StrategyReport::of_storage(storage, healthy));
        }
        fit |= healthy;
        reports.extend(of_storage);
    }
    reports.sort_by_key(|report| report.kernel);
    let chains = examine_chains(&gpu)?;
    let strategies = reports.len();
    reports.extend(chains.iter().map(StrategyReport::from));
    if let Some(journal) = &journal {
        reports[strategies..].iter().for_each(|report| journal.ended(report));
        journal.close();
    }
    let [runs, rows] =
        [|report: &StrategyReport| report.cases, |report: &StrategyReport| report.rows]
            .map(|count| reports[..strategies].iter().map(count).sum::<usize>());
    if runs < rows {
        let seconds = arguments.seconds;
        eprintln!(
            "kaiwu: every strategy ran, but only {runs} of {rows} runs fit into {seconds} s, for \
             the driver had to compile them; run doctor again, which goes on where drivers keep \
             what they compiled, or give \
             it --seconds {}",
            u64::from(seconds) * 8
        );
    }
    if arguments.json {
        let kernels = &reports[..strategies];
        print_pretty(&json!({
            "adapter": gpu.report(), "roofs": roofs, "kernels": kernels, "chains": chains,
            "runs": runs, "runs_left_out": rows - runs,
        }))?;
    } else {
        print(&format!(
            "{}\n{}\n{}{}",
            super::devices::describe(gpu.report()),
            about(&roofs),
            checked(&reports[..strategies]),
            chains.as_ref().map_or(String::new(), about_chains)
        ))?;
        print(&verdict(gpu.report(), fit, &reports, runs == rows))?;
    }
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The journal of findings. With shader checks nothing is recorded, because their machine code
/// differs from that of normal runs.
fn journal(adapter: &AdapterReport, checked: bool) -> Result<Option<DoctorJournal>> {
    if checked {
        eprintln!(
            "kaiwu: with --checked, shaders are compiled otherwise than by default, so what is \
             found is not remembered"
        );
        return Ok(None);
    }
    let Some(path) = Quarantine::default_path() else {
        eprintln!("kaiwu: {NO_FOLDER}, so what is found is not remembered");
        return Ok(None);
    };
    match DoctorJournal::open(&path, adapter) {
        Err(error @ Error::Io { .. }) => {
            eprintln!("kaiwu: {}", not_remembered(&error));
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// The findings in a storage, whether each kernel has a correct strategy there, and the storage.
type Found = (Vec<StrategyReport>, bool, StorageKind);

/// Examines all storages simultaneously, because most of the time is a driver compiling on one
/// core.
fn check(gpus: &[Arc<Gpu>], bounds: &Bounds<'_>, start: Instant) -> Result<Vec<Found>> {
    let begun = vec![Pace::default(); gpus.len()];
    let progress = Mutex::new((Progress::percent("checking kernels", 1000), begun, start));
    let most = bounds.until.map_or(f64::INFINITY, |end| (end - start).as_secs_f64());
    let told = |at: usize, pace: Pace| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        let (bar, paces, last) = &mut *progress;
        paces[at] = pace;
        let seconds = start.elapsed().as_secs_f64();
        // They run simultaneously, so the slowest one determines the remaining time.
        let left = paces.iter().map(|pace| pace.left(seconds, most)).fold(0.0, f64::max);
        bar.set((seconds / (seconds + left) * 1e3) as u64);
        if last.elapsed() > BETWEEN_LINES && !std::io::stderr().is_terminal() {
            *last = Instant::now();
            let [done, all] = [|pace: &Pace| pace.done, |pace: &Pace| pace.all]
                .map(|of| paces.iter().map(of).sum::<usize>());
            eprintln!(
                "kaiwu: {done} of {all} runs done in {seconds:.0} s, about {:.0} s left",
                left.max(1.0)
            );
        }
    };
    let examine_in = |at: usize| {
        let mut table = cases::table(&gpus[at])?;
        let reports = examine(&mut table, bounds, |pace| told(at, pace))?;
        let healthy = healthy(&table, &reports);
        Ok((reports, healthy, gpus[at].capabilities().storage))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..gpus.len())
            .map(|at| {
                let examine_in = &examine_in;
                scope.spawn(move || examine_in(at))
            })
            .collect();
        // All threads finish before an error is returned, because the findings of the others count
        // as well.
        let ended: Vec<_> = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        ended
            .into_iter()
            .map(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
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
        "{}multiply-add of f32  {:.1} GFLOP/s, of f16  {}\ndispatch  {:.1} us, {:.1} us more after \
         one whose result it reads\nworkgroup barrier of 64 lanes  {:.2} us\n",
        table(&rows, 4),
        roofs.multiply_add_gflop_per_s,
        roofs.multiply_add_f16_gflop_per_s.map_or("-".into(), |rate| format!("{rate:.1} GFLOP/s")),
        roofs.dispatch_us,
        roofs.dependent_dispatch_us,
        roofs.workgroup_barrier_us
    )
}

fn about_chains(chains: &FusedReport) -> String {
    let FusedReport { calls, dispatches, runs, passed, missed, single_us, .. } = chains;
    let us = chains.us.map_or("no figure".into(), |us| format!("{us:.0} us"));
    format!(
        "\n{calls} calls of two layers, dispatches {dispatches}: the same bits in {passed} of \
         {runs} runs, threads missed each other in {missed}; {us}, one by one {single_us:.0} us\n"
    )
}

fn checked(reports: &[StrategyReport]) -> String {
    let heading = ["kernel", "strategy", "storage", "rows", "run", "passed", "worst error", ""];
    let mut rows = vec![heading.map(String::from).to_vec()];
    let mut last = "";
    for report in reports {
        rows.push(vec![
            if report.kernel == last { String::new() } else { report.kernel.to_owned() },
            report.strategy.to_owned(),
            format!("{:?}", report.storage).to_lowercase(),
            report.rows.to_string(),
            report.cases.to_string(),
            report.passed.to_string(),
            if report.max_error.is_finite() {
                format!("{:.1e}", report.max_error)
            } else {
                "not a number".into()
            },
            if report.quarantined { "quarantined".into() } else { String::new() },
        ]);
        last = report.kernel;
    }
    table(&rows, 3)
}

fn verdict(adapter: &AdapterReport, fit: bool, reports: &[StrategyReport], all: bool) -> String {
    let wrong: Vec<_> = reports.iter().filter(|report| report.quarantined).collect();
    let mut text = "\n".to_owned();
    for report in &wrong {
        let reason = report.reason.as_deref().unwrap_or_default();
        let (kernel, strategy) = (report.kernel, report.strategy);
        text += &format!("{kernel} ({strategy}, {:?}s) is wrong here: {reason}\n", report.storage);
    }
    text + &match (fit, wrong.len()) {
        (true, 0) if all => format!("{}: all is well\n", adapter.name),
        (true, 0) => format!("{}: all is well that was run\n", adapter.name),
        (true, n) => format!("{}: usable; strategies left out: {n}\n", adapter.name),
        (false, _) => {
            format!("{}: some kernels have no strategy that is right here\n", adapter.name)
        }
    }
}
