//! `kaiwu rm`: takes a model out of the hub's cache. Needs no device.

use super::pull::parse_name;
use crate::Error;
use crate::cli::Outcome;
use crate::cli::support::failure::usage;
use crate::cli::support::output::{print, print_json, size};
use crate::hub::Hub;
use clap::Args;
use serde_json::json;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

/// Remove a model from the hub's cache
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// owner/name, owner/name@revision or owner/name/file.gguf, as `kaiwu list` shows it
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print {"name", "bytes"}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu rm HuggingFaceTB/SmolLM2-135M-Instruct
  kaiwu rm --yes owner/name@v1.0

Other tools that use the cache lose the model, too. Files that another revision needs stay. Nothing outside the cache \
is removed.";

pub(in crate::cli) fn run(arguments: &Arguments) -> Outcome {
    let name = parse_name(&arguments.name)?;
    let removal = Hub::from_env().removal(&name)?;
    let bytes = removal.bytes;
    if !arguments.yes {
        if !std::io::stdin().is_terminal() {
            return Err(usage(format!(
                "removing {name} ({}) wants a yes, and standard input is no terminal; give --yes",
                size(bytes)
            )));
        }
        eprint!("remove {name} from the cache, {}? [y/N] ", size(bytes));
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(Error::io("read", "standard input"))?;
        if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            eprintln!("nothing is removed");
            return Ok(ExitCode::FAILURE);
        }
    }
    removal.run()?;
    match arguments.json {
        true => print_json(&json!({ "name": name.to_string(), "bytes": bytes }))?,
        false => print(&format!("removed {name}, {}\n", size(bytes)))?,
    }
    Ok(ExitCode::SUCCESS)
}
