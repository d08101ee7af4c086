//! `kaiwu list`: lists the models in the hub's cache. Needs no device.

use crate::cli::Outcome;
use crate::cli::support::output::{print, print_pretty, size, table};
use crate::format::Source;
use crate::hub::{Cached, Hub};
use crate::model::Config;
use clap::Args;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// List the models in the hub's cache that can be run, whatever tool fetched them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// Show those too that cannot be run, and why
    #[arg(long)]
    all: bool,
    /// Print {"models": [{"name", "revision", "commit", "bytes", "path"}], "others": [{"name",
    /// "path", "reason"}]}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu list
  kaiwu list --json | jq -r '.models[].name'

What stands under NAME is what -m and `kaiwu rm` take. HF_HOME or HF_HUB_CACHE say where the cache
is.";

/// The size of a model in bytes, or why it cannot be run.
fn runs(model: &Cached) -> Result<u64, String> {
    let bytes = model.bytes.clone()?;
    let source = Source::open(&model.path).map_err(|error| error.to_string())?;
    Config::from_source(&source).map(|_| bytes).map_err(|error| error.to_string())
}

pub(in crate::cli) fn run(arguments: &Arguments) -> Outcome {
    let (mut models, mut others) = (vec![], vec![]);
    for model in Hub::from_env().list()? {
        match runs(&model) {
            Ok(bytes) => models.push((model, bytes)),
            Err(reason) => others.push((model, reason)),
        }
    }
    let path = |path: &Path| path.display().to_string();
    if arguments.json {
        let models = models.iter().map(|(model, bytes)| {
            json!({
                "name": model.name.to_string(), "revision": model.name.revision(), "commit": model.commit,
                "bytes": bytes, "path": path(&model.path),
            })
        });
        let others = others.iter().map(|(model, reason)| {
            json!({ "name": model.name.to_string(), "path": path(&model.path), "reason": reason })
        });
        let (models, others): (Vec<Value>, Vec<Value>) = (models.collect(), others.collect());
        print_pretty(&json!({ "models": models, "others": others }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !models.is_empty() {
        let head = ["NAME", "REVISION", "SIZE", "PATH"].map(str::to_owned).to_vec();
        let rows = models.iter().map(|(model, bytes)| {
            // Commits are shortened; their beginning identifies them.
            let revision = model.name.revision();
            let revision = if revision == model.commit {
                revision.get(..12).unwrap_or(revision)
            } else {
                revision
            };
            vec![model.name.to_string(), revision.to_owned(), size(*bytes), path(&model.path)]
        });
        print(&table(&[vec![head], rows.collect()].concat(), 4))?;
    } else {
        eprintln!("no model in the cache that can be run; `kaiwu pull owner/name` fetches one");
    }
    match (arguments.all, others.len()) {
        (true, _) => others
            .iter()
            .for_each(|(model, reason)| eprintln!("not listed: {}: {reason}", model.name)),
        (false, 0) => {}
        (false, count) => {
            eprintln!("not listed: {count} incomplete or of other kinds; --all says why")
        }
    }
    Ok(ExitCode::SUCCESS)
}
