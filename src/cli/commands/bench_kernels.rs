//! `kaiwu bench kernels`: each strategy on the shapes of real models, by the adapter's roofs.

use super::bench_shader;
use crate::cli::Outcome;
use crate::cli::support::arguments::DeviceArguments;
use crate::cli::support::failure::usage;
use crate::cli::support::output::{print, print_pretty, table};
use crate::cli::support::progress::Progress;
use crate::files::write_whole;
use crate::format::DType;
use crate::gpu::{Gpu, GpuOptions, StorageKind};
use crate::workbench::{
    BenchShape, Change, Measurement, Refused, Roofs, Stopwatch, all_shapes, changes, measure_roofs,
    product_shape, roofline, settle, vanished,
};
use crate::{Error, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Time each strategy of the kernels on shapes of real models, and hold it against what the adapter
/// can do
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(in crate::cli) struct Arguments {
    /// Only shapes and kernels whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Instead of the models' shapes, a product of M tokens, N outputs and K inputs; repeatable
    #[arg(long, value_name = "MxNxK", value_parser = parse_shape)]
    shape: Vec<[usize; 3]>,
    /// Format of the weights of --shape
    #[arg(long, value_name = "FORMAT", default_value = "q4_1", value_parser = parse_format)]
    format: DType,
    #[command(flatten)]
    own: bench_shader::OwnArguments,
    /// Print one JSON object, which --baseline reads
    #[arg(long, conflicts_with_all = ["csv", "markdown"])]
    json: bool,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "markdown")]
    csv: bool,
    /// Print a table in Markdown
    #[arg(long)]
    markdown: bool,
    /// Write a roofline chart
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Compare with an earlier --json; exit code 1 if something is slower than the tolerance
    /// allows, or no longer there
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Share by which a median may exceed the baseline's
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, requires = "baseline")]
    tolerance: f64,
}

const HELP: &str =
    "Each strategy is checked against its reference on the shape before it is timed; one that is wrong
gets no figure, and the exit code is 1. The same call is timed again and again, so that small
operands stay in a cache and may pass the roof, which is memory's. With --baseline, what looks
slower is measured again a few times, and the time of a fixed piece of work beside it tells a busy
machine from a slow kernel. A shader of your own has no reference, so that nothing is said of its
results; --dump writes them.

Examples:
  kaiwu bench kernels
  kaiwu bench kernels --filter decode --plot roofline.svg
  kaiwu bench kernels --shape 1x4096x4096 --format q8_0
  kaiwu bench kernels --wgsl examples/saxpy.wgsl --bind x=64MiB --bind y=64MiB --bytes 192MiB
  kaiwu bench kernels --wgsl examples/saxpy.wgsl --bind y=4KiB:count --dump y=y.npy
  kaiwu bench kernels --json > before.json
  kaiwu bench kernels --baseline before.json --tolerance 0.2";

/// How often what looks slower than the baseline is measured again before it counts.
const ROUNDS: usize = 8;
/// The pause before the second round; later ones are longer.
const PAUSE: Duration = Duration::from_millis(300);
/// A machine that takes so many times as long for the same work is worth a word.
const BUSY: f64 = 1.1;

/// The longest axis of --shape, so that made-up weights fit into memory.
const LONGEST: usize = 1 << 17;
const MOST_WEIGHTS: usize = 1 << 28;

fn parse_shape(text: &str) -> std::result::Result<[usize; 3], String> {
    let numbers: Vec<_> =
        text.split('x').map(str::parse).collect::<std::result::Result<_, _>>().unwrap_or_default();
    let &[m, n, k]: &[usize; 3] =
        numbers[..].try_into().map_err(|_| "expected MxNxK, such as 1x4096x4096")?;
    if [m, n, k].iter().any(|&axis| axis == 0 || axis > LONGEST) || m > 4096 || n * k > MOST_WEIGHTS
    {
        return Err(format!(
            "axes are 1 to {LONGEST}, M at most 4096, N times K at most {MOST_WEIGHTS}"
        ));
    }
    if k % 32 != 0 {
        return Err(format!("K is {k}, but the rows of packed weights are whole blocks of 32"));
    }
    Ok([m, n, k])
}

fn parse_format(text: &str) -> std::result::Result<DType, String> {
    let names: Vec<_> = DType::ALL.iter().map(|dtype| dtype.to_string().to_lowercase()).collect();
    let found = names.iter().position(|name| *name == text.to_lowercase());
    found.map(|at| DType::ALL[at]).ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

/// What --json prints and --baseline reads.
#[derive(Debug, Serialize, Deserialize)]
struct Baseline {
    adapter: serde_json::Value,
    #[serde(default)]
    storage: Option<String>,
    #[serde(default)]
    clock: Option<String>,
    results: Vec<Measurement>,
}

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    // A file that cannot be read should be known of before minutes of measuring.
    let baseline = arguments.baseline.as_deref().map(read_baseline).transpose()?;
    let [too_long] =
        [arguments.shape.iter().find(|shape| shape[2] % arguments.format.block_len() != 0)];
    if let Some([_, _, k]) = too_long {
        let (format, block) = (arguments.format, arguments.format.block_len());
        return Err(usage(format!("K is {k}, but {format} weights come in blocks of {block}")));
    }
    let mut shapes = match (&arguments.own.wgsl, &arguments.shape[..]) {
        (Some(_), _) => vec![],
        (None, []) => all_shapes(),
        (None, own) => {
            own.iter().map(|&[m, n, k]| product_shape(arguments.format, m, n, k)).collect()
        }
    };
    let filter = arguments.filter.to_lowercase();
    shapes.retain(|shape| shape.what.to_lowercase().contains(&filter));
    if shapes.is_empty() && arguments.own.wgsl.is_none() {
        return Err(usage(format!("no shape's name contains {:?}", arguments.filter)));
    }
    if arguments.own.wgsl.is_some() && arguments.plot.is_some() {
        arguments.own.check_plot()?;
    }
    // A device of its own: whatever a stranger's shader does to it, the roofs are measured on
    // another.
    let own = match &arguments.own.wgsl {
        Some(file) => {
            let gpu = Gpu::open(&GpuOptions { immediates: true, ..device.options() })?;
            Some(bench_shader::Own::open(gpu, file, &arguments.own)?)
        }
        None => None,
    };
    let gpu = Gpu::open(&device.options())?;
    let roofs = measure_roofs(&gpu)?;
    let stopwatch = Stopwatch::new(&gpu, &roofs)?;
    let mut storage = gpu.capabilities().storage;
    let mut progress = Some(Progress::count("timing", shapes.len() as u64));
    let (mut results, mut refused) = (vec![], vec![]);
    if let Some(own) = &own {
        let (measurement, bound) = own.measure(&stopwatch, &arguments.own)?;
        own.remark(&measurement);
        results.push(measurement);
        storage = bound;
    }
    for (done, shape) in shapes.iter().enumerate() {
        for result in stopwatch.measure(shape)? {
            match result {
                Ok(measurement) => results.push(measurement),
                Err(reason) => refused.push(reason),
            }
        }
        progress.as_mut().into_iter().for_each(|bar| bar.set(done as u64 + 1));
    }
    progress.take();

    if let Some(baseline) = &baseline {
        let again = |before: &Measurement| match &own {
            Some(own) => own.measure(&stopwatch, &arguments.own).map(|(found, _)| Some(found)),
            None => measure_again(&stopwatch, &shapes, before),
        };
        // What keeps the machine busy may be over a little later.
        let pause = |round: usize| std::thread::sleep(PAUSE * round as u32);
        let settled =
            settle(&baseline.results, &mut results, arguments.tolerance, ROUNDS, pause, again)?;
        if settled > 0 {
            eprintln!("kaiwu: {settled} looked slower, and were not when measured again");
        }
    }
    let changes = baseline.as_ref().map(|baseline| changes(&baseline.results, &results));
    if let Some(file) = &arguments.plot {
        let chart = roofline(&results, &roofs, storage, &gpu.report().name);
        write_whole(file, chart)?;
    }
    if arguments.json {
        print_pretty(&json!({
            "adapter": gpu.report(), "storage": storage_word(storage), "clock": gpu.clock(), "roofs": roofs,
            "results": results, "refused": refused, "changes": changes,
        }))?;
    } else {
        print(&if arguments.csv {
            csv(&results)
        } else {
            as_table(&results, &roofs, arguments.markdown, gpu.clock())
        })?;
    }
    for Refused { shape, kernel, strategy, reason } in &refused {
        eprintln!(
            "kaiwu: {shape}: {kernel} ({strategy}) gets no figure, for it is wrong: {reason}"
        );
    }
    let slower = changes.map_or(0, |changes| report_changes(&changes, arguments.tolerance));
    let mut gone = 0;
    if let Some(baseline) = &baseline {
        // With --shape only these were asked for, else all whose name has the filter's text.
        let asked = |shape: &str| match &arguments.shape[..] {
            [] => shape.to_lowercase().contains(&filter),
            _ => shapes.iter().any(|asked| asked.what == shape),
        };
        gone = report_vanished(&vanished(&baseline.results, &results, asked), &refused);
        report_other(baseline, &gpu, storage);
    }
    let right = refused.is_empty() && slower == 0 && gone == 0;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Times a call again that looks slower than in the baseline.
fn measure_again(
    stopwatch: &Stopwatch<'_>,
    shapes: &[BenchShape],
    before: &Measurement,
) -> Result<Option<Measurement>> {
    match shapes.iter().find(|shape| shape.what == before.shape) {
        Some(shape) => stopwatch.again(shape, before),
        None => Ok(None),
    }
}

fn storage_word(storage: StorageKind) -> String {
    format!("{storage:?}").to_lowercase()
}

/// Says on standard error what the baseline has and this run has not, and how much that is. What is
/// wrong was said already.
fn report_vanished(vanished: &[[String; 3]], refused: &[Refused]) -> usize {
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

/// Says on standard error what else differs from the baseline, so that its figures are of something
/// else.
fn report_other(baseline: &Baseline, gpu: &Gpu, storage: StorageKind) {
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

fn read_baseline(path: &Path) -> Result<Baseline> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::damaged(path, format!("is not the output of `kaiwu bench kernels --json`: {error}"))
    })
}

/// Says on standard error what became slower than `tolerance` allows, and how many those are.
fn report_changes(changes: &[Change], tolerance: f64) -> usize {
    let slower: Vec<_> = changes.iter().filter(|change| change.is_slower(tolerance)).collect();
    for change in &slower {
        let Change { shape, kernel, strategy, before_us, now_us, busier, .. } = change;
        let busy = match *busier > BUSY {
            true => format!(", and the machine is only {:.0} % busier", (busier - 1.0) * 100.0),
            false => String::new(),
        };
        eprintln!(
            "kaiwu: {shape}: {kernel} ({strategy}) takes {now_us:.1} us, {:+.0} % of {before_us:.1} us before{busy}",
            (now_us / before_us - 1.0) * 100.0
        );
    }
    let mut busier: Vec<_> = changes.iter().map(|change| change.busier).collect();
    busier.sort_by(f64::total_cmp);
    if let Some(busier) = busier.get(busier.len() / 2).filter(|&&busier| busier > BUSY) {
        eprintln!(
            "kaiwu: the machine is {:.0} % busier than it was for the baseline, which is allowed for",
            (busier - 1.0) * 100.0
        );
    }
    let (count, compared) = (slower.len(), changes.len());
    eprintln!(
        "kaiwu: {count} of {compared} are slower than the baseline by more than {:.0} %",
        tolerance * 100.0
    );
    // Nothing in common is no proof of anything.
    if compared == 0 { 1 } else { count }
}

/// In place of a figure that nobody knows.
const NONE: &str = "-";

fn cells(m: &Measurement) -> [String; 8] {
    [
        m.shape.clone(),
        m.kernel.clone(),
        m.strategy.clone(),
        format!("{:.1}", m.median_us),
        format!("{:.1}..{:.1}", m.quarter_us, m.three_quarters_us),
        m.gb_per_s.map_or(NONE.into(), |rate| format!("{rate:.2}")),
        format!("{:.2}", m.gflop_per_s),
        m.share_of_roof.map_or(NONE.into(), |share| format!("{:.0} %", share * 100.0)),
    ]
}

fn as_table(results: &[Measurement], roofs: &Roofs, markdown: bool, clock: &str) -> String {
    let heading = [
        "shape",
        "kernel",
        "strategy",
        "median us",
        "middle half us",
        "GB/s",
        "GFLOP/s",
        "of roof",
    ];
    if markdown {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = "|---|---|---|--:|--:|--:|--:|--:|\n";
        return line(&heading.map(String::from))
            + rule
            + &results.iter().map(|m| line(&cells(m))).collect::<String>();
    }
    let mut rows = vec![heading.map(String::from).to_vec()];
    let mut last = "";
    for m in results {
        let mut row = cells(m).to_vec();
        if m.shape == last {
            row[0].clear();
        }
        rows.push(row);
        last = &m.shape;
    }
    let texture = roofs
        .read_texture_gb_per_s
        .map_or(String::new(), |rate| format!(", textures {rate:.1} GB/s"));
    let above = match results.iter().any(|m| m.share_of_roof.is_some_and(|share| share > 1.0)) {
        true => {
            "\nmore than 100 % of the roof: what is read stays in a cache, whose rate is no roof here"
        }
        false => "",
    };
    format!(
        "{}\nroofs: buffers {:.1} GB/s{texture}, {:.1} GFLOP/s; times by {clock}{above}\n",
        table(&rows, 3),
        roofs.read_buffer_gb_per_s,
        roofs.multiply_add_gflop_per_s
    )
}

fn csv(results: &[Measurement]) -> String {
    let mut text =
        "shape,kernel,strategy,median_us,quarter_us,three_quarters_us,runs,bytes,operations,gb_per_s,\
        gflop_per_s,share_of_roof,max_error\n"
            .to_owned();
    for m in results {
        // No name has a comma or a quotation mark.
        text += &format!(
            "{},{},{},{:.3},{:.3},{:.3},{},{},{},{},{:.4},{},{}\n",
            m.shape,
            m.kernel,
            m.strategy,
            m.median_us,
            m.quarter_us,
            m.three_quarters_us,
            m.runs,
            m.bytes.map_or(String::new(), |bytes| bytes.to_string()),
            m.operations,
            m.gb_per_s.map_or(String::new(), |rate| format!("{rate:.4}")),
            m.gflop_per_s,
            m.share_of_roof.map_or(String::new(), |share| format!("{share:.4}")),
            m.max_error.map_or(String::new(), |error| format!("{error:e}"))
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        assert_eq!(parse_shape("1x4096x64"), Ok([1, 4096, 64]));
        for wrong in
            ["", "1x2", "1x2x3x4", "axbxc", "1x2x33", "0x1x32", "1x131072x131072", "5000x1x32"]
        {
            assert!(parse_shape(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_format("Q4_K").map(|dtype| dtype.block_len()), Ok(256));
        assert!(parse_format("q3").is_err());
    }
}
