//! The figures of grokking.

use super::chart::{COLOURS, Chart, Mark, Panel, Series};
use super::grok::{GrokSettings, Row};
use crate::train::{Pupil, TextRow, TextRun, TextSettings, Tuning};

fn what(settings: &GrokSettings) -> String {
    let GrokSettings { operation, modulus, fraction, .. } = settings;
    format!("a {} b modulo {modulus}, {:.0} % of the table", operation.sign(), 100.0 * fraction)
}

fn how(settings: &GrokSettings) -> String {
    let GrokSettings { layers, width, heads, weight_decay, seed, .. } = settings;
    let plural = if *layers == 1 { "" } else { "s" };
    format!(
        "{layers} layer{plural} of width {width}, {heads} heads; AdamW, weight decay {weight_decay}; seed {seed}"
    )
}

fn series(name: &str, colour: usize, rows: &[Row], value: fn(&Row) -> f64) -> Series {
    let points = rows.iter().map(|row| (row.step as f64, value(row))).collect();
    Series { name: name.into(), colour: COLOURS[colour], mark: Mark::Line, points }
}

/// Accuracies and losses over steps, on a logarithmic axis: figure 1 of the paper.
pub fn curves(settings: &GrokSettings, rows: &[Row]) -> Chart {
    let last = rows.last().map_or(10.0, |row| row.step as f64);
    let losses = rows.iter().flat_map(|row| [row.train_loss, row.validation_loss]);
    let positive = losses.filter(|loss| loss.is_finite() && *loss > 0.0);
    let (low, high) = positive.fold((1.0f64, 1.0f64), |(low, high), loss| (low.min(loss), high.max(loss)));
    let accuracy = Panel {
        y_label: "accuracy".into(),
        y_range: (0.0, 1.0),
        y_logarithmic: false,
        series: vec![
            series("training", 0, rows, |row| row.train_accuracy),
            series("validation", 1, rows, |row| row.validation_accuracy),
        ],
    };
    let loss = Panel {
        y_label: "loss, nats".into(),
        y_range: (10f64.powf(low.log10().floor()).max(1e-8), 10f64.powf(high.log10().ceil())),
        y_logarithmic: true,
        series: vec![
            series("", 0, rows, |row| row.train_loss),
            series("", 1, rows, |row| row.validation_loss),
        ],
    };
    Chart {
        title: format!("Grokking: {}", what(settings)),
        subtitle: how(settings),
        x_label: "optimiser steps".into(),
        x_range: (1.0, 10f64.powf(last.log10().ceil()).max(10.0).min(last * 1.05).max(10.0)),
        x_logarithmic: true,
        panels: vec![accuracy, loss],
    }
}

/// The share of each frequency in the embedding of the numbers, before training and after.
pub fn fourier_chart(settings: &GrokSettings, before: &[f64], after: &[f64]) -> Chart {
    let top = before.iter().chain(after).copied().fold(0.0, f64::max) * 1.08;
    let bars = |name: &str, colour: usize, shares: &[f64]| {
        let points = shares.iter().enumerate().map(|(n, &share)| (n as f64 + 1.0, share)).collect();
        Panel {
            y_label: "share of variance".into(),
            y_range: (0.0, top.max(1e-3)),
            y_logarithmic: false,
            series: vec![Series { name: name.into(), colour: COLOURS[colour], mark: Mark::Bars, points }],
        }
    };
    let over = match settings.operation.is_multiplicative() {
        true => "frequency over the discrete logarithm of the number",
        false => "frequency over the number",
    };
    Chart {
        title: "What was learned: Fourier components of the embedding".into(),
        subtitle: format!("{}; {}", what(settings), how(settings)),
        x_label: over.into(),
        x_range: (0.0, after.len() as f64 + 1.0),
        x_logarithmic: false,
        panels: vec![bars("before training", 5, before), bars("after training", 1, after)],
    }
}

/// A run of a sweep: its settings, and the step at which validation passed 0.9, if it did.
pub type Passed = (GrokSettings, Option<u64>);

/// Steps until validation passes 0.9, against the fraction, a line a weight decay (the median over seeds): figure 2 of
/// the paper.
pub fn sweep_chart(runs: &[Passed]) -> Chart {
    let mut decays: Vec<f32> = runs.iter().map(|(settings, _)| settings.weight_decay).collect();
    let mut fractions: Vec<f64> = runs.iter().map(|(settings, _)| settings.fraction).collect();
    decays.sort_by(f32::total_cmp);
    decays.dedup();
    fractions.sort_by(f64::total_cmp);
    fractions.dedup();
    let most = runs.iter().map(|(settings, _)| settings.steps).max().unwrap_or(1000) as f64;
    let least = runs.iter().filter_map(|run| run.1).min().unwrap_or(100) as f64;
    let line = |(index, decay): (usize, &f32)| {
        let at = |&fraction: &f64| {
            let same = |run: &&Passed| run.0.weight_decay == *decay && run.0.fraction == fraction;
            let mut steps: Vec<f64> =
                runs.iter().filter(same).map(|run| run.1.map_or(f64::INFINITY, |step| step as f64)).collect();
            steps.sort_by(f64::total_cmp);
            let middle = steps.get(steps.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
            (fraction, middle)
        };
        Series {
            name: format!("decay {decay}"),
            colour: COLOURS[index % COLOURS.len()],
            mark: Mark::Dots,
            points: fractions.iter().map(at).collect(),
        }
    };
    let panel = Panel {
        y_label: "steps to a validation accuracy of 0.9".into(),
        y_range: (10f64.powf(least.log10().floor()), 10f64.powf(most.log10().ceil())),
        y_logarithmic: true,
        series: decays.iter().enumerate().map(line).collect(),
    };
    let (low, high) = (fractions.first().unwrap_or(&0.0), fractions.last().unwrap_or(&1.0));
    let first = runs.first().map_or(String::new(), |(settings, _)| {
        format!("a {} b modulo {}, width {}", settings.operation.sign(), settings.modulus, settings.width)
    });
    Chart {
        title: "How soon it understands".into(),
        subtitle: format!("{first}; medians over seeds; runs that did not pass in {most} steps are left out"),
        x_label: "share of the table to learn from".into(),
        x_range: ((low - 0.05).max(0.0), (high + 0.05).min(1.0)),
        x_logarithmic: false,
        panels: vec![panel],
    }
}

/// Losses over steps of a language model that learns a text.
pub fn learning_curve(run: &TextRun) -> Chart {
    let rows = &run.rows;
    let series = |name: &str, colour: usize, value: fn(&TextRow) -> Option<f64>| Series {
        name: name.into(),
        colour: COLOURS[colour],
        mark: Mark::Line,
        points: rows.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect(),
    };
    let losses = || rows.iter().flat_map(|row| [Some(row.train_loss), row.validation_loss]).flatten();
    let (low, high) = losses().fold((f64::MAX, 0.0f64), |(low, high), loss| (low.min(loss), high.max(loss)));
    let TextSettings { layers, width, heads, context, batch, accumulate, rate, seed, .. } = run.settings;
    let (title, how) = match &run.pupil {
        Pupil::New(_) => ("Learning a text", String::new()),
        Pupil::Tuned(Tuning { lora: None, .. }) => ("Going on with a model", String::new()),
        Pupil::Tuned(Tuning { lora: Some(lora), .. }) => {
            ("Adapting a model", format!("LoRA of rank {}, alpha {}; ", lora.rank, lora.alpha))
        }
    };
    let learned = series("training", 0, |row| Some(row.train_loss));
    let kept = series("validation", 1, |row| row.validation_loss);
    Chart {
        title: title.into(),
        subtitle: format!(
            "{how}{layers} layers of width {width}, {heads} heads; {} sequences of {context} a step; rate {rate}; seed {seed}",
            batch * accumulate
        ),
        x_label: "optimiser steps".into(),
        x_range: (0.0, rows.last().map_or(10.0, |row| row.step as f64)),
        x_logarithmic: false,
        panels: vec![Panel {
            y_label: "loss, nats a token".into(),
            y_range: (if low < high { low.floor() } else { 0.0 }, high.ceil().max(1.0)),
            y_logarithmic: false,
            series: [learned, kept].into_iter().filter(|series| !series.points.is_empty()).collect(),
        }],
    }
}
