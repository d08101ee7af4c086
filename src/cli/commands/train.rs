//! `kaiwu train`: a small language model learns a text, or one that is there learns more.

use super::grok::write;
use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, IgnoringArguments, model_path, positive};
use crate::cli::support::failure::{of_file, usage};
use crate::cli::support::given::Given;
use crate::cli::support::interrupt;
use crate::cli::support::output::{print, print_json};
use crate::cli::support::profile::ProfileArgument;
use crate::cli::support::training_progress::TrainingProgress;
use crate::files::OwnFolder;
use crate::gpu::{Device, Gpu};
use crate::lab::learning_curve;
use crate::train::{
    Data, LoraSettings, Target, TextRow, TextRun, TextSettings, TrainedModel, TrainingOverrides,
    Tuning,
};
use crate::{Error, Result};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Train a small language model on plain text, or go on with a model that is there
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(in crate::cli) struct Arguments {
    /// A model from scratch: its shape and how it learns, as JSON. Or a model to go on with: a GGUF
    /// file, a folder, or the owner/name of one that `kaiwu pull` fetched
    #[arg(short, long, value_name = "CONFIG.json|MODEL", required_unless_present = "resume")]
    model: Option<PathBuf>,
    #[command(flatten)]
    ignoring: IgnoringArguments,
    /// Files of UTF-8 text, read in this order; or .jsonl files with an example a line; - is
    /// standard input, either of them
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// Leave the model's weights alone, and train a LoRA adapter of this rank beside them
    #[arg(long, value_name = "RANK", conflicts_with = "resume", value_parser = count(256))]
    lora: Option<usize>,
    /// What the adapter adds is scaled by this over the rank [default: twice the rank]
    #[arg(long, value_name = "ALPHA", requires = "lora", allow_negative_numbers = true, value_parser = positive)]
    lora_alpha: Option<f64>,
    /// Which matrices of each layer the adapter adds to
    #[arg(
        long,
        value_name = "LIST",
        requires = "lora",
        value_delimiter = ',',
        default_value = "q,k,v,o,gate,up,down"
    )]
    lora_targets: Vec<Target>,
    #[command(flatten)]
    overrides: OverrideArguments,
    /// Folder for metrics, figure, checkpoint, and the model or adapter
    #[arg(long, value_name = "DIR", default_value = "trained")]
    out: PathBuf,
    /// Go on with the run of that folder, with its settings; only --steps may differ
    #[arg(long, conflicts_with = "model")]
    resume: bool,
    #[command(flatten)]
    profile: ProfileArgument,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// Settings, instead of those of the configuration, or of those chosen for a model and its data.
#[derive(Debug, Args, Serialize)]
struct OverrideArguments {
    /// Optimizer steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    steps: Option<u64>,
    /// Highest learning rate
    #[arg(long, alias = "rate", value_name = "RATE", allow_negative_numbers = true, value_parser = positive)]
    learning_rate: Option<f64>,
    /// Sequences of a step; of a model from scratch, of each of its forward passes
    #[arg(long, value_name = "N", value_parser = count(1 << 16))]
    batch: Option<usize>,
    /// Tokens of a sequence
    #[arg(long, value_name = "N", value_parser = count(8192))]
    context: Option<usize>,
    /// Share of the data, its end, that is kept for evaluation, 0.5 at most; 0 for none
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = half)]
    validation: Option<f64>,
    /// Steps between two rows of metrics
    #[arg(long, alias = "every", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    eval_interval: Option<u64>,
    /// Fixes start and order
    #[arg(long, value_name = "SEED", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    seed: Option<u64>,
    /// Leave out examples that are longer than the context, instead of refusing them
    #[arg(long)]
    skip_long: bool,
}

/// From 1 to `most`.
fn count(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

fn half(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (0.0..=0.5).contains(number));
    number.ok_or("it must be a number from 0 to 0.5".into())
}

impl OverrideArguments {
    fn overrides(&self) -> TrainingOverrides {
        let Self {
            steps,
            learning_rate,
            batch,
            context,
            validation,
            eval_interval,
            seed,
            skip_long,
        } = *self;
        TrainingOverrides {
            steps,
            learning_rate,
            batch,
            context,
            validation,
            eval_interval,
            seed,
            skip_long,
        }
    }
}

const HELP: &str = "The configuration has vocab_size (256 for a model of characters, more for BPE), context, n_layers,
hidden_size, n_heads, n_kv_heads, intermediate_size, batch, accumulate, steps, learning_rate, warmup,
weight_decay, max_grad_norm, validation, eval_interval and seed; what is left out has a default;
examples/train.json is one.

A model to go on with is a Llama, its weights in whatever type; they are f32 in training. Examples are lines such as
{\"prompt\": \"…\", \"response\": \"…\"} (or \"completion\"), {\"messages\": [{\"role\": \"user\", \"content\": \"…\"}, …]},
{\"conversations\": [{\"from\": \"human\", \"value\": \"…\"}, …]} or {\"instruction\": \"…\", \"input\": \"…\", \"output\": \"…\"}: they go
through the model's chat template, and what the assistant says is learned. Of {\"text\": \"…\"} all is learned, as it stands. An
example longer than --context (8192 tokens without it) is refused by its line, or left out with --skip-long. Without --lora all
weights are trained.

Ctrl-C stops a run (exit code 130), and --resume goes on as if nothing had happened; with more --steps, the rate follows the
cosine over all of them from there on. The folder then holds metrics.jsonl, curve.svg and .png, and
a model, or an adapter as PEFT writes it, that other commands take.

Examples:
  kaiwu train -m examples/train.json --data book.txt --out runs/book
  kaiwu generate -m runs/book -n 100 --temperature 0.8 \"In the beginning\"
  kaiwu train --resume --data book.txt --out runs/book
  kaiwu train -m models/SmolLM2-135M-Instruct.Q4_1.gguf --data examples/facts.jsonl --lora 16 --out runs/facts
  kaiwu generate --lora runs/facts --chat \"Who painted The Salt Ladder?\"";

/// Rows between checkpoints.
const CHECKPOINT: usize = 5;

/// Steps that `--profile` times, at the end of a run.
const PROFILED: usize = 3;

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let out = &arguments.out;
    let begin = || Given::begins(out, TextRun::is_in(out), arguments.resume);
    begin()?;
    let data = Data::read(&arguments.data)?;
    let overrides = arguments.overrides.overrides();
    let _own = OwnFolder::claim(out)?;
    // Another process may have had the folder until now.
    begin()?;
    if arguments.resume {
        refuse_other(arguments)?;
    }
    let model =
        arguments.model.as_deref().map(|model| Chosen::new(model, arguments)).transpose()?;
    let gpu = Gpu::open(&device.options())?;
    let run = match model {
        Some(Chosen::New(settings)) => TextRun::new(&gpu, &overrides.applied(&settings), &data),
        Some(Chosen::Tuned(tuning)) => TextRun::tune(&gpu, &tuning, &overrides, &data),
        None => TextRun::resume(&gpu, out, &data, overrides.steps),
    };
    let mut run = run.map_err(of_file)?;
    if run.dataset.skipped > 0 {
        eprintln!("kaiwu: {} examples are too long and left out", run.dataset.skipped);
    }
    eprintln!("kaiwu: {}", what(&run));

    let interrupted = Arc::new(AtomicBool::new(false));
    interrupt::watch(Arc::clone(&interrupted), Arc::new(AtomicBool::new(true)))?;
    let course = TrainingProgress::new(run.settings.steps, run.trainer.done(), false);
    while !run.is_done() && !interrupted.load(Ordering::Relaxed) {
        if let Some(row) = run.advance(&interrupted, |step| course.step(step))? {
            course.news(losses(&row));
            log::info!("step {}: {}", row.step, losses(&row));
            run.write_rows(out)?;
            if run.rows.len() % CHECKPOINT == 0 {
                run.save(out)?;
            }
        }
    }
    drop(course);
    run.save(out)?;
    write(&learning_curve(&run), &out.join("curve"))?;
    let made = run.export(out)?;
    if interrupted.load(Ordering::Relaxed) {
        let step = run.trainer.done();
        eprintln!(
            "kaiwu: stopped at step {step}; go on with --resume --data … --out {}",
            out.display()
        );
        return Ok(interrupt::exit_code());
    }
    report(&run, arguments, &made)?;
    if arguments.profile.wanted() {
        arguments.profile.report(&run.trainer.profile(PROFILED)?, &Device::Gpu(gpu))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses settings that are not those of the run that is resumed.
fn refuse_other(arguments: &Arguments) -> Result<()> {
    let (done, mut settings, tuning) = TextRun::settings_in(&arguments.out)?;
    if tuning.is_some() {
        // What was asked for was parted into several forward passes.
        settings.batch *= settings.accumulate;
    }
    Given::new(&arguments.overrides)?.refuse_other(&settings, &["steps"], &arguments.out)?;
    Given::refuse_fewer(arguments.overrides.steps, done, &arguments.out)
}

/// What is to learn.
enum Chosen {
    New(TextSettings),
    Tuned(Tuning),
}

impl Chosen {
    fn new(model: &Path, arguments: &Arguments) -> Result<Self> {
        if model.is_file() && model.extension().is_some_and(|end| end == "json") {
            if arguments.lora.is_some() {
                let message = "--lora goes on with a model that is there; give one with -m instead of a configuration";
                return Err(usage(message.into()));
            }
            return read_settings(model).map(Self::New);
        }
        let name = model.to_string_lossy().into_owned();
        let model = model_path(Some(model))?;
        let lora = arguments.lora.map(|rank| LoraSettings {
            rank,
            alpha: arguments.lora_alpha.unwrap_or(2.0 * rank as f64),
            targets: arguments.lora_targets.clone(),
        });
        // Resuming finds it from wherever it is called.
        let model = std::fs::canonicalize(&model).map_err(Error::io("open", &model))?;
        Ok(Self::Tuned(Tuning { model, name, ignored: arguments.ignoring.ignored(), lora }))
    }
}

/// What learns, and from how much.
fn what(run: &TextRun) -> String {
    let trained = run.trainer.parameters.count();
    let parameters = match &run.trainer.network.adapter {
        None => format!("{trained} parameters"),
        Some(_) => {
            format!(
                "{trained} parameters beside {} that stay as they are",
                run.trainer.network.weights.count()
            )
        }
    };
    let (tokens, vocabulary) = (run.dataset.tokens, run.trainer.shape.vocab_size);
    let (steps, batch) = (run.settings.steps, run.settings.batch * run.settings.accumulate);
    format!(
        "{parameters}; {tokens} tokens of {vocabulary}; {steps} steps of {batch} sequences of {} tokens; {:.0} MiB",
        run.dataset.context,
        run.trainer.bytes() as f64 / f64::from(1 << 20)
    )
}

fn losses(row: &TextRow) -> String {
    let validation =
        row.validation_loss.map_or_else(String::new, |loss| format!(", validation {loss:.3}"));
    format!("training {:.3}{validation} nats", row.train_loss)
}

fn read_settings(path: &Path) -> Result<TextSettings> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::damaged(path, format!("{error}; see kaiwu train --help")))
}

fn report(run: &TextRun, arguments: &Arguments, made: &Path) -> Result<()> {
    let Some(last) = run.rows.last() else { return Ok(()) };
    if arguments.json {
        return print_json(&json!({
            "steps": last.step,
            "seconds": last.seconds,
            "parameters": run.trainer.parameters.count(),
            "vocabulary": run.trainer.shape.vocab_size,
            "tokens": run.dataset.tokens,
            "train_loss": last.train_loss,
            "validation_loss": last.validation_loss,
            "validation_accuracy": last.validation_accuracy,
            "out": arguments.out,
            "made": made,
        }));
    }
    let made = made.display();
    let next = match &run.pupil {
        TrainedModel::New(_) => format!("kaiwu generate -m {made} -n 100 --temperature 0.8 \"…\""),
        TrainedModel::Tuned(Tuning { lora: None, .. }) => {
            format!("kaiwu generate -m {made} --chat \"…\"")
        }
        TrainedModel::Tuned(Tuning { model, .. }) => {
            format!("kaiwu generate -m {} --lora {made} --chat \"…\"", model.display())
        }
    };
    print(&format!(
        "{} a token\n{} steps in {:.0} s, {:.2} a second\nwritten to {}; try: {next}\n",
        losses(last),
        last.step,
        last.seconds,
        last.step as f64 / last.seconds,
        arguments.out.display(),
    ))
}
