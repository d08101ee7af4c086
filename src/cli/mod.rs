//! The command line: one file a command.
//!
//! Standard output carries the answer and nothing else; notices, progress and errors go to standard error. Exit codes:
//! 0, 2 for a command line that cannot be followed, 130 after an interrupt (143 after SIGTERM, 129 after SIGHUP), 1 for
//! everything else.

mod arguments;
mod bench;
mod bench_kernels;
mod bench_own;
mod chat;
mod compare;
mod convert;
mod course;
mod deadline;
mod devices;
mod doctor;
mod dump;
mod embed;
mod explain;
mod generate;
mod generate_many;
mod given;
mod grok;
mod grok_sweep;
mod inspect;
mod interrupt;
mod kernels;
mod likely;
mod list;
mod loaded;
mod logits;
mod matrix;
mod output;
mod perplexity;
mod profile;
mod progress;
mod prompts;
mod pull;
mod rm;
mod roofline;
mod sampling;
mod telling;
mod text_input;
mod tokenize;
mod train;
mod tune;
mod usage;
mod version;

use crate::{Error, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;
use std::time::Instant;

/// A language-model runtime made of hand-written WGSL compute shaders.
#[derive(Debug, Parser)]
#[command(name = "kaiwu", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    device: arguments::DeviceArguments,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Examples:
  kaiwu generate \"The capital of France is\"
  kaiwu chat -m models/SmolLM2-135M-Instruct.Q4_1.gguf
  kaiwu version

KAIWU_MODEL names the model, KAIWU_ADAPTER the adapter, RUST_LOG=debug shows what happens, NO_COLOR is respected.";

#[derive(Debug, Subcommand)]
enum Command {
    Devices(devices::Arguments),
    Inspect(inspect::Arguments),
    Tokenize(tokenize::Arguments),
    Detokenize(tokenize::DetokenizeArguments),
    Generate(generate::Arguments),
    Chat(chat::Arguments),
    Logits(logits::Arguments),
    Perplexity(perplexity::Arguments),
    Compare(compare::Arguments),
    Convert(convert::Arguments),
    Embed(embed::Arguments),
    Pull(pull::Arguments),
    List(list::Arguments),
    Rm(rm::Arguments),
    /// Measure speed.
    #[command(subcommand)]
    Bench(Bench),
    Explain(explain::Arguments),
    Kernels(kernels::Arguments),
    Doctor(doctor::Arguments),
    Grok(grok::Arguments),
    Train(train::Arguments),
    Tune(tune::Arguments),
    Version(version::Arguments),
}

#[derive(Debug, Subcommand)]
enum Bench {
    Model(bench::Arguments),
    Kernels(bench_kernels::Arguments),
}

/// Runs the command line of this process, which `started` some time ago.
pub fn main(started: Instant) -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let matches = usage::prepared(Cli::command()).try_get_matches();
    let Cli { device, command } = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage::explain(error),
    };
    if let Err(error) = interrupt::begin() {
        log::warn!("{error}");
    }
    let done = match command {
        Command::Devices(arguments) => devices::run(&device, &arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Tokenize(arguments) => tokenize::run(&arguments),
        Command::Detokenize(arguments) => tokenize::detokenize(&arguments),
        Command::Generate(arguments) => generate::run(&device, &arguments, started),
        Command::Chat(arguments) => chat::run(&device, &arguments),
        Command::Logits(arguments) => logits::run(&device, &arguments),
        Command::Perplexity(arguments) => perplexity::run(&device, &arguments),
        Command::Compare(arguments) => compare::run(&device, &arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Embed(arguments) => embed::run(&device, &arguments),
        Command::Pull(arguments) => pull::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Rm(arguments) => rm::run(&arguments),
        Command::Bench(Bench::Model(arguments)) => bench::run(&device, &arguments),
        Command::Bench(Bench::Kernels(arguments)) => bench_kernels::run(&device, &arguments),
        Command::Explain(arguments) => explain::run(&device, &arguments),
        Command::Grok(arguments) => grok::run(&device, &arguments),
        Command::Doctor(arguments) => doctor::run(&device, &arguments),
        Command::Train(arguments) => train::run(&device, &arguments),
        Command::Tune(arguments) => tune::run(&device, &arguments),
        Command::Version(arguments) => version::run(&device, &arguments),
        Command::Kernels(arguments) => kernels::run(&device, &arguments),
    };
    match done.and_then(|code| output::flush().map(|()| code)) {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

fn report(error: &Error) -> ExitCode {
    eprintln!("kaiwu: {error}");
    ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
}

/// What a command gives.
type Outcome = Result<ExitCode>;
