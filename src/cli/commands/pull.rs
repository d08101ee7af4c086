//! `kaiwu pull`: a model from the hub, by its name. Needs no device.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::failure::usage;
use crate::cli::support::output::{print, print_json};
use crate::cli::support::progress::Progress;
use crate::hub::{Hub, ModelName};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Fetch a model from the hub into its usual cache, from where `-m owner/name` takes it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// owner/name or owner/name/file.gguf; owner/name@revision or owner/name@revision/file.gguf
    name: String,
    /// Branch, tag or commit, as an @ in the name; -m wants it there [default: main]
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Print {"name", "path"}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu pull HuggingFaceTB/SmolLM2-135M-Instruct
  kaiwu generate -m HuggingFaceTB/SmolLM2-135M-Instruct \"The capital of France is\"
  kaiwu pull owner/name@v1.0

An interrupted download goes on where it ended. What came is held against the SHA-256 that the hub announces. The token goes \
to the host of HF_ENDPOINT only. `kaiwu list` shows what is in the cache, `kaiwu rm` removes it.

HF_HOME or HF_HUB_CACHE say where the cache is, HF_ENDPOINT where the hub is, HF_TOKEN who asks, HF_HUB_OFFLINE=1 that nothing \
may be fetched, HF_HUB_DOWNLOAD_TIMEOUT after how many seconds a silent hub is given up (30).";

/// A name of a model as it was given.
pub(in crate::cli) fn parse_name(text: &str) -> Result<ModelName> {
    ModelName::parse(text).ok_or_else(|| {
        usage(format!(
            "{text:?} is no name of a model; give owner/name or owner/name/file.gguf, with a revision as in \
             owner/name@v1"
        ))
    })
}

pub(in crate::cli) fn run(arguments: &Arguments) -> Outcome {
    let mut name = parse_name(&arguments.name)?;
    if let Some(revision) = &arguments.revision {
        name = name.at(revision).ok_or_else(|| {
            usage(format!(
                "--revision {revision} is no name of a revision, or another than that of {}",
                arguments.name
            ))
        })?;
    }
    let mut bar: Option<Progress> = None;
    let path = Hub::from_env().pull(&name, &mut |done, total| {
        bar.get_or_insert_with(|| Progress::bytes("fetching", total)).set(done);
    })?;
    drop(bar);
    match arguments.json {
        true => {
            print_json(&json!({ "name": name.to_string(), "path": path.display().to_string() }))?
        }
        false => print(&format!("{}\n", path.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}
