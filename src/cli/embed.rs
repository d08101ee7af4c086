//! `kaiwu embed`: texts as vectors.

use super::Outcome;
use super::arguments::{DeviceArguments, WeightsArguments, text_or_stdin};
use super::loaded::{Needs, Opened};
use super::output::print_json;
use super::progress::Progress;
use crate::model::{Embedder, Pooling};
use crate::{Error, Result};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Turn texts into vectors of length 1: the hidden states after the last norm, pooled
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// The texts; `-` reads standard input
    #[arg(required = true, value_name = "TEXT")]
    texts: Vec<String>,
    /// How a text's hidden states become one vector [default: as the model's files say, or else the mean]
    #[arg(long, value_name = "HOW")]
    pooling: Option<Pooling>,
    /// Print one JSON object with all of them instead of an array a line
    #[arg(long)]
    json: bool,
    /// Compute with the plain-loop CPU references instead of a device
    #[arg(long)]
    reference: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu embed \"a small cat\" \"a little kitten\"
  kaiwu embed -m Qwen/Qwen3-Embedding-0.6B \"a small cat\"
  kaiwu embed --pooling last --json - < text.txt";

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let texts = arguments.texts.iter().map(|text| text_or_stdin(text)).collect::<Result<Vec<_>>>()?;
    let file = Opened::new(&arguments.model, None)?.without_output();
    let pooling = match arguments.pooling {
        Some(pooling) => pooling,
        None => Pooling::declared(&file.source)?.map_or(Pooling::Mean, |declared| declared.pooling),
    };
    let tokenizer = file.tokenizer()?;
    let ids = texts.iter().map(|text| tokenizer.encode(text, true)).collect::<Result<Vec<_>>>()?;
    let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
    if ids.iter().any(Vec::is_empty) {
        return Err(Error::Usage("a text has no tokens".into()));
    }
    if longest > file.context {
        let most = file.context;
        return Err(Error::Usage(format!("a text has {longest} tokens, but the model was made for {most}")));
    }
    let beside = Embedder::bytes_for(&file.config);
    let loaded = file.load(device, arguments.reference, Needs { tokens: longest, beside })?;
    let mut embedder = Embedder::new(loaded.runner(longest)?)?;
    let mut progress = Progress::tokens("embedding", ids.iter().map(|ids| ids.len() as u64).sum());
    let mut all = vec![];
    let mut done = 0;
    for ids in &ids {
        all.push(embedder.embed(ids, pooling)?);
        done += ids.len() as u64;
        progress.set(done);
    }
    drop(progress);
    if !arguments.json {
        all.iter().try_for_each(print_json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let one = |(ids, vector): (&Vec<u32>, &Vec<f32>)| json!({ "tokens": ids.len(), "embedding": vector });
    let embeddings: Vec<_> = ids.iter().zip(&all).map(one).collect();
    print_json(&json!({
        "model": loaded.name(),
        "pooling": pooling.name(),
        "dimensions": all.first().map_or(0, Vec::len),
        "embeddings": embeddings,
    }))?;
    Ok(ExitCode::SUCCESS)
}
