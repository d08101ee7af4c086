//! `kaiwu autotune`: which strategy, in which size, is fastest here.

use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, IgnoringArguments};
use crate::cli::support::failure::usage;
use crate::cli::support::loaded::load;
use crate::cli::support::output::{print, print_pretty, table};
use crate::cli::support::progress::Progress;
use crate::format::{Ignored, Source, is_there};
use crate::gpu::{Device, Gpu, GpuOptions, NO_FOLDER, Tuned, Tuning};
use crate::model::{Config, Footprint, LogitsMode, Runner, SessionOptions};
use crate::workbench::{
    BenchShape, ShapeTuning, is_tunable, model_shapes, not_remembered, recorded_shapes,
    reference_seconds, tune,
};
use crate::{Error, Result};
use clap::Args;
use serde_json::json;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measure which strategy of each kernel is fastest on this adapter, and remember it
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(in crate::cli) struct Arguments {
    /// Tune for this model's own shapes, for one token and for 256 [default: shapes of some models]
    #[arg(short, long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    ignoring: IgnoringArguments,
    /// Time to take; what is not reached keeps its default, and comes first the next time
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Print what is remembered of this adapter, and measure nothing
    #[arg(long, conflicts_with_all = ["model", "forget", "import"])]
    show: bool,
    /// Forget what is remembered of this adapter
    #[arg(long, conflicts_with_all = ["model", "import"])]
    forget: bool,
    /// Remember what another machine with the same adapter and driver measured
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    import: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const HELP: &str =
    "Every strategy is checked against its reference before it is timed, and the fastest comes first from
then on, for this adapter, driver, storage and shape, as long as the shaders stay the same. What is
remembered is a small file, whose path is printed; send it to others as it is. Where it cannot be
written, what is measured is only printed.

Examples:
  kaiwu autotune -m models/SmolLM2-135M-Instruct.Q4_1.gguf --seconds 120
  kaiwu autotune --show
  kaiwu autotune --import tuning.json";

/// Tokens in the cache, for attention.
const CONTEXT: usize = 256;
/// Tokens of a prompt.
const PROMPT: usize = 256;

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let path = Tuning::default_path();
    if arguments.show || arguments.forget || arguments.import.is_some() {
        let path = path.ok_or_else(|| usage(format!("{NO_FOLDER}, so nothing is remembered")))?;
        let gpu = Gpu::open(&GpuOptions { tuning: Some(path.clone()), ..device.options() })?;
        return remembered(&gpu, &path, arguments);
    }
    let path = kept(path)?;
    let gpu = Gpu::open(&GpuOptions { tuning: path.clone(), ..device.options() })?;
    if gpu.capabilities().deterministic {
        return Err(usage("with --deterministic the strategies are given; tune without it".into()));
    }
    let shapes = shapes(&gpu, arguments.model.as_deref(), &arguments.ignoring.ignored())?;
    // After each shape: what was found stays, whatever the next one does to the device.
    let lost = Cell::new(path.is_none());
    let remember = |found: &ShapeTuning| {
        let Some(path) = path.as_ref().filter(|_| !lost.get()) else { return Ok(()) };
        let mut tuning = Tuning::read(path)?;
        tuning.add(found.tuned.clone());
        match tuning.write() {
            // A disk may be full by now; what is measured is shown all the same.
            Err(error @ Error::Io { .. }) => {
                eprintln!("kaiwu: {}", not_remembered(&error));
                lost.set(true);
                Ok(())
            }
            written => written,
        }
    };
    let time = Duration::from_secs(arguments.seconds.into());
    let (found, left) = measure(&gpu, &shapes, time, &remember)?;

    let adapter = &gpu.report().name;
    let path = path.filter(|_| !lost.get());
    if arguments.json {
        print_pretty(&json!({
            "adapter": gpu.report(), "storage": gpu.capabilities().storage, "file": path,
            "shapes": found, "not_reached": left,
        }))?;
    } else {
        let entries: Vec<_> = found.iter().filter_map(|found| found.tuned.as_ref()).collect();
        let kept = path
            .map_or("not remembered".into(), |path| format!("remembered in {}", path.display()));
        print(&format!("{}\n{adapter}: {kept}\n", as_table(&entries)))?;
    }
    for found in &found {
        for candidate in found.candidates.iter().filter(|candidate| candidate.reason.is_some()) {
            let reason = candidate.reason.as_deref().unwrap_or_default();
            let (strategy, sizes) = (candidate.strategy, in_words(&candidate.sizes));
            eprintln!("kaiwu: {}: {strategy} ({sizes}) is wrong here: {reason}", found.what);
        }
    }
    if left > 0 {
        eprintln!(
            "kaiwu: {left} shapes were not reached in {} s; tune again for them",
            arguments.seconds
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The file that what is measured goes to; `None`, and a word on standard error, where it cannot be
/// read. Better known now than after minutes of measuring.
fn kept(path: Option<PathBuf>) -> Result<Option<PathBuf>> {
    let Some(path) = path else {
        eprintln!("kaiwu: {NO_FOLDER}, so what is measured is not remembered");
        return Ok(None);
    };
    match Tuning::read(&path) {
        Err(error @ Error::Io { .. }) => {
            eprintln!("kaiwu: {}", not_remembered(&error));
            Ok(None)
        }
        read => read.map(|_| Some(path)),
    }
}

/// What may be tuned: for each step those that take the most first.
fn shapes(gpu: &Arc<Gpu>, model: Option<&Path>, ignored: &Ignored) -> Result<Vec<BenchShape>> {
    let Some(path) = model else { return Ok(model_shapes()) };
    let source = Source::open_ignoring(path, ignored)?;
    let place = Device::Gpu(Arc::clone(gpu));
    let most = Config::from_source(&source)?.max_context;
    let room = (CONTEXT + PROMPT).min(most);
    let reckoned =
        SessionOptions { context: Some(room), expected: room, ..SessionOptions::default() };
    Footprint::new(&source, None, &[], &reckoned)?.check(gpu)?;
    let model = load(&place, &source, None, &[])?;
    let prompt = PROMPT.min(room);
    let mut runner = Runner::new(&place, &model, None, room)?;
    let decode = recorded_shapes(&runner.recording(1, LogitsMode::Last)?, 1, CONTEXT.min(room - 1));
    let prefill = recorded_shapes(&runner.recording(prompt, LogitsMode::Nothing)?, prompt, 0);
    Ok(decode.into_iter().chain(prefill).collect())
}

/// Tunes what is not known yet, then what is, as long as there is time, and has each finding
/// remembered; also says how many shapes were left out.
fn measure(
    gpu: &Arc<Gpu>,
    shapes: &[BenchShape],
    time: Duration,
    remember: &impl Fn(&ShapeTuning) -> Result<()>,
) -> Result<(Vec<ShapeTuning>, usize)> {
    let start = Instant::now();
    let mut progress = Progress::seconds("tuning", time.as_secs());
    let mut queue: VecDeque<_> = shapes.iter().map(|shape| (shape, false)).collect();
    let (mut found, mut left_out) = (vec![], 0);
    while let Some((shape, known)) = queue.pop_front() {
        let mut case = shape.case(gpu)?;
        if !is_tunable(gpu, &*case.kernel) {
            continue;
        }
        if !known && gpu.tuned(&*case.kernel).is_some() {
            queue.push_back((shape, true));
            continue;
        }
        let left = time.saturating_sub(start.elapsed());
        if left.as_secs_f64() <= reference_seconds(&*case.kernel, shape.context) {
            left_out += usize::from(!known);
            continue;
        }
        // Checks take about as long as the timing does.
        let patience = (left / (2 * (queue.len() + 1) as u32)).min(Duration::from_secs(2));
        found.push(tune(gpu, &mut case, patience)?);
        found.last().map_or(Ok(()), remember)?;
        progress.set(start.elapsed().min(time).as_secs());
    }
    Ok((found, left_out))
}

fn remembered(gpu: &Gpu, path: &Path, arguments: &Arguments) -> Outcome {
    let mut tuning = Tuning::read(path)?;
    let shown = path.display();
    if arguments.forget {
        let count = tuning.forget(gpu.report());
        tuning.write()?;
        eprintln!("kaiwu: {count} shapes of {} forgotten in {shown}", gpu.report().name);
    }
    if let Some(file) = &arguments.import {
        if !is_there(file)? {
            return Err(usage(format!("there is no file {}", file.display())));
        }
        let other = Tuning::read_shared(file)?;
        let count = other.of(gpu.report()).count();
        eprintln!(
            "kaiwu: {} shapes imported into {shown}, {count} of them for this adapter and driver",
            other.entries().len()
        );
        tuning.add(other.entries().iter().cloned());
        tuning.write()?;
    }
    let entries: Vec<_> = tuning.of(gpu.report()).collect();
    if arguments.json {
        print_pretty(&json!({"adapter": gpu.report(), "file": path, "tuned": entries}))?;
    } else if entries.is_empty() {
        print(&format!("nothing is remembered of {} in {shown}\n", gpu.report().name))?;
    } else {
        print(&format!("{}\n{}: remembered in {shown}\n", as_table(&entries), gpu.report().name))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_table(entries: &[&Tuned]) -> String {
    let heading = ["kernel", "shape", "storage", "fastest", "sizes", "us", "default us", "times"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    for entry in entries {
        rows.push(vec![
            entry.kernel.clone(),
            entry.shape.clone(),
            format!("{:?}", entry.storage).to_lowercase(),
            entry.strategy.clone(),
            in_words(&entry.sizes),
            format!("{:.1}", entry.us),
            format!("{:.1}", entry.first_us),
            format!("{:.2}", entry.first_us / entry.us.max(1e-3)),
        ]);
    }
    table(&rows, 5)
}

fn in_words(sizes: &BTreeMap<String, u32>) -> String {
    let words = sizes.iter().map(|(name, count)| format!("{} {count}", name.to_lowercase()));
    words.collect::<Vec<_>>().join(", ")
}
