//! `kaiwu logits`: what the model thinks comes next.

use super::Outcome;
use super::arguments::{DeviceArguments, WeightsArguments, text_or_stdin};
use super::loaded::{Needs, Opened};
use super::output::print_json;
use super::progress::Progress;
use crate::files::WholeFile;
use crate::model::Runner;
use crate::{Error, Result};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the 16 highest logits after the last token as JSON
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// The text; `-` reads standard input
    #[arg(required_unless_present = "ids")]
    prompt: Option<String>,
    /// The text as token ids, such as 504,3575
    #[arg(long, value_name = "ID,...", value_delimiter = ',', conflicts_with = "prompt")]
    ids: Option<Vec<u32>>,
    /// Write the logits of all tokens to this safetensors file, as `logits` [T, V] f32
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Most tokens [default: the model's own context]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Tokens of the prompt computed at once
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
  kaiwu logits --deterministic --chunk 7 \"The capital of France is\"
  kaiwu logits --ids 504,3575,282,4649,314 --output logits.safetensors";

/// Logits printed.
const HIGHEST: usize = 16;
/// Tokens computed at once.
const PIECE: usize = 256;

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let text = arguments.prompt.as_deref().map(text_or_stdin).transpose()?;
    let file = Opened::new(&arguments.model, arguments.context)?;
    let ids = match (&arguments.ids, text) {
        (Some(ids), _) => ids.clone(),
        (None, text) => file.tokenizer()?.encode(&text.unwrap_or_default(), true)?,
    };
    if ids.is_empty() {
        return Err(Error::Usage("the text has no tokens".into()));
    }
    let all = arguments.output.as_ref().map(|_| Runner::all_logits_bytes(file.config.vocabulary));
    let needs = Needs { tokens: ids.len(), beside: all.unwrap_or(0) };
    let loaded = file.load(device, arguments.reference, needs)?;
    let mut runner = loaded.runner_in_chunks(ids.len(), arguments.chunk as usize)?;
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
            for piece in ids.chunks(PIECE) {
                runner.prefill(piece, |_| ())?;
                runner.greedy()?;
                done += piece.len();
                progress.set(done as u64);
            }
            runner.last_logits()?
        }
    };
    drop(progress);
    let (ids, logits) = highest(&last);
    print_json(&json!({ "ids": ids, "logits": logits, "logsumexp": logsumexp(&last) }))?;
    Ok(ExitCode::SUCCESS)
}

fn check(runner: &mut Runner, ids: &[u32]) -> Result<()> {
    for piece in ids.chunks(PIECE) {
        let first = runner.position();
        if let Some(divergence) = runner.check(piece)? {
            return Err(Error::Device(format!(
                "at tokens from {first} on the device parts from the reference: {divergence}"
            )));
        }
    }
    eprintln!("kaiwu: every kernel agrees with its reference over {} tokens", ids.len());
    Ok(())
}

/// Writes the logits of all tokens row by row, for all of them may exceed the memory, and gives those of the last.
/// The layout is that of safetensors: the header's length as u64, a JSON header, the data.
fn save(path: &Path, runner: &mut Runner, ids: &[u32], progress: &mut Progress) -> Result<Vec<f32>> {
    let vocabulary = runner.model().config.vocabulary;
    let bytes = 4 * ids.len() * vocabulary;
    let shape = [ids.len(), vocabulary];
    let mut header =
        json!({ "logits": { "dtype": "F32", "shape": shape, "data_offsets": [0, bytes] } }).to_string();
    // Spaces, so that the data is aligned.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut file = WholeFile::create(path)?;
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

/// The highest logits and their ids; the lower id first among equals.
fn highest(logits: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let mut ids: Vec<usize> = (0..logits.len()).collect();
    ids.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    ids.truncate(HIGHEST);
    let highest = ids.iter().map(|&id| logits[id]).collect();
    (ids, highest)
}

/// ln Σ exp(logit): minus a token's logit, its negative log likelihood.
fn logsumexp(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
    f64::from(most) + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_come_first_and_the_sum_does_not_overflow() {
        let logits: Vec<f32> = (0..40).map(|n| 1000.0 + (n % 20) as f32).collect();
        let (ids, highest) = highest(&logits);
        assert_eq!(ids[..4], [19, 39, 18, 38]);
        assert_eq!((ids.len(), highest[..3].to_vec()), (16, vec![1019.0, 1019.0, 1018.0]));
        assert!((logsumexp(&[1000.0; 4]) - (1000.0 + 4f64.ln())).abs() < 1e-9);
    }
}
