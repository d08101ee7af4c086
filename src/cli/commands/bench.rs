//! `kaiwu bench model`: tokens a second, reading and writing.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, WeightsArguments};
use crate::cli::support::loaded;
use crate::cli::support::output::{print, print_pretty, table};
use crate::cli::support::profile::ProfileArgument;
use crate::model::{Counters, Runner};
use crate::session::Needs;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;
use std::time::Instant;

/// Measure prefill and decode speed of a model, after a warm-up
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// Tokens of the prompt
    #[arg(short = 'p', long = "prompt", value_name = "N", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..))]
    prompt: u32,
    /// Tokens to write after it
    #[arg(short = 'n', long = "tokens", value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..))]
    tokens: u32,
    /// Measurements
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    #[command(flatten)]
    profile: ProfileArgument,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu bench model
  kaiwu bench model -p 512 -n 128 --repeat 5 --json
  kaiwu bench model --profile=trace.json";

/// Steps in a submission, as in a long answer.
const STEPS: usize = 8;

/// Rates of several runs.
#[derive(Serialize)]
struct Rates {
    /// The median.
    tokens_per_s: f64,
    min: f64,
    median: f64,
    max: f64,
}

impl Rates {
    fn new(mut rates: Vec<f64>) -> Self {
        rates.sort_by(f64::total_cmp);
        let median = (rates[(rates.len() - 1) / 2] + rates[rates.len() / 2]) / 2.0;
        Self { tokens_per_s: median, min: rates[0], median, max: rates[rates.len() - 1] }
    }
}

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let (prompt, tokens) = (arguments.prompt as usize, arguments.tokens as usize);
    let options = loaded::options(&arguments.model.loading, device, None);
    let file = loaded::open(&arguments.model, options)?;
    let model = file.load_for(Needs::generation(prompt, prompt + tokens))?;
    let mut runner = model.runner(prompt + tokens)?;
    runner.fits(prompt + tokens)?;
    let vocabulary = model.config().vocab_size;
    // Which tokens they are does not matter to the time, but one token over and over might.
    let ids: Vec<u32> = (0..prompt).map(|n| ((300 + 7 * n) % vocabulary) as u32).collect();

    once(&mut runner, &ids, tokens.min(2 * STEPS))?;
    let mut runs = vec![];
    for run in 1..=arguments.repeat {
        log::info!("run {run} of {}", arguments.repeat);
        runs.push(once(&mut runner, &ids, tokens)?);
    }
    let prefill = Rates::new(runs.iter().map(|run| prompt as f64 / run.prefill_seconds).collect());
    let decode = Rates::new(runs.iter().map(|run| tokens as f64 / run.decode_seconds).collect());
    let counts = runs[0].decode;
    let per_token = |n: u64| n as f64 / counts.tokens as f64;
    let counts = [
        ("dispatches_per_token", per_token(counts.dispatches)),
        ("submits_per_token", per_token(counts.submits)),
        ("readback_bytes_per_token", per_token(counts.readback_bytes)),
    ];
    if arguments.json {
        print_pretty(&json!({
            "model": model.path().display().to_string(),
            "adapter": model.device_name(),
            "prompt_tokens": prompt,
            "decode_tokens": tokens,
            "repeat": arguments.repeat,
            "prefill": prefill,
            "decode": decode,
            "counts": counts.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        }))?;
    } else {
        let row = |name: String, rates: &Rates| {
            let rate = |rate: f64| format!("{rate:.1}");
            vec![name, rate(rates.median), rate(rates.min), rate(rates.max)]
        };
        let heading = ["tokens/s", "median", "min", "max"].map(String::from).to_vec();
        let rows = [
            heading,
            row(format!("prefill of {prompt}"), &prefill),
            row(format!("decode of {tokens} after it"), &decode),
        ];
        let counts = counts.map(|(name, value)| format!("{name} {value}")).join(", ");
        print(&format!(
            "{} on {}, {} runs\n{}{counts}\n",
            model.path().display(),
            model.device_name(),
            arguments.repeat,
            table(&rows, 1)
        ))?;
    }
    // Apart from the runs above, which it would slow down.
    if arguments.profile.wanted() {
        runner.start_profile();
        once(&mut runner, &ids, tokens)?;
        arguments.profile.report(&runner.take_profile(), model.device())?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Run {
    prefill_seconds: f64,
    decode_seconds: f64,
    decode: Counters,
}

/// Reads `ids` and writes `tokens` greedy ones, from an empty cache.
fn once(runner: &mut Runner, ids: &[u32], tokens: usize) -> Result<Run> {
    runner.rewind(0);
    let start = Instant::now();
    runner.prefill(ids, |_| ())?;
    runner.greedy()?;
    let prefill_seconds = start.elapsed().as_secs_f64();
    let (start, before) = (Instant::now(), runner.counters());
    let mut left = tokens;
    while left > 0 {
        left -= runner.decode_greedy(left.min(STEPS))?.len();
    }
    Ok(Run {
        prefill_seconds,
        decode_seconds: start.elapsed().as_secs_f64(),
        decode: runner.counters() - before,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_few_is_right() {
        for (rates, median) in [(vec![3.0], 3.0), (vec![4.0, 1.0], 2.5), (vec![9.0, 1.0, 2.0], 2.0)]
        {
            assert_eq!(Rates::new(rates.clone()).median, median, "{rates:?}");
        }
    }
}
