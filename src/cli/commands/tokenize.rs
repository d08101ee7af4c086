//! `kaiwu tokenize` and `kaiwu detokenize`: the ids of a text, and the text of ids. They need no
//! device.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::ModelArgument;
use crate::cli::support::failure::usage;
use crate::cli::support::output::{print, print_json};
use crate::cli::support::text_input::{Reading, whole};
use crate::text::Tokenizer;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show the token ids of a text
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The text; `-` reads standard input. Where it begins with "-", put -- before it
    #[arg(required_unless_present = "text_file")]
    text: Option<String>,
    /// Read the text from this file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "text")]
    text_file: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Print the ids alone, with commas between, as --ids of other commands takes them
    #[arg(long, conflicts_with = "json")]
    ids: bool,
    /// Print {"ids": [], "tokens": []}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu tokenize \"Hello, world\"
  kaiwu tokenize --json - < text.txt
  kaiwu generate --ids \"$(kaiwu tokenize --ids -f prompt.txt)\"

The last newline of standard input or a file is no part of the text, unless --keep-newline is given.";

/// Show the text of token ids
#[derive(Debug, Args)]
#[command(after_help = DETOKENIZE_EXAMPLES)]
pub(in crate::cli) struct DetokenizeArguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The ids, with commas or spaces between; `-` reads them from standard input
    #[arg(required = true, value_name = "IDS")]
    ids: Vec<String>,
    /// Leave out control tokens, such as the one that begins a text
    #[arg(long)]
    skip_special: bool,
    /// Print {"text": "", "tokens": []}
    #[arg(long)]
    json: bool,
}

const DETOKENIZE_EXAMPLES: &str = "Examples:
  kaiwu detokenize 504 3575 282 4649
  kaiwu tokenize --ids - < text.txt | kaiwu detokenize -

A newline is added where the text does not end with one; --json prints the text as it is.";

pub(in crate::cli) fn run(arguments: &Arguments) -> Outcome {
    let reading = arguments.reading;
    let text = match (&arguments.text, &arguments.text_file) {
        (Some(text), _) => reading.argument(text)?,
        (None, file) => reading.file(file.as_deref().unwrap_or(Path::new("-")))?,
    };
    let tokenizer = open(&arguments.model)?;
    let ids = tokenizer.encode(&text, true)?;
    let tokens = names(&tokenizer, &ids);
    if arguments.json {
        print_json(&json!({ "ids": ids, "tokens": tokens }))?;
    } else if arguments.ids {
        let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
        print(&(ids.join(",") + "\n"))?;
    } else {
        let lines =
            ids.iter().zip(&tokens).map(|(id, token)| format!("{id}\t{}\n", token.escape_debug()));
        print(&lines.collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn detokenize(arguments: &DetokenizeArguments) -> Outcome {
    let mut ids = vec![];
    for given in &arguments.ids {
        let text = if given == "-" { whole(Path::new("-"))? } else { given.clone() };
        parse(&text, &mut ids)?;
    }
    let tokenizer = open(&arguments.model)?;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= tokenizer.vocab_size()) {
        let tokens = tokenizer.vocab_size();
        return Err(usage(format!("there is no token {id}: the vocabulary has {tokens}")));
    }
    let text = tokenizer.decode(&ids, arguments.skip_special);
    if arguments.json {
        print_json(&json!({ "text": text, "tokens": names(&tokenizer, &ids) }))?;
    } else {
        print(&text)?;
        print(if text.ends_with('\n') { "" } else { "\n" })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads ids as people, this program and JSON write them.
fn parse(text: &str, ids: &mut Vec<u32>) -> Result<()> {
    let text = text.trim();
    let list = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    for id in list.split(|c: char| c.is_whitespace() || c == ',').filter(|id| !id.is_empty()) {
        let id = id
            .parse()
            .map_err(|_| usage(format!("{id:?} is not a token id; give numbers such as 504,3575")));
        ids.push(id?);
    }
    Ok(())
}

fn open(model: &ModelArgument) -> Result<Tokenizer> {
    Tokenizer::from_source(&model.open()?)
}

/// The entries of the vocabulary, as its file writes them.
fn names(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    ids.iter().map(|&id| tokenizer.token(id).unwrap_or_default()).collect()
}
