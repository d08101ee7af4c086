//! `kaiwu completions`: completions of commands and options for a shell.

use crate::cli::Outcome;
use crate::cli::support::output::print;
use clap::Args;
use clap_complete::Shell;
use std::process::ExitCode;

/// Print a shell's completions of the commands and options
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "Examples:
  kaiwu completions bash > ~/.local/share/bash-completion/completions/kaiwu
  kaiwu completions zsh > ~/.zfunc/_kaiwu
  kaiwu completions fish > ~/.config/fish/completions/kaiwu.fish";

/// Prints the completions of `program`.
pub(in crate::cli) fn run(arguments: &Arguments, mut program: clap::Command) -> Outcome {
    let mut text = vec![];
    clap_complete::generate(arguments.shell, &mut program, "kaiwu", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}
