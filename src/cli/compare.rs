//! `kaiwu compare`: two models on one text, for judging a quantisation.

use super::Outcome;
use super::arguments::{CacheArgument, DeviceArguments, model_path};
use super::loaded::{Loaded, Opened, load};
use super::output::{print, print_json, table};
use super::perplexity::TextArguments;
use super::progress::Progress;
use crate::generate::{TextComparison, TextLikelihood, comparison};
use crate::model::Comparer;
use crate::text::Tokenizer;
use crate::{Error, Result};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Compare what two models with one tokenizer expect of a text: likelihoods, divergence, agreement
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Model file (GGUF), given twice: the one to compare with, then the one to be judged
    #[arg(short, long, value_name = "FILE", required = true)]
    model: Vec<PathBuf>,
    #[command(flatten)]
    text: TextArguments,
    #[command(flatten)]
    cache: CacheArgument,
    /// Print one JSON object; likelihoods and divergences in nats a token
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu compare -m original.gguf -m quantised.gguf README.md
  kaiwu compare -m original.gguf -m quantised.gguf --json book.txt";

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let [a, b] = arguments.model.as_slice() else {
        let count = arguments.model.len();
        return Err(Error::Usage(format!("two models are compared, and -m is given {count} times")));
    };
    let text = arguments.text.read()?;
    let cache = arguments.cache.cache;
    let open = |path: &PathBuf| -> Result<Opened> {
        let mut opened = Opened::at(model_path(Some(path))?, arguments.text.context)?;
        opened.cache = cache;
        Ok(opened)
    };
    let (a, b) = (open(a)?, open(b)?);
    same_tokenizer(&a, &b)?;
    let longest = a.config.context.min(b.config.context);
    let windows = arguments.text.windows(&text, &a.tokenizer, longest)?;
    let window = arguments.text.window(longest);

    let a = a.load(device, false)?;
    let since = Instant::now();
    let model = load(&a.place, &b.source, None)?;
    let b = Loaded { file: b, place: a.place.clone(), model, seconds: since.elapsed().as_secs_f64() };
    let mut comparer = Comparer::new(a.runner(window)?, b.runner(window)?)?;
    let mut progress = Progress::tokens("comparing", windows.scored() as u64);
    let found = comparison(&mut comparer, &windows, |done| progress.set(done as u64))?;
    drop(progress);
    let (tokens, scored) = (windows.tokens(), windows.scored());
    if arguments.json {
        let side = |side: &Loaded, found: TextLikelihood| json!({ "model": side.name(), "mean_nll": found.mean_nll, "perplexity": found.perplexity });
        print_json(&json!({
            "context": window,
            "windows": windows.count(),
            "tokens": tokens,
            "scored": scored,
            "a": side(&a, found.a),
            "b": side(&b, found.b),
            "mean_divergence": found.mean_divergence,
            "max_divergence": found.max_divergence,
            "top1_agreement": found.top1_agreement,
        }))?;
    } else {
        print(&format!("{tokens} tokens in {} windows, {scored} scored\n", windows.count()))?;
        print(&as_text(&a.name(), &b.name(), &found))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(a: &str, b: &str, found: &TextComparison) -> String {
    let side = |name: &str, found: TextLikelihood| {
        vec![name.into(), format!("{:.6}", found.mean_nll), format!("{:.4}", found.perplexity)]
    };
    let head = ["", "mean negative log likelihood, nats", "perplexity"].map(String::from).to_vec();
    table(&[head, side(a, found.a), side(b, found.b)], 1)
        + &format!(
            "divergence of the second from the first: mean {:.6}, at most {:.4} nats a token\n\
             likeliest token the same for {:.2} %\n",
            found.mean_divergence,
            found.max_divergence,
            100.0 * found.top1_agreement
        )
}

/// Distributions are compared token by token, which means something only if the ids mean the same.
fn same_tokenizer(a: &Opened, b: &Opened) -> Result<()> {
    let differ = |what: String| {
        let (a, b) = (a.path.display(), b.path.display());
        Err(Error::Usage(format!("{a} and {b} cannot be compared: {what}; compare models of one tokenizer")))
    };
    let (one, other): (&Tokenizer, &Tokenizer) = (&a.tokenizer, &b.tokenizer);
    if one.vocab_size() != other.vocab_size() {
        let (one, other) = (one.vocab_size(), other.vocab_size());
        return differ(format!("their tokenizers have {one} and {other} tokens"));
    }
    if let Some(id) = (0..one.vocab_size() as u32).find(|&id| one.token(id) != other.token(id)) {
        let token = |tokenizer: &Tokenizer| tokenizer.token(id).unwrap_or_default();
        return differ(format!("token {id} is {:?} in one and {:?} in the other", token(one), token(other)));
    }
    if one.first() != other.first() {
        return differ("one begins texts with another token".into());
    }
    Ok(())
}
