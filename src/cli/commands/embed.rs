//! `kaiwu embed`: texts as vectors.

use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, WeightsArguments};
use crate::cli::support::choice::choice;
use crate::cli::support::failure::{usage, within};
use crate::cli::support::loaded;
use crate::cli::support::output::print_json;
use crate::cli::support::progress::Progress;
use crate::cli::support::text_input::{Reading, at_line, name};
use crate::model::Pooling;
use crate::session::{ModelFile, Needs};
use crate::{Error, Result};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turn texts into vectors of length 1: the hidden states after the last norm, pooled
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// The texts; `-` reads standard input as one of them. Where one begins with "-", put -- before
    /// them
    #[arg(required_unless_present = "texts_file", value_name = "TEXT")]
    texts: Vec<String>,
    /// Take each line of this file as a text
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "texts")]
    texts_file: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// How a text's hidden states become one vector [default: as the model's files say, or else the
    /// mean]
    #[arg(long, value_name = "HOW", value_parser = choice::<Pooling>())]
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
  kaiwu embed -f titles.txt > vectors.jsonl
  kaiwu embed --pooling last --json - < text.txt";

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let texts = arguments.read()?;
    let mut options = loaded::options(&arguments.model.loading, device, None).embeddings_only();
    if arguments.reference {
        options = options.reference();
    }
    let file = loaded::open(&arguments.model, options)?;
    let pooling = match arguments.pooling {
        Some(pooling) => pooling,
        None => file.pooling()?,
    };
    let ids = arguments.ids(&texts, &file)?;
    let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
    let needs = Needs::embedding(file.config(), longest);
    let model = file.load_for(needs)?;
    let mut embedder = model.embedder(longest)?;
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
    let one =
        |(ids, vector): (&Vec<u32>, &Vec<f32>)| json!({ "tokens": ids.len(), "embedding": vector });
    let embeddings: Vec<_> = ids.iter().zip(&all).map(one).collect();
    print_json(&json!({
        "model": model.path().display().to_string(),
        "pooling": pooling.name(),
        "dimensions": all.first().map_or(0, Vec::len),
        "embeddings": embeddings,
    }))?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn read(&self) -> Result<Vec<String>> {
        let Some(path) = &self.texts_file else {
            return self.texts.iter().map(|text| self.reading.argument(text)).collect();
        };
        let texts = self.reading.lines(path)?;
        match texts.is_empty() {
            true => Err(usage(format!("{} has no texts; give one a line", name(path)))),
            false => Ok(texts),
        }
    }

    /// The tokens of each text, or which text has too few or too many.
    fn ids(&self, texts: &[String], file: &ModelFile) -> Result<Vec<Vec<u32>>> {
        let tokenizer = file.tokenizer()?;
        let one = |(at, text): (usize, &String)| {
            let ids = tokenizer.encode(text, true).and_then(|ids| match ids.len() {
                0 => Err(usage("it has no tokens".into())),
                tokens if tokens > file.context() => Err(usage(format!(
                    "it has {tokens} tokens, but the model was made for {}",
                    file.context()
                ))),
                _ => Ok(ids),
            });
            ids.map_err(|error| match &self.texts_file {
                Some(path) => at_line(path, at, error),
                None => of_text(at, text, error),
            })
        };
        texts.iter().enumerate().map(one).collect()
    }
}

/// Says in which of the texts something is wrong, by its number and its beginning.
fn of_text(at: usize, text: &str, error: Error) -> Error {
    let start: String = text.chars().take(24).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    within(&format!("text {}, {:?}", at + 1, start + more), &error)
}
