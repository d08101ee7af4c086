//! `kaiwu logits`: shows the predictions for the next token.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, WeightsArguments};
use crate::cli::support::failure::{failed, usage};
use crate::cli::support::likely::{self, percent};
use crate::cli::support::loaded;
use crate::cli::support::output::{print, print_json, table};
use crate::cli::support::progress::Progress;
use crate::cli::support::text_input::Reading;
use crate::files::AtomicFile;
use crate::model::Runner;
use crate::sample::{likeliest, logsumexp};
use crate::session::Needs;
use crate::text::Tokenizer;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show which tokens come next: the 16 highest logits as JSON, or with --top N the likeliest as a
/// table
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// The text; `-` reads standard input. Where it begins with "-", put -- before it
    #[arg(required_unless_present_any = ["ids", "prompt_file"])]
    prompt: Option<String>,
    /// Read the text from this file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "prompt")]
    prompt_file: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// The text as token ids, such as 504,3575
    #[arg(long, value_name = "ID,...", value_delimiter = ',', conflicts_with_all = ["prompt", "prompt_file"])]
    ids: Option<Vec<u32>>,
    /// Show the N likeliest tokens with their probabilities
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Print one JSON object, as without --top; with it, {"top": [{"id", "text", "logprob",
    /// "probability"}]}
    #[arg(long)]
    json: bool,
    /// Write the logits of all tokens to this safetensors file, as `logits` [T, V] f32
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Most tokens [default: the model's own context]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Tokens of the prompt computed in one step
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    chunk: u32,
    /// Compute with the plain-loop CPU references instead of a device
    #[arg(long, conflicts_with = "check")]
    reference: bool,
    /// Compute everything through the references too, and name the first kernel that is wrong
    #[arg(long)]
    check: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu logits \"The capital of France is\"
  kaiwu logits --top 5 \"The capital of France is\"
  kaiwu logits --deterministic --chunk 7 \"The capital of France is\"
  kaiwu logits --ids 504,3575,282,4649,314 --output logits.safetensors";

/// Number of logits that are printed.
const HIGHEST: usize = 16;

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let reading = arguments.reading;
    let text = match (&arguments.prompt, &arguments.prompt_file) {
        (Some(text), _) => Some(reading.argument(text)?),
        (None, file) => file.as_deref().map(|file| reading.file(file)).transpose()?,
    };
    let options = loaded::options(&arguments.model.loading, device, arguments.context);
    let mut options = options.chunk(arguments.chunk as usize);
    if arguments.reference {
        options = options.reference();
    }
    let file = loaded::open(&arguments.model, options)?;
    let ids = match (&arguments.ids, text) {
        (Some(ids), _) => ids.clone(),
        (None, text) => file.tokenizer()?.encode(&text.unwrap_or_default(), true)?,
    };
    if ids.is_empty() {
        return Err(usage("the text has no tokens".into()));
    }
    let all = arguments.output.as_ref().map(|_| Runner::all_logits_bytes(file.config().vocab_size));
    let needs = Needs { tokens: ids.len(), prompt: None, extra_bytes: all.unwrap_or(0) };
    let model = file.load_for(needs)?;
    let mut runner = model.runner(ids.len())?;
    runner.fits(ids.len())?;
    if arguments.check {
        check(&mut runner, &ids)?;
    }
    let mut progress = Progress::tokens("reading", ids.len() as u64);
    let last = match &arguments.output {
        Some(path) => save(path, &mut runner, &ids, &mut progress)?,
        None => {
            runner.rewind(0);
            let mut done = 0;
            for piece in ids.chunks(runner.chunk()) {
                runner.prefill(piece, |_| ())?;
                runner.greedy()?;
                done += piece.len();
                progress.set(done as u64);
            }
            runner.last_logits()?
        }
    };
    drop(progress);
    match arguments.top {
        Some(count) => show_top(&last, count as usize, model.tokenizer()?, arguments.json)?,
        None => {
            let highest = likeliest(&last, HIGHEST);
            let logits: Vec<f32> = highest.iter().map(|likely| last[likely.id as usize]).collect();
            let ids: Vec<u32> = highest.iter().map(|likely| likely.id).collect();
            print_json(&json!({ "ids": ids, "logits": logits, "logsumexp": logsumexp(&last) }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the likeliest tokens, as a table or as JSON.
fn show_top(logits: &[f32], count: usize, tokenizer: &Tokenizer, json: bool) -> Result<()> {
    let top = likeliest(logits, count);
    if json {
        let with_probability = |row: &_| {
            let mut row = likely::as_json(tokenizer, row);
            let logprob = row["logprob"].as_f64();
            row["probability"] = logprob.map(f64::exp).into();
            row
        };
        return print_json(&json!({ "top": top.iter().map(with_probability).collect::<Vec<_>>() }));
    }
    let heading = ["text", "id", "probability", "log-probability"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    rows.extend(top.iter().map(|likely| {
        let text = format!("{:?}", likely::text(tokenizer, likely.id));
        vec![text, likely.id.to_string(), percent(likely.logprob), format!("{:.4}", likely.logprob)]
    }));
    print(&table(&rows, 1))
}

fn check(runner: &mut Runner, ids: &[u32]) -> Result<()> {
    for piece in ids.chunks(runner.chunk()) {
        let first = runner.position();
        if let Some(divergence) = runner.check(piece)? {
            return Err(failed(format!(
                "at tokens from {first} on the device parts from the reference: {divergence}"
            )));
        }
    }
    eprintln!("kaiwu: every kernel agrees with its reference over {} tokens", ids.len());
    Ok(())
}

/// Writes the logits of all tokens row by row, because together they may not fit in memory, and
/// returns those of the last token. The layout is that of safetensors: the length of the header as
/// u64, the header in JSON, the data.
fn save(
    path: &Path,
    runner: &mut Runner,
    ids: &[u32],
    progress: &mut Progress,
) -> Result<Vec<f32>> {
    let vocabulary = runner.model().config.vocab_size;
    let bytes = 4 * ids.len() * vocabulary;
    let shape = [ids.len(), vocabulary];
    let mut header =
        json!({ "logits": { "dtype": "F32", "shape": shape, "data_offsets": [0, bytes] } })
            .to_string();
    // Spaces align the data.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut file = AtomicFile::create(path)?;
    let start = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    file.append(&start)?;
    let mut last = vec![];
    runner.all_logits(ids, |token, row| {
        let little_endian: Vec<u8> = row.iter().flat_map(|logit| logit.to_le_bytes()).collect();
        progress.set(token as u64 + 1);
        if token + 1 == ids.len() {
            last = row.to_vec();
        }
        file.append(&little_endian)
    })?;
    file.finish()?;
    Ok(last)
}
