//! `kaiwu compare`: two models on one text, for judging a quantisation.

use super::perplexity::TextArguments;
use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::{
    CacheArgument, DeviceArguments, IgnoringArguments, LoadingArguments, model_path,
};
use crate::cli::support::choice::choice;
use crate::cli::support::failure::usage;
use crate::cli::support::loaded;
use crate::cli::support::output::{print, print_json, table};
use crate::cli::support::progress::Progress;
use crate::format::Quantization;
use crate::generate::{TextComparison, TextLikelihood, comparison};
use crate::gpu::{Device, Gpu};
use crate::model::ModelComparison;
use crate::session::{Model, ModelFile, Needs};
use crate::text::Tokenizer;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare what two models with one tokenizer expect of a text: likelihoods, divergence, agreement
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// A model (GGUF file, Hugging Face folder or owner/name), given twice: the one to compare
    /// with, then the one to evaluate
    #[arg(short, long, value_name = "PATH", required = true)]
    model: Vec<PathBuf>,
    /// Quantise the matrices of the evaluated model to this type while loading
    #[arg(long, value_name = "TYPE", value_parser = choice::<Quantization>())]
    quantize: Option<Quantization>,
    #[command(flatten)]
    ignoring: IgnoringArguments,
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
  kaiwu compare -m folder -m folder --quantize q4_0 README.md
  kaiwu compare -m original.gguf -m quantised.gguf --json book.txt";

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let [a, b] = arguments.model.as_slice() else {
        let count = arguments.model.len();
        return Err(usage(format!("two models are compared, and -m is given {count} times")));
    };
    let text = arguments.text.read()?;
    let open = |path: &PathBuf, quantize| -> Result<ModelFile> {
        let cache = CacheArgument { cache: arguments.cache.cache };
        let loading = LoadingArguments { quantize, cache, lora: vec![] };
        let options = loaded::options(&loading, device, arguments.text.context);
        let options = options.ignoring(arguments.ignoring.ignored());
        loaded::open_at(&model_path(Some(path))?, options)
    };
    let (mut a, mut b) = (open(a, None)?, open(b, arguments.quantize)?);
    same_tokenizer(&a, &b)?;
    let longest = a.config().max_context.min(b.config().max_context);
    let windows = arguments.text.windows(&text, a.tokenizer()?, longest)?;
    let window = arguments.text.window(longest);

    a.expect(window);
    b.expect(window);
    let gpu = Gpu::open(&device.options())?;
    let footprint = |file: &ModelFile| file.footprint_for(Needs::scoring(file.config(), window));
    footprint(&a)?.and(footprint(&b)?).check(&gpu)?;
    let (a, b) = (a.load_on(Device::Gpu(gpu.clone()))?, b.load_on(Device::Gpu(gpu))?);
    let mut comparer = ModelComparison::new(a.runner(window)?, b.runner(window)?)?;
    let mut progress = Progress::tokens("comparing", windows.scored() as u64);
    let found = comparison(&mut comparer, &windows, |done| progress.set(done as u64))?;
    drop(progress);
    let (tokens, scored) = (windows.tokens(), windows.scored());
    if arguments.json {
        let side = |side: &Model, found: TextLikelihood| json!({ "model": name(side), "mean_nll": found.mean_nll, "perplexity": found.perplexity });
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
        print(&as_text(&name(&a), &name(&b), &found))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A model's path, for people.
fn name(model: &Model) -> String {
    model.path().display().to_string()
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
fn same_tokenizer(a: &ModelFile, b: &ModelFile) -> Result<()> {
    let differ = |what: String| {
        let (a, b) = (a.path().display(), b.path().display());
        Err(usage(format!(
            "{a} and {b} cannot be compared: {what}; compare models of one tokenizer"
        )))
    };
    let (one, other): (&Tokenizer, &Tokenizer) = (a.tokenizer()?, b.tokenizer()?);
    // GGUF files name what fills up the embeddings, which no text becomes; folders leave it out.
    let token =
        |tokenizer: &Tokenizer, id| tokenizer.token(id).filter(|_| !tokenizer.is_unused(id));
    let most = one.vocab_size().max(other.vocab_size()) as u32;
    if let Some(id) = (0..most).find(|&id| token(one, id) != token(other, id)) {
        let token =
            |tokenizer| token(tokenizer, id).map_or("none".into(), |token| format!("{token:?}"));
        return differ(format!(
            "token {id} is {} in one and {} in the other",
            token(one),
            token(other)
        ));
    }
    if one.first() != other.first() {
        return differ("one begins texts with another token".into());
    }
    Ok(())
}
