//! `kaiwu train`: a small language model learns a text.

use super::Outcome;
use super::arguments::DeviceArguments;
use super::grok::write;
use super::interrupt;
use super::output::{print, print_json};
use super::profile::ProfileArgument;
use crate::gpu::{Gpu, Place};
use crate::lab::learning_curve;
use crate::train::{TextRun, TextSettings, export_llama};
use crate::{Error, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Train a small language model on plain text
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The model's shape and how it learns, as JSON; what is left out has a default
    #[arg(short, long, value_name = "CONFIG.json", required_unless_present = "resume")]
    model: Option<PathBuf>,
    /// Files of UTF-8 text, read in this order; the end is kept for evaluation
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// Optimiser steps, instead of those of the configuration, or of the run that is resumed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    steps: Option<u64>,
    /// Folder for metrics, figure, model and checkpoint
    #[arg(long, value_name = "DIR", default_value = "trained")]
    out: PathBuf,
    /// Go on with the run of that folder, with its settings
    #[arg(long, conflicts_with = "model")]
    resume: bool,
    #[command(flatten)]
    profile: ProfileArgument,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

const HELP: &str = "The configuration has vocabulary (256 for a model of characters, more for BPE), context, layers, width, heads,
key_heads, hidden, batch, accumulate, steps, rate, warmup, weight_decay, clip, validation (the share of the text that is kept
for evaluation), every (steps between evaluations) and seed; examples/train.json is one. Ctrl-C stops the run, and --resume
goes on as if nothing had happened. The folder then holds metrics.jsonl, curve.svg and .png, and a model that other commands
take.

Examples:
  kaiwu train -m examples/train.json --data book.txt --out runs/book
  kaiwu generate -m runs/book -n 100 --temperature 0.8 \"In the beginning\"
  kaiwu train --resume --data book.txt --out runs/book";

/// Rows between checkpoints.
const CHECKPOINT: usize = 5;

/// Steps that `--profile` times, at the end of a run.
const PROFILED: usize = 3;

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let out = &arguments.out;
    if !arguments.resume && TextRun::is_in(out) {
        let message = format!("{} has a run; go on with --resume, or choose another --out", out.display());
        return Err(Error::Usage(message));
    }
    let text = read_all(&arguments.data)?;
    let settings = arguments.model.as_deref().map(read_settings).transpose()?;
    let gpu = Gpu::open(&device.options())?;
    let mut run = match settings {
        Some(mut settings) => {
            settings.steps = arguments.steps.unwrap_or(settings.steps);
            TextRun::new(&gpu, &settings, &text)?
        }
        None => TextRun::resume(&gpu, out, &text)?,
    };
    if let (true, Some(steps)) = (arguments.resume, arguments.steps) {
        run.settings.steps = steps;
    }
    std::fs::create_dir_all(out).map_err(Error::io("create", out))?;
    let (parameters, tokens, words) = (run.trainer.parameters.count(), run.tokens, run.tokenizer.len());
    eprintln!("kaiwu: {parameters} parameters, {tokens} tokens of text, {words} in the vocabulary");

    let interrupted = Arc::new(AtomicBool::new(false));
    interrupt::watch(Arc::clone(&interrupted), Arc::new(AtomicBool::new(true)))?;
    let bar = bar(&run);
    while !run.is_done() && !interrupted.load(Ordering::Relaxed) {
        if let Some(row) = run.advance(&interrupted, |step| bar.set_position(step))? {
            bar.set_message(format!(
                "| training {:.3}, validation {:.3} nats",
                row.train_loss, row.validation_loss
            ));
            log::info!("step {}: {:.4} {:.4}", row.step, row.train_loss, row.validation_loss);
            run.write_rows(out)?;
            if run.rows.len() % CHECKPOINT == 0 {
                run.save(out)?;
            }
        }
    }
    bar.finish_and_clear();
    run.save(out)?;
    write(&learning_curve(&run.settings, &run.rows), &out.join("curve"))?;
    export_llama(&run.trainer, out)?;
    if interrupted.load(Ordering::Relaxed) {
        let step = run.trainer.done();
        eprintln!("kaiwu: stopped at step {step}; go on with --resume --data … --out {}", out.display());
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    report(&run, arguments)?;
    if arguments.profile.wanted() {
        arguments.profile.report(&run.trainer.profile(PROFILED)?, &Place::Device(gpu))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The texts, one after another.
fn read_all(files: &[PathBuf]) -> Result<String> {
    let mut text = String::new();
    for path in files {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let more = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::format(path, format!("byte {at} is no UTF-8; convert it, for instance with iconv"))
        })?;
        text.push_str(&more);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

fn read_settings(path: &Path) -> Result<TextSettings> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::format(path, format!("{error}; see kaiwu train --help")))
}

fn bar(run: &TextRun) -> ProgressBar {
    let bar = ProgressBar::new(run.settings.steps).with_position(run.trainer.done());
    let style = "{bar:20} step {pos}/{len}, {per_sec} steps, {eta} left {msg}";
    // The template is ours and parses; without one the bar has its default form.
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.reset_eta();
    bar
}

fn report(run: &TextRun, arguments: &Arguments) -> Result<()> {
    let Some(last) = run.rows.last() else { return Ok(()) };
    let out = arguments.out.display();
    if arguments.json {
        return print_json(&json!({
            "steps": last.step,
            "seconds": last.seconds,
            "parameters": run.trainer.parameters.count(),
            "vocabulary": run.tokenizer.len(),
            "tokens": run.tokens,
            "train_loss": last.train_loss,
            "validation_loss": last.validation_loss,
            "validation_accuracy": last.validation_accuracy,
            "out": arguments.out,
        }));
    }
    print(&format!(
        "training {:.3}, validation {:.3} nats a token\n{} steps in {:.0} s, {:.2} a second\nwritten to {out}; try: \
         kaiwu generate -m {out} -n 100 --temperature 0.8 \"…\"\n",
        last.train_loss,
        last.validation_loss,
        last.step,
        last.seconds,
        last.step as f64 / last.seconds,
    ))
}
