//! `kaiwu bench kernels`: times each strategy on shapes of real models, relative to the adapter's
//! peak rates.

use super::bench_baseline::{
    read_baseline, report_changes, report_other, report_vanished, storage_word,
};
use super::bench_results::{as_table, csv};
use super::bench_shader;
use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::DeviceArguments;
use crate::cli::support::failure::usage;
use crate::cli::support::output::{print, print_pretty};
use crate::cli::support::progress::Progress;
use crate::files::write_whole;
use crate::format::DType;
use crate::gpu::{Gpu, GpuOptions};
use crate::workbench::{
    BenchShape, Measurement, Refused, Stopwatch, all_shapes, changes, measure_roofs, product_shape,
    roofline, settle, vanished,
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
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
    "Each strategy is checked against its reference on the shape before it is timed; one that is \
     wrong
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

/// How often a result slower than the baseline is measured again before it counts.
const ROUNDS: usize = 8;
/// The pause before the second round; later ones are longer.
const PAUSE: Duration = Duration::from_millis(300);
/// Longest axis of --shape, so that generated weights fit in memory.
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

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    // An unreadable file should be reported before minutes of measuring.
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
    // A separate device: the user's shader may damage it, and peak rates are measured on another.
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
        if let Some(bar) = &mut progress {
            bar.set(done as u64 + 1);
        }
    }
    progress.take();

    if let Some(baseline) = &baseline {
        let again = |before: &Measurement| match &own {
            Some(own) => own.measure(&stopwatch, &arguments.own).map(|(found, _)| Some(found)),
            None => measure_again(&stopwatch, &shapes, before),
        };
        // The load on the machine may end a little later.
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
        // With --shape only these shapes are wanted, otherwise all whose name contains the filter.
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

/// Measures a call again that seems slower than in the baseline.
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
