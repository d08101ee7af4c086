//! `kaiwu tokenize`: the ids of a text. Needs no device.

use super::Outcome;
use super::arguments::{ModelArgument, text_or_stdin};
use super::output::{print, print_json};
use crate::text::Tokenizer;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Show the token ids of a text
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kaiwu tokenize \"Hello, world\"\n  kaiwu tokenize --json - < text.txt")]
pub(super) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The text; `-` reads standard input
    text: String,
    /// Print {"ids": [], "tokens": []}
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let tokenizer = Tokenizer::from_source(&arguments.model.open()?)?;
    let ids = tokenizer.encode(&text_or_stdin(&arguments.text)?, true)?;
    let tokens: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap_or_default()).collect();
    if arguments.json {
        print_json(&json!({ "ids": ids, "tokens": tokens }))?;
    } else {
        let lines = ids.iter().zip(&tokens).map(|(id, token)| format!("{id}\t{}\n", token.escape_debug()));
        print(&lines.collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}
