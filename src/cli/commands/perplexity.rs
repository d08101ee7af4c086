//! `kaiwu perplexity`: how well a model expects a text.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, WeightsArguments};
use crate::cli::support::loaded;
use crate::cli::support::output::{print, print_json};
use crate::cli::support::progress::Progress;
use crate::cli::support::text_input::whole;
use crate::generate::{Windows, likelihood};
use crate::session::Needs;
use crate::text::Tokenizer;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure how well a model expects a text: mean negative log likelihood and perplexity
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    #[command(flatten)]
    text: TextArguments,
    /// Print {"tokens", "scored", "mean_nll", "perplexity"}, the mean in nats a token
    #[arg(long)]
    json: bool,
    /// Compute with the plain-loop CPU references instead of a device
    #[arg(long)]
    reference: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu perplexity README.md
  kaiwu perplexity --context 256 --json book.txt";

/// Which text, and how it is cut.
#[derive(Debug, Args)]
pub(in crate::cli) struct TextArguments {
    /// The text, UTF-8; `-` reads standard input. It is taken as it is, newlines at the end too,
    /// but for a byte-order mark; no spelling of a control token in it becomes one
    file: PathBuf,
    /// Tokens of a window; each token after a window's first is scored [default: 512, or less if
    /// the model was made for less]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub context: Option<u32>,
}

/// Tokens of a window.
const WINDOW: u32 = 512;

impl TextArguments {
    /// Reads the text.
    pub(in crate::cli) fn read(&self) -> Result<String> {
        whole(&self.file)
    }

    /// Tokens of a window for models that were made for `longest` tokens.
    pub(in crate::cli) fn window(&self, longest: usize) -> usize {
        self.context.map_or((WINDOW as usize).min(longest), |context| context as usize)
    }

    /// Cuts `text` for models of this tokenizer that were made for `longest` tokens.
    pub(in crate::cli) fn windows(
        &self,
        text: &str,
        tokenizer: &Tokenizer,
        longest: usize,
    ) -> Result<Windows> {
        Windows::new(&tokenizer.encode_plain(text)?, self.window(longest), tokenizer.first())
    }
}

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let text = arguments.text.read()?;
    let mut options = loaded::options(&arguments.model.loading, device, arguments.text.context);
    if arguments.reference {
        options = options.reference();
    }
    let file = loaded::open(&arguments.model, options)?;
    let longest = file.config().max_context;
    let windows = arguments.text.windows(&text, file.tokenizer()?, longest)?;
    let window = arguments.text.window(longest);
    let needs = Needs::scoring(file.config(), window);
    let model = file.load_for(needs)?;
    let mut scorer = model.scorer(window)?;
    let mut progress = Progress::tokens("scoring", windows.scored() as u64);
    let found = likelihood(&mut scorer, &windows, |done| progress.set(done as u64))?;
    drop(progress);
    let (tokens, scored) = (windows.tokens(), windows.scored());
    if arguments.json {
        print_json(&json!({
            "model": model.path().display().to_string(),
            "context": window,
            "windows": windows.count(),
            "tokens": tokens,
            "scored": scored,
            "mean_nll": found.mean_nll,
            "perplexity": found.perplexity,
        }))?;
    } else {
        print(&format!(
            "{tokens} tokens in {} windows, {scored} scored\nmean negative log likelihood {:.6} nats a token\nperplexity {:.4}\n",
            windows.count(),
            found.mean_nll,
            found.perplexity
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
