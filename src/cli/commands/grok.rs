//! `kaiwu grok`: a small transformer learns half of a table, and later understands the other half.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, not_negative, positive, share};
use crate::cli::support::choice::choice;
use crate::cli::support::failure::usage;
use crate::cli::support::given::Given;
use crate::cli::support::interrupt;
use crate::cli::support::output::{print, print_json};
use crate::cli::support::profile::ProfileArgument;
use crate::cli::support::training_progress::TrainingProgress;
use crate::files::{OwnFolder, write_whole};
use crate::gpu::{Device, Gpu};
use crate::lab::{
    Chart, Grok, GrokSettings, Operation, Row, curves, export, fourier_chart, spectrum, write_png,
};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Train a small transformer on half of a table until it understands the other half
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    settings: SettingArguments,
    /// Folder for metrics, figures, model and checkpoint
    #[arg(long, value_name = "DIR", default_value = "grok")]
    out: PathBuf,
    /// Go on with the run of that folder, with its settings; only --steps and --to-the-end may
    /// differ
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    profile: ProfileArgument,
    /// Print one JSON object at the end; of a sweep, a list of them
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sweep: super::grok_sweep::SweepArguments,
}

/// Settings as [`GrokSettings`] names them; what is not given has the paper's value, or that of the
/// run that is resumed.
#[derive(Debug, Args, Serialize)]
struct SettingArguments {
    /// The operation [default: divide]
    #[arg(long, value_parser = choice::<Operation>())]
    operation: Option<Operation>,
    /// The modulus of the table; division needs a prime [default: 97]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(3..=997))]
    modulus: Option<u32>,
    /// Share of the table to learn from; the rest is for validation [default: 0.5]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = share, conflicts_with = "sweep")]
    fraction: Option<f64>,
    /// Layers of the transformer [default: 2]
    #[arg(long, alias = "layers", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    n_layers: Option<u32>,
    /// Width of the transformer, a multiple of 32; each head has 8 to 256 of it, in eights
    /// [default: 128]
    #[arg(long, alias = "width", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16384))]
    hidden_size: Option<u32>,
    /// Attention heads [default: 4]
    #[arg(long, alias = "heads", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    n_heads: Option<u32>,
    /// Most optimiser steps [default: 10000, or those of the run that is resumed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    steps: Option<u64>,
    /// Weight decay of AdamW [default: 1]
    #[arg(long, value_name = "D", allow_negative_numbers = true, value_parser = not_negative, conflicts_with = "sweep")]
    weight_decay: Option<f32>,
    /// Learning rate after ten steps of warm-up [default: 0.001]
    #[arg(long, alias = "rate", value_name = "R", allow_negative_numbers = true, value_parser = positive)]
    learning_rate: Option<f64>,
    /// Equations of a step, at most half of those to learn from [default: 512]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    /// Fixes the split, the start and the order [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    seed: Option<u64>,
    /// Steps between two rows of metrics, 50 at most [default: 50]
    #[arg(long, alias = "every", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=50))]
    eval_interval: Option<u64>,
    /// Take all steps, even when validation has held above 0.99 for 200 of them
    #[arg(long, conflicts_with = "sweep")]
    to_the_end: bool,
}

const HELP: &str =
    "The run stops when validation has held above 0.99 for 200 steps. Ctrl-C stops it too (exit
code 130), and --resume goes on as if nothing had happened. Either way the folder then holds
metrics.jsonl, curves.svg and .png (accuracy and loss over steps), fourier.svg and .png (the
embedding's frequencies before and after), the model, and a checkpoint. A second Ctrl-C ends it at
once, as of the last checkpoint.

The model answers questions of a, the operation's sign, b and =, with spaces between or without.
Signs are + - * / and, of other operations, their names. Permutations are written by where each of
five things goes; their signs are *, conjugate and sandwich.

Examples:
  kaiwu grok
  kaiwu generate -m grok \"5 / 7 =\"
  kaiwu grok --modulus 53 --operation add --fraction 0.4 --out runs/add
  kaiwu grok --resume --out runs/add
  kaiwu generate -m runs/add 11+17=
  kaiwu grok --operation quadratic --out runs/quadratic
  kaiwu generate -m runs/quadratic \"3 quadratic 5 =\"
  kaiwu grok --operation s5-product --out runs/s5
  kaiwu generate -m runs/s5 21345*23451=
  kaiwu grok --sweep --modulus 23 --operation add --n-layers 1 --hidden-size 64 --learning-rate 0.003 --steps 3000";

/// Steps that `--profile` times, at the end of a run.
const PROFILED: usize = 10;

/// Rows between checkpoints.
const CHECKPOINT: usize = 10;

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let out = &arguments.out;
    let begin = || Given::begins(out, Grok::is_in(out), arguments.resume);
    begin()?;
    let _own = OwnFolder::claim(out)?;
    // Another process may have had the folder until now.
    begin()?;
    let given = Given::new(&arguments.settings)?;
    let settings = match arguments.resume {
        true => Grok::settings_in(out)?,
        false => given.applied(&GrokSettings::default())?,
    };
    if arguments.resume {
        given.refuse_other(&settings, &["steps", "to_the_end"], out)?;
    }
    if settings.operation.permutes() && given.has("modulus") {
        let message = "--modulus is for numbers; permutations have none, leave it out";
        return Err(usage(message.into()));
    }
    let gpu = Gpu::open(&device.options())?;
    if arguments.sweep.sweep {
        return super::grok_sweep::run(&gpu, &arguments.sweep, &settings, out, arguments.json);
    }
    let mut grok = match arguments.resume {
        true => Grok::resume(&gpu, out)?,
        false => Grok::new(&gpu, &settings)?,
    };
    if arguments.resume {
        Given::refuse_fewer(arguments.settings.steps, grok.trainer.done(), out)?;
        grok.settings = given.applied(&settings)?;
    }

    let interrupted = Arc::new(AtomicBool::new(false));
    interrupt::watch(Arc::clone(&interrupted), Arc::new(AtomicBool::new(true)))?;
    let course =
        TrainingProgress::new(grok.settings.steps, grok.trainer.done(), !grok.settings.to_the_end);
    while !grok.is_done() && !interrupted.load(Ordering::Relaxed) {
        if let Some(row) = grok.advance(&interrupted, |step| course.step(step))? {
            course.news(scores(&row));
            log::info!("step {}: {}, after {:.1} s", row.step, scores(&row), row.seconds);
            grok.write_rows(out)?;
            if grok.rows.len() % CHECKPOINT == 0 {
                grok.save(out)?;
            }
        }
    }
    drop(course);
    grok.save(out)?;
    figures(&grok, out)?;
    export(&grok, out)?;
    if interrupted.load(Ordering::Relaxed) {
        let (step, out) = (grok.trainer.done(), out.display());
        eprintln!("kaiwu: stopped at step {step}; go on with: kaiwu grok --resume --out {out}");
        return Ok(interrupt::exit_code());
    }
    report(&grok, arguments)?;
    if arguments.profile.wanted() {
        arguments.profile.report(&grok.trainer.profile(PROFILED)?, &Device::Gpu(gpu))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How well a run goes, in words.
pub(in crate::cli) fn scores(row: &Row) -> String {
    let Row { train_accuracy, train_loss, validation_accuracy, validation_loss, .. } = row;
    format!(
        "training {train_accuracy:.3} (loss {train_loss:.3}), validation {validation_accuracy:.3} (loss {validation_loss:.3})"
    )
}

/// The figures, as SVG and PNG.
fn figures(grok: &Grok, out: &Path) -> Result<()> {
    let settings = &grok.settings;
    let GrokSettings { hidden_size, operation, modulus, .. } = *settings;
    let spectrum = |embedding: &[f32]| spectrum(embedding, hidden_size, operation, modulus);
    let after = grok.trainer.parameters.get("token_embd").read_f32(grok.trainer.gpu())?;
    write(&curves(settings, &grok.rows), &out.join("curves"))?;
    write(&fourier_chart(settings, &spectrum(&grok.start), &spectrum(&after)), &out.join("fourier"))
}

pub(in crate::cli) fn write(chart: &Chart, path: &Path) -> Result<()> {
    let (svg, path_svg) = (chart.svg(), path.with_extension("svg"));
    write_whole(&path_svg, &svg)?;
    write_png(&svg, &path.with_extension("png"))
}

fn report(grok: &Grok, arguments: &Arguments) -> Result<()> {
    let Some(last) = grok.rows.last() else { return Ok(()) };
    let first = |accuracy: f64| grok.first_at(accuracy).map(|row| (row.step, row.seconds));
    let trained = grok.rows.iter().find(|row| row.train_accuracy >= 0.99).map(|row| row.step);
    let (step, seconds) = (last.step, last.seconds);
    if arguments.json {
        return print_json(&json!({
            "steps": step,
            "seconds": seconds,
            "steps_per_s": step as f64 / seconds,
            "training_0_99_at": trained,
            "validation_0_9_at": first(0.9).map(|at| at.0),
            "validation_0_99_at": first(0.99).map(|at| at.0),
            "validation_0_99_seconds": first(0.99).map(|at| at.1),
            "train_accuracy": last.train_accuracy,
            "validation_accuracy": last.validation_accuracy,
            "out": arguments.out,
        }));
    }
    let understood = match first(0.99) {
        Some((step, seconds)) => {
            format!("validation reached 0.99 at step {step}, after {seconds:.0} s")
        }
        None => format!("validation is at {:.3}", last.validation_accuracy),
    };
    let learned =
        trained.map_or(String::new(), |step| format!("training reached 0.99 at step {step}; "));
    let out = arguments.out.display();
    let GrokSettings { operation, modulus, .. } = grok.settings;
    let elements = operation.elements(modulus);
    let [a, b] = [1, 2].map(|place| &elements[elements.len() * place / 3]);
    let sign = operation.sign();
    print(&format!(
        "{learned}{understood}\n{step} steps in {seconds:.0} s, {:.1} a second\nwritten to {out}; try: kaiwu generate -m {out} \"{a} {sign} {b} =\"\n",
        step as f64 / seconds,
    ))
}
