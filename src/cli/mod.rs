//! The command line: one file a command.
//!
//! Standard output carries the answer and nothing else; notices, progress and errors go to standard
//! error. Exit codes: 0, 2 for a command line that cannot be followed, 130 after an interrupt (143
//! after SIGTERM, 129 after SIGHUP), 1 for everything else.

mod chat;
mod commands;
#[cfg(test)]
mod documented;
mod support;

use crate::{Error, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;
use std::time::Instant;
use support::failure;

/// A language-model runtime made of hand-written WGSL compute shaders.
#[derive(Debug, Parser)]
#[command(name = "kaiwu", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    device: support::arguments::DeviceArguments,
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
    Devices(commands::devices::Arguments),
    Inspect(commands::inspect::Arguments),
    Tokenize(commands::tokenize::Arguments),
    Detokenize(commands::tokenize::DetokenizeArguments),
    Generate(commands::generate::Arguments),
    Chat(chat::Arguments),
    Logits(commands::logits::Arguments),
    Perplexity(commands::perplexity::Arguments),
    Compare(commands::compare::Arguments),
    Convert(commands::convert::Arguments),
    Embed(commands::embed::Arguments),
    Pull(commands::pull::Arguments),
    List(commands::list::Arguments),
    Rm(commands::rm::Arguments),
    /// Measure speed.
    #[command(subcommand)]
    Bench(Bench),
    Explain(commands::explain::Arguments),
    Kernels(commands::kernels::Arguments),
    Doctor(commands::doctor::Arguments),
    Grok(commands::grok::Arguments),
    Train(commands::train::Arguments),
    #[command(name = "autotune", alias = "tune")]
    Tune(commands::tune::Arguments),
    Completions(commands::completions::Arguments),
    Man(commands::man::Arguments),
    Version(commands::version::Arguments),
}

#[derive(Debug, Subcommand)]
enum Bench {
    Model(commands::bench::Arguments),
    Kernels(commands::bench_kernels::Arguments),
}

/// The commands by what they are for, as the help lists them.
const GROUPS: &[(&str, &[&str])] = &[
    ("Use a model", &["generate", "chat", "embed", "pull", "list", "rm"]),
    ("Look at it", &["inspect", "explain", "tokenize", "detokenize", "logits"]),
    ("Evaluate it", &["perplexity", "compare"]),
    ("Change it", &["convert", "train", "grok"]),
    ("Look at this machine", &["devices", "doctor", "bench", "autotune", "kernels"]),
    ("About the program", &["version", "completions", "man", "help"]),
];

/// The program as it is parsed.
fn program() -> clap::Command {
    support::usage::prepared(Cli::command())
}

/// Runs the command line of this process, which `started` some time ago.
pub fn main(started: Instant) -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let matches = support::usage::grouped(program(), GROUPS).try_get_matches();
    let Cli { device, command } = match matches.and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => return support::usage::explain(error),
    };
    if let Err(error) = support::interrupt::begin() {
        log::warn!("{error}");
    }
    let done = match command {
        Command::Devices(arguments) => commands::devices::run(&device, &arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Tokenize(arguments) => commands::tokenize::run(&arguments),
        Command::Detokenize(arguments) => commands::tokenize::detokenize(&arguments),
        Command::Generate(arguments) => commands::generate::run(&device, &arguments, started),
        Command::Chat(arguments) => chat::run(&device, &arguments),
        Command::Logits(arguments) => commands::logits::run(&device, &arguments),
        Command::Perplexity(arguments) => commands::perplexity::run(&device, &arguments),
        Command::Compare(arguments) => commands::compare::run(&device, &arguments),
        Command::Convert(arguments) => commands::convert::run(&arguments),
        Command::Embed(arguments) => commands::embed::run(&device, &arguments),
        Command::Pull(arguments) => commands::pull::run(&arguments),
        Command::List(arguments) => commands::list::run(&arguments),
        Command::Rm(arguments) => commands::rm::run(&arguments),
        Command::Bench(Bench::Model(arguments)) => commands::bench::run(&device, &arguments),
        Command::Bench(Bench::Kernels(arguments)) => {
            commands::bench_kernels::run(&device, &arguments)
        }
        Command::Explain(arguments) => commands::explain::run(&device, &arguments),
        Command::Grok(arguments) => commands::grok::run(&device, &arguments),
        Command::Doctor(arguments) => commands::doctor::run(&device, &arguments),
        Command::Train(arguments) => commands::train::run(&device, &arguments),
        Command::Tune(arguments) => commands::tune::run(&device, &arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments, program()),
        Command::Man(arguments) => commands::man::run(&arguments, program()),
        Command::Version(arguments) => commands::version::run(&device, &arguments),
        Command::Kernels(arguments) => commands::kernels::run(&device, &arguments),
    };
    match done.and_then(|code| support::output::flush().map(|()| code)) {
        Ok(code) => code,
        Err(error) if support::output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

fn report(error: &Error) -> ExitCode {
    eprintln!("kaiwu: {}", failure::shown(error));
    ExitCode::from(failure::exit_code(error))
}

/// What a command gives.
type Outcome = Result<ExitCode>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_is_in_one_group_and_has_an_example() {
        let listed: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let program = program();
        let names = program.get_subcommands().map(clap::Command::get_name).chain(["help"]);
        assert_eq!(names.collect::<BTreeSet<_>>(), listed.iter().copied().collect());
        assert_eq!(
            listed.len(),
            listed.iter().collect::<BTreeSet<_>>().len(),
            "none is there twice"
        );
        let mut commands: Vec<_> = program.get_subcommands().collect();
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let answers = command.get_name() != "bench";
            assert!(!answers || help.contains("Examples:\n  "), "{}: {help}", command.get_name());
        }
    }
}
