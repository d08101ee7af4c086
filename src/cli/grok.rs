//! `kaiwu grok`: a small transformer learns half of a table, and later understands the other half.

use super::Outcome;
use super::arguments::DeviceArguments;
use super::interrupt;
use super::output::{print, print_json};
use super::profile::ProfileArgument;
use crate::gpu::{Gpu, Place};
use crate::lab::{
    Chart, Grok, GrokSettings, Operation, Row, curves, export, fourier_chart, spectrum, write_png,
};
use crate::{Error, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Train a small transformer on half of a table until it understands the other half
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The modulus of the table; division and multiplication need a prime
    #[arg(long, value_name = "P", default_value_t = 97)]
    modulus: u32,
    /// The operation
    #[arg(long, value_enum, default_value = "divide")]
    operation: Operation,
    /// Share of the table to learn from; the rest is for validation
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    fraction: f64,
    /// Layers of the transformer
    #[arg(long, value_name = "N", default_value_t = 2)]
    layers: usize,
    /// Width of the transformer, a multiple of 4 * heads
    #[arg(long, value_name = "N", default_value_t = 128)]
    width: usize,
    /// Attention heads
    #[arg(long, value_name = "N", default_value_t = 4)]
    heads: usize,
    /// Most optimiser steps [default: 10000, or those of the run that is resumed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    steps: Option<u64>,
    /// Weight decay of AdamW
    #[arg(long, value_name = "D", default_value_t = 1.0)]
    weight_decay: f32,
    /// Learning rate after ten steps of warm-up
    #[arg(long, value_name = "R", default_value_t = 1e-3)]
    rate: f64,
    /// Equations of a step, at most half of those to learn from
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Fixes the split, the start and the order
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Steps between two rows of metrics, 50 at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=50))]
    every: u64,
    /// Take all steps, even when validation has held above 0.99 for 200 of them
    #[arg(long)]
    to_the_end: bool,
    /// Folder for metrics, figures, model and checkpoint
    #[arg(long, value_name = "DIR", default_value = "grok")]
    out: PathBuf,
    /// Go on with the run of that folder, with its settings
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    profile: ProfileArgument,
    #[command(flatten)]
    sweep: super::grok_sweep::SweepArguments,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

const HELP: &str = "The run stops when validation has held above 0.99 for 200 steps. Ctrl-C stops it too, and --resume goes on
as if nothing had happened. The folder then holds metrics.jsonl, curves.svg and .png (accuracy and loss
over steps), fourier.svg and .png (the embedding's frequencies before and after), and the model.

Examples:
  kaiwu grok
  kaiwu grok --modulus 53 --operation add --fraction 0.4 --out runs/add
  kaiwu grok --resume --out runs/add
  kaiwu grok --sweep --modulus 23 --operation add --layers 1 --width 64 --rate 0.003 --out runs/sweep";

/// Steps that `--profile` times, at the end of a run.
const PROFILED: usize = 10;

/// Rows between checkpoints.
const CHECKPOINT: usize = 10;

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let out = &arguments.out;
    if !arguments.resume && Grok::is_in(out) {
        let message = format!("{} has a run; go on with --resume, or choose another --out", out.display());
        return Err(Error::Usage(message));
    }
    let gpu = Gpu::open(&device.options())?;
    if arguments.sweep.sweep {
        return super::grok_sweep::run(&gpu, &arguments.sweep, &arguments.settings(), out, arguments.json);
    }
    let mut grok = match arguments.resume {
        true => Grok::resume(&gpu, out)?,
        false => Grok::new(&gpu, &arguments.settings())?,
    };
    if let (true, Some(steps)) = (arguments.resume, arguments.steps) {
        grok.settings.steps = steps;
    }
    std::fs::create_dir_all(out).map_err(Error::io("create", out))?;

    let interrupted = Arc::new(AtomicBool::new(false));
    interrupt::watch(Arc::clone(&interrupted), Arc::new(AtomicBool::new(true)))?;
    let bar = bar(&grok);
    while !grok.is_done() && !interrupted.load(Ordering::Relaxed) {
        if let Some(row) = grok.advance(&interrupted)? {
            show(&bar, &grok, &row);
            grok.write_rows(out)?;
            if grok.rows.len() % CHECKPOINT == 0 {
                grok.save(out)?;
            }
        }
    }
    bar.finish_and_clear();
    grok.save(out)?;
    figures(&grok, out)?;
    if interrupted.load(Ordering::Relaxed) {
        let step = grok.trainer.done();
        eprintln!("kaiwu: stopped at step {step}; go on with: kaiwu grok --resume --out {}", out.display());
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    export(&grok, out)?;
    report(&grok, arguments)?;
    if arguments.profile.wanted() {
        arguments.profile.report(&grok.trainer.profile(PROFILED)?, &Place::Device(gpu))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn settings(&self) -> GrokSettings {
        GrokSettings {
            operation: self.operation,
            modulus: self.modulus,
            fraction: self.fraction,
            layers: self.layers,
            width: self.width,
            heads: self.heads,
            steps: self.steps.unwrap_or(GrokSettings::default().steps),
            weight_decay: self.weight_decay,
            rate: self.rate,
            batch: self.batch as usize,
            seed: self.seed,
            every: self.every,
            to_the_end: self.to_the_end,
        }
    }
}

fn bar(grok: &Grok) -> ProgressBar {
    let bar = ProgressBar::new(grok.settings.steps).with_position(grok.trainer.done());
    let style = "{bar:20} step {pos}/{len}, {per_sec} steps, {eta} left at most {msg}";
    // The template is ours and parses; without one the bar has its default form.
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.reset_eta();
    bar
}

fn show(bar: &ProgressBar, grok: &Grok, row: &Row) {
    bar.set_position(row.step);
    bar.set_message(format!(
        "| training {:.3} (loss {:.3}), validation {:.3} (loss {:.3})",
        row.train_accuracy, row.train_loss, row.validation_accuracy, row.validation_loss
    ));
    let Row { step, train_accuracy, validation_accuracy, seconds, .. } = row;
    log::info!("step {step}: {train_accuracy:.3} {validation_accuracy:.3} after {seconds:.1} s");
    if grok.has_understood() {
        bar.set_message("| understood");
    }
}

/// The figures, as SVG and PNG.
fn figures(grok: &Grok, out: &Path) -> Result<()> {
    let settings = &grok.settings;
    let (width, modulus) = (settings.width, settings.modulus as usize);
    let multiplicative = settings.operation.is_multiplicative();
    let spectrum = |embedding: &[f32]| spectrum(embedding, width, modulus, multiplicative);
    let after = grok.trainer.parameters.get("token_embd").read_f32(grok.trainer.gpu())?;
    write(&curves(settings, &grok.rows), &out.join("curves"))?;
    write(&fourier_chart(settings, &spectrum(&grok.start), &spectrum(&after)), &out.join("fourier"))
}

pub(super) fn write(chart: &Chart, path: &Path) -> Result<()> {
    let (svg, path_svg) = (chart.svg(), path.with_extension("svg"));
    std::fs::write(&path_svg, &svg).map_err(Error::io("write", &path_svg))?;
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
        Some((step, seconds)) => format!("validation reached 0.99 at step {step}, after {seconds:.0} s"),
        None => format!("validation is at {:.3}", last.validation_accuracy),
    };
    let learned = trained.map_or(String::new(), |step| format!("training reached 0.99 at step {step}; "));
    print(&format!(
        "{learned}{understood}\n{step} steps in {seconds:.0} s, {:.1} a second\nwritten to {}\n",
        step as f64 / seconds,
        arguments.out.display(),
    ))
}
