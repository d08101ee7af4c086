//! `kaiwu man`: the manual page, as `man` reads it.

use crate::cli::Outcome;
use crate::cli::support::failure::usage;
use crate::cli::support::output::print;
use crate::{Error, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use std::process::ExitCode;

/// Print the manual page of the program, or of one command
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// The command, such as generate, or bench model
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

const EXAMPLES: &str = "Examples:
  kaiwu man > kaiwu.1
  kaiwu man generate | man -l -";

/// Of the `program` as it is parsed.
pub(in crate::cli) fn run(arguments: &Arguments, program: Command) -> Outcome {
    let page = page(program, &arguments.command)?;
    let mut text = vec![];
    Man::new(page).render(&mut text).map_err(Error::io("write", "the manual page"))?;
    print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// The command of these names, one below the other.
fn page(mut program: Command, names: &[String]) -> Result<Command> {
    program.build();
    let mut page = &program;
    for name in names {
        page = page.find_subcommand(name).ok_or_else(|| {
            usage(format!("there is no command {:?}; see `kaiwu help`", names.join(" ")))
        })?;
    }
    Ok(page.clone())
}
