//! `kaiwu pull`: a model from the hub, by its name. Needs no device.

use super::Outcome;
use super::output::{print, print_json};
use super::progress::Progress;
use crate::Error;
use crate::hub::{Hub, ModelName};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Fetch a model from the hub into its usual cache, from where `-m owner/name` takes it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// owner/name, or owner/name/file.gguf
    name: String,
    /// Branch, tag or commit; only what is called main is found by its name later
    #[arg(long, value_name = "REVISION", default_value = "main")]
    revision: String,
    /// Print {"name", "path"}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu pull HuggingFaceTB/SmolLM2-135M-Instruct
  kaiwu generate -m HuggingFaceTB/SmolLM2-135M-Instruct \"The capital of France is\"

An interrupted download goes on where it ended. What came is held against the SHA-256 that the hub announces. HF_HOME or
HF_HUB_CACHE say where the cache is, HF_ENDPOINT where the hub is, HF_TOKEN who asks, HF_HUB_OFFLINE=1 that nothing may be
fetched, HF_HUB_DOWNLOAD_TIMEOUT after how many seconds a silent hub is given up (30).";

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let name = ModelName::parse(&arguments.name).ok_or_else(|| {
        Error::Usage(format!(
            "{:?} is no name of a model; give owner/name or owner/name/file.gguf",
            arguments.name
        ))
    })?;
    let mut bar: Option<Progress> = None;
    let path = Hub::from_env().pull(&name, &arguments.revision, &mut |done, total| {
        bar.get_or_insert_with(|| Progress::bytes("fetching", total)).set(done);
    })?;
    drop(bar);
    match arguments.json {
        true => print_json(&json!({ "name": name.to_string(), "path": path.display().to_string() }))?,
        false => print(&format!("{}\n", path.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}
