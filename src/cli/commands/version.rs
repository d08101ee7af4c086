//! `kaiwu version`: what a bug report should say about the program and the adapters.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::DeviceArguments;
use crate::cli::support::output::{print, print_pretty};
use crate::gpu::{AdapterReport, list_adapters};
use clap::Args;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Show the version, what it was built from and for, and the adapters and their drivers: what a
/// report should say
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu version
  kaiwu version --json
  kaiwu --version";

/// The facts that are known about the program's build.
fn built() -> Vec<(&'static str, &'static str)> {
    let parts = [
        ("version", Some(env!("CARGO_PKG_VERSION"))),
        ("commit", option_env!("KAIWU_COMMIT")),
        ("wgpu", option_env!("KAIWU_WGPU")),
        ("target", option_env!("KAIWU_TARGET")),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let adapters = list_adapters(device.options().adapter.as_deref());
    if arguments.json {
        print_pretty(&as_json(&adapters))?
    } else {
        print(&as_text(&adapters))?
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(adapters: &Result<Vec<AdapterReport>>) -> Value {
    let mut all: Map<String, Value> =
        built().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    match adapters {
        Ok(adapters) => {
            let one = |a: &AdapterReport| {
                json!({
                    "name": a.name, "backend": a.backend, "kind": a.kind,
                    "driver": a.driver, "driver_info": a.driver_info, "chosen": a.chosen,
                })
            };
            all.insert("adapters".into(), adapters.iter().map(one).collect());
        }
        Err(error) => {
            all.insert("adapters".into(), json!([]));
            all.insert("error".into(), error.to_string().into());
        }
    }
    all.into()
}

fn as_text(adapters: &Result<Vec<AdapterReport>>) -> String {
    let mut text = String::new();
    for (name, value) in built() {
        text += &match name {
            "version" => format!("kaiwu {value}\n"),
            _ => format!("{name} {value}\n"),
        };
    }
    match adapters {
        Ok(adapters) => {
            for a in adapters {
                let taken = if a.chosen { ", taken" } else { "" };
                let driver = format!("{} {}", a.driver, a.driver_info);
                text += &format!(
                    "adapter {} ({}, {}), driver {}{taken}\n",
                    a.name,
                    a.backend,
                    a.kind,
                    driver.trim()
                );
            }
        }
        Err(error) => text += &format!("no adapter: {error}\n"),
    }
    text
}
