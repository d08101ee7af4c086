//! `kaiwu grok --sweep`: many runs, and a figure of when each of them generalised.

use super::grok::{scores, write};
use crate::cli::support::arguments::{not_negative, share};
use crate::cli::support::interrupt;
use crate::cli::support::output::{print, print_json};
use crate::cli::support::training_progress::TrainingProgress;
use crate::format::is_there;
use crate::gpu::Gpu;
use crate::lab::{Grok, GrokSettings, sweep_chart};
use crate::train::{read_lines, write_lines};
use crate::{Error, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The settings that a sweep varies.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sweep")]
pub(in crate::cli) struct SweepArguments {
    /// Run all fractions, decays and seeds below, each until validation passes 0.9, and draw when
    /// that was; the same command goes on with a sweep that was stopped
    #[arg(long, conflicts_with_all = ["resume", "profile"])]
    pub sweep: bool,
    /// Shares of the table
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.5,0.7", requires = "sweep",
        allow_negative_numbers = true, value_parser = share)]
    fractions: Vec<f64>,
    /// Weight decays
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.3,1,2", requires = "sweep",
        allow_negative_numbers = true, value_parser = not_negative)]
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
    /// The first row at which validation accuracy passed 0.9.
    passed_at: Option<u64>,
    steps: u64,
    seconds: f64,
}

impl SweepArguments {
    /// The settings of all runs.
    fn runs(&self, base: &GrokSettings) -> Vec<GrokSettings> {
        let mut runs: Vec<GrokSettings> = vec![];
        for &fraction in &self.fractions {
            for &weight_decay in &self.decays {
                for seed in base.seed..base.seed + self.seeds {
                    let run = GrokSettings { fraction, weight_decay, seed, ..base.clone() };
                    if !runs.contains(&run) {
                        runs.push(run);
                    }
                }
            }
        }
        runs
    }
}

/// The folder of an interrupted run.
const STOPPED: &str = "stopped-run";

/// Runs the sweep. Runs that `sweep.jsonl` already contains are skipped.
pub(in crate::cli) fn run(
    gpu: &Arc<Gpu>,
    arguments: &SweepArguments,
    base: &GrokSettings,
    out: &Path,
    json: bool,
) -> Result<ExitCode> {
    let wanted = arguments.runs(base);
    wanted.iter().try_for_each(|settings| settings.check(gpu))?;
    let (path, stopped) = (out.join("sweep.jsonl"), out.join(STOPPED));
    let mut lines: Vec<Line> = if is_there(&path)? { read_lines(&path)? } else { vec![] };
    let interrupted = Arc::new(AtomicBool::new(false));
    interrupt::watch(Arc::clone(&interrupted), Arc::new(AtomicBool::new(true)))?;
    let runs = wanted.len();
    let course = TrainingProgress::new(base.steps * runs as u64, 0, true);
    for (index, settings) in wanted.iter().enumerate() {
        if lines.iter().any(|line| line.settings == *settings) {
            continue;
        }
        let was_stopped = Grok::is_in(&stopped) && Grok::settings_in(&stopped)? == *settings;
        let mut grok =
            if was_stopped { Grok::resume(gpu, &stopped)? } else { Grok::new(gpu, settings)? };
        let name = format!("run {} of {runs}, ", index + 1);
        course.run(name, base.steps * index as u64, base.steps, grok.trainer.done());
        while !grok.is_done() && grok.first_at(0.9).is_none() {
            if let Some(row) = grok.advance(&interrupted, |step| course.step(step))? {
                course.news(scores(&row));
            }
            if interrupted.load(Ordering::Relaxed) {
                drop(course);
                grok.save(&stopped)?;
                let step = grok.trainer.done();
                eprintln!(
                    "kaiwu: stopped in run {} of {runs}, at step {step}; the same command goes on \
                     from there",
                    index + 1
                );
                return Ok(interrupt::exit_code());
            }
        }
        let passed_at = grok.first_at(0.9).map(|row| row.step);
        let seconds = grok.rows.last().map_or(0.0, |row| row.seconds);
        lines.push(Line {
            settings: settings.clone(),
            passed_at,
            steps: grok.trainer.done(),
            seconds,
        });
        write_lines(&path, &lines)?;
    }
    drop(course);
    if Grok::is_in(&stopped) {
        std::fs::remove_dir_all(&stopped).map_err(Error::io("remove", &stopped))?;
    }
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
