//! `kaiwu grok --sweep`: many runs, and one figure of how soon each understood.

use super::grok::write;
use super::interrupt;
use super::output::{print, print_json};
use super::progress::Progress;
use crate::gpu::Gpu;
use crate::lab::{Grok, GrokSettings, sweep_chart};
use crate::{Error, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a sweep varies.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sweep")]
pub(super) struct SweepArguments {
    /// Run all fractions, decays and seeds below, each until validation passes 0.9, and draw when that was
    #[arg(long, conflicts_with = "resume")]
    pub sweep: bool,
    /// Shares of the table
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.5,0.7", requires = "sweep")]
    fractions: Vec<f64>,
    /// Weight decays
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.3,1,2", requires = "sweep")]
    decays: Vec<f32>,
    /// How many seeds, from --seed on
    #[arg(long, value_name = "N", default_value_t = 3, requires = "sweep",
        value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
}

/// A line of `sweep.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    settings: GrokSettings,
    /// The first row at which validation passed 0.9.
    passed_at: Option<u64>,
    steps: u64,
    seconds: f64,
}

/// Runs that `sweep.jsonl` has already are not run again.
pub(super) fn run(
    gpu: &Arc<Gpu>,
    arguments: &SweepArguments,
    base: &GrokSettings,
    out: &Path,
    json: bool,
) -> Result<ExitCode> {
    std::fs::create_dir_all(out).map_err(Error::io("create", out))?;
    let path = out.join("sweep.jsonl");
    let mut lines: Vec<Line> = vec![];
    if path.exists() {
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        for (number, line) in text.lines().enumerate() {
            let line = serde_json::from_str(line);
            lines.push(line.map_err(|e| Error::format(&path, format!("line {}: {e}", number + 1)))?);
        }
    }
    let mut wanted = vec![];
    for &fraction in &arguments.fractions {
        for &weight_decay in &arguments.decays {
            for seed in base.seed..base.seed + arguments.seeds {
                wanted.push(GrokSettings { fraction, weight_decay, seed, ..base.clone() });
            }
        }
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    interrupt::watch(Arc::clone(&interrupted), Arc::new(AtomicBool::new(true)))?;
    let mut progress = Progress::count("runs", wanted.len() as u64);
    for (done, settings) in wanted.iter().enumerate() {
        progress.set(done as u64);
        if lines.iter().any(|line| line.settings == *settings) {
            continue;
        }
        let mut grok = Grok::new(gpu, settings)?;
        while !grok.is_done() && grok.first_at(0.9).is_none() {
            grok.advance(&interrupted)?;
            if interrupted.load(Ordering::Relaxed) {
                eprintln!("kaiwu: stopped; the same command goes on with the runs that are missing");
                return Ok(ExitCode::from(interrupt::EXIT_CODE));
            }
        }
        let passed_at = grok.first_at(0.9).map(|row| row.step);
        let seconds = grok.rows.last().map_or(0.0, |row| row.seconds);
        let line = Line { settings: settings.clone(), passed_at, steps: grok.trainer.done(), seconds };
        let text = serde_json::to_string(&line).map_err(|e| Error::format(&path, e.to_string()))? + "\n";
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.map_err(Error::io("open", &path))?;
        file.write_all(text.as_bytes()).map_err(Error::io("write", &path))?;
        lines.push(line);
    }
    drop(progress);
    lines.retain(|line| wanted.contains(&line.settings));
    let runs: Vec<_> = lines.iter().map(|line| (line.settings.clone(), line.passed_at)).collect();
    write(&sweep_chart(&runs), &out.join("sweep"))?;
    if json {
        print_json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for Line { settings, passed_at, .. } in &lines {
        let GrokSettings { fraction, weight_decay, seed, .. } = settings;
        let when = passed_at.map_or("not passed".into(), |step| format!("step {step}"));
        text += &format!("fraction {fraction}, decay {weight_decay}, seed {seed}: {when}\n");
    }
    print(&format!("{text}written to {}\n", out.display()))?;
    Ok(ExitCode::SUCCESS)
}
