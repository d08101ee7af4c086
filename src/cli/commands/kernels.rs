//! `kaiwu kernels`: all kernels, and what is compiled.

use crate::cli::Outcome;
use crate::cli::support::arguments::DeviceArguments;
use crate::cli::support::choice::choice;
use crate::cli::support::failure::usage;
use crate::cli::support::output::{print, print_pretty, size, table};
use crate::files::write_whole;
use crate::gpu::{Gpu, render};
use crate::workbench::{
    ListedStrategy, Target, Translation, cases, chain_text, find, list, translate,
};
use crate::{Error, Result};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// List the kernels with their strategies, or show what one of them is compiled from
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  kaiwu kernels
  kaiwu kernels show attention --target msl";

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
}

/// Print a kernel's shader as it is compiled, or as other backends are given it
#[derive(Debug, Args)]
#[command(after_help = SHOW)]
struct Show {
    /// The kernel's name, or "chain": a layer of one token as one dispatch, as lavapipe gets it
    name: String,
    /// Which strategy [default: the one this adapter would take]
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// The first row of the checks' table whose description contains this: shapes and formats
    #[arg(long, value_name = "TEXT", default_value = "")]
    case: String,
    /// The language
    #[arg(long, value_name = "LANGUAGE", default_value = "wgsl", value_parser = choice::<Target>())]
    target: Target,
    /// Write to this file; SPIR-V is then binary, and not words in hexadecimal
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const SHOW: &str = "Examples:
  kaiwu kernels show product --case \"q4_k [72, 768] x 1\"
  kaiwu kernels show product --strategy matvec --target hlsl
  kaiwu kernels show attention --target spirv -o attention.spv
  kaiwu kernels show chain";

/// What stands for the calls that are one dispatch.
const CHAIN: &str = "chain";

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    if let Some(Command::Show(show)) = &arguments.command {
        let gpu = Gpu::open(&device.options())?;
        let (text, entry) = text_of(&gpu, show)?;
        write(&translate(&text, entry, show.target, device.checked)?, show.output.as_deref())?;
        if show.target == Target::Spirv {
            let with = if device.checked { "with" } else { "--checked adds them; written without" };
            eprintln!("kaiwu: {with} bounds and loop checks, as devices are given it");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let kernels = match Gpu::open(&device.options()) {
        Ok(gpu) => list(&cases::table(&gpu)?.cases, Some(&gpu)),
        Err(error @ (Error::NoAdapter { .. } | Error::Device(_))) if device.adapter.is_none() => {
            eprintln!("kaiwu: without a device: {error}");
            list(&cases::on_host()?, None)
        }
        Err(error) => return Err(error),
    };
    if arguments.json {
        print_pretty(&kernels)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = vec![
        ["kernel", "strategy", "shader", "on this adapter", "needs"].map(String::from).to_vec(),
    ];
    for kernel in &kernels {
        for (index, strategy) in kernel.strategies.iter().enumerate() {
            lines.push(vec![
                if index == 0 { kernel.kernel.to_owned() } else { String::new() },
                strategy.strategy.to_owned(),
                format!("{}.wgsl", strategy.shader),
                availability(strategy),
                needs(strategy),
            ]);
        }
    }
    print(&table(&lines, 5))?;
    Ok(ExitCode::SUCCESS)
}

/// What is compiled, and its entry point.
fn text_of(gpu: &Arc<Gpu>, show: &Show) -> Result<(String, &'static str)> {
    if show.name == CHAIN {
        if show.strategy.is_some() || !show.case.is_empty() {
            return Err(usage(
                "a chain is a layer of its own; it has no --strategy and no --case".into(),
            ));
        }
        return Ok((chain_text(gpu)?, CHAIN));
    }
    let rows = cases::table(gpu)?;
    let (row, strategy) = find(&rows, &show.name, show.strategy.as_deref(), &show.case)?;
    Ok((render(&*rows.cases[row].kernel, &strategy)?, strategy.entry))
}

fn availability(strategy: &ListedStrategy) -> String {
    match (strategy.quarantined, strategy.here) {
        (true, _) => "quarantined".into(),
        (false, Some(true)) => "yes".into(),
        (false, Some(false)) => "no".into(),
        (false, None) => "-".into(),
    }
}

fn needs(strategy: &ListedStrategy) -> String {
    let mut words = vec![format!("{} lanes", strategy.lanes)];
    if strategy.workgroup_bytes > 0 {
        words.push(format!("{} shared", size(strategy.workgroup_bytes.into())));
    }
    if strategy.subgroup > 0 {
        words.push(format!("subgroups of {}", strategy.subgroup));
    }
    if strategy.f16 {
        words.push("f16".into());
    }
    words.join(", ")
}

fn write(translation: &Translation, file: Option<&std::path::Path>) -> Result<()> {
    match (translation, file) {
        (Translation::Text(text), None) => print(text),
        (Translation::Text(text), Some(file)) => write_whole(file, text),
        (Translation::Words(words), Some(file)) => {
            write_whole(file, bytemuck::cast_slice::<u32, u8>(words))
        }
        (Translation::Words(words), None) => {
            let line = |words: &[u32]| {
                words.iter().map(|word| format!("{word:08x}")).collect::<Vec<_>>().join(" ") + "\n"
            };
            print(&words.chunks(8).map(line).collect::<String>())
        }
    }
}
