//! The figures of grokking.

use super::chart::{Chart, Dot, Mark, Panel, Series};
use super::fourier::{REPRESENTATIONS, is_logarithmic};
use super::grok::{GrokSettings, Row};
use crate::train::{TextRow, TextRun, TextSettings, TrainedModel, Tuning};

/// The operation in words.
fn what(settings: &GrokSettings) -> String {
    let GrokSettings { operation, modulus, .. } = settings;
    if operation.permutes() {
        format!("{} of permutations of five", operation.formula())
    } else {
        format!("{} modulo {modulus}", operation.formula())
    }
}

/// The network in words.
fn with(settings: &GrokSettings) -> String {
    let GrokSettings { n_layers, hidden_size, n_heads, .. } = settings;
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!(
        "{n_layers} layer{} of width {hidden_size}, {n_heads} head{}",
        plural(*n_layers),
        plural(*n_heads)
    )
}

fn how(settings: &GrokSettings) -> String {
    let GrokSettings { fraction, learning_rate, weight_decay, seed, .. } = settings;
    let (share, network) = (100.0 * fraction, with(settings));
    let decay = decimal(*weight_decay);
    format!(
        "{share:.0} % of the table; {network}; AdamW, rate {learning_rate}, weight decay {decay}; seed {seed}"
    )
}

/// An `f32` in its own shortest decimal form, without the digits that f64 would add.
fn decimal(number: f32) -> String {
    number.to_string()
}

fn series(name: &str, style: usize, rows: &[Row], value: fn(&Row) -> f64) -> Series {
    let points = rows.iter().map(|row| (row.step as f64, value(row))).collect();
    Series { name: name.into(), style, mark: Mark::Line, points, dots: vec![] }
}

/// Accuracies and losses over steps, on a logarithmic axis: figure 1 of the grokking paper.
pub fn curves(settings: &GrokSettings, rows: &[Row]) -> Chart {
    let last = rows.last().map_or(10.0, |row| row.step as f64);
    let losses = rows.iter().flat_map(|row| [row.train_loss, row.validation_loss]);
    let positive = losses.filter(|loss| loss.is_finite() && *loss > 0.0);
    let (low, high) =
        positive.fold((1.0f64, 1.0f64), |(low, high), loss| (low.min(loss), high.max(loss)));
    let accuracy = Panel {
        y_label: "accuracy".into(),
        // Keeps lines at 0 and 1 off the frame.
        y_range: (-0.02, 1.02),
        y_logarithmic: false,
        limit: None,
        series: vec![
            series("training", 0, rows, |row| row.train_accuracy),
            series("validation", 1, rows, |row| row.validation_accuracy),
        ],
    };
    let loss = Panel {
        y_label: "loss, nats".into(),
        y_range: (10f64.powf(low.log10().floor()).max(1e-8), 10f64.powf(high.log10().ceil())),
        y_logarithmic: true,
        limit: None,
        series: vec![
            series("training", 0, rows, |row| row.train_loss),
            series("validation", 1, rows, |row| row.validation_loss),
        ],
    };
    Chart {
        title: format!("Grokking: {}", what(settings)),
        subtitle: how(settings),
        x_label: "optimiser steps".into(),
        x_range: (1.0, 10f64.powf(last.log10().ceil()).max(10.0).min(last * 1.05).max(10.0)),
        x_logarithmic: true,
        x_ticks: vec![],
        panels: vec![accuracy, loss],
    }
}

/// The fraction of each Fourier component in the embedding of the elements, before and after
/// training.
pub fn fourier_chart(settings: &GrokSettings, before: &[f64], after: &[f64]) -> Chart {
    let top = before.iter().chain(after).copied().fold(0.0, f64::max) * 1.08;
    let bars = |name: &str, style: usize, shares: &[f64]| {
        let points = shares.iter().enumerate().map(|(n, &share)| (n as f64 + 1.0, share)).collect();
        Panel {
            y_label: "share of variance".into(),
            y_range: (0.0, top.max(1e-3)),
            y_logarithmic: false,
            limit: None,
            series: vec![Series {
                name: name.into(),
                style,
                mark: Mark::Bars,
                points,
                dots: vec![],
            }],
        }
    };
    let permutes = settings.operation.permutes();
    let over = match is_logarithmic(settings.operation, settings.modulus) {
        _ if permutes => "irreducible representation, by its dimension; ' is times the sign",
        true => "frequency over the discrete logarithm of the number",
        false => "frequency over the number",
    };
    let title =
        if permutes { "Parts of the embedding" } else { "Fourier components of the embedding" };
    let names = if permutes { &REPRESENTATIONS[..] } else { &[] };
    Chart {
        title: format!("{title}: {}", what(settings)),
        subtitle: how(settings),
        x_label: over.into(),
        x_range: (0.0, after.len() as f64 + 1.0),
        x_logarithmic: false,
        x_ticks: names.iter().enumerate().map(|(n, &name)| (n as f64 + 1.0, name.into())).collect(),
        panels: vec![bars("before training", 5, before), bars("after training", 1, after)],
    }
}

/// A run of a sweep: its settings, and the step at which validation accuracy passed 0.9, if it did.
pub type Passed = (GrokSettings, Option<u64>);

fn sorted<T: Copy>(
    runs: &[Passed],
    of: fn(&GrokSettings) -> T,
    order: fn(&T, &T) -> std::cmp::Ordering,
) -> Vec<T> {
    let mut all: Vec<T> = runs.iter().map(|(settings, _)| of(settings)).collect();
    all.sort_by(order);
    all.dedup_by(|a, b| order(a, b).is_eq());
    all
}

/// Steps until validation accuracy passes 0.9, over the training fraction: a marker for each run,
/// and for each weight decay a line through the medians over seeds. Runs that did not pass are open
/// markers at the limit. This is figure 2 of the grokking paper.
pub fn sweep_chart(runs: &[Passed]) -> Chart {
    let decays = sorted(runs, |settings| settings.weight_decay, f32::total_cmp);
    let fractions = sorted(runs, |settings| settings.fraction, f64::total_cmp);
    let seeds = sorted(runs, |settings| settings.seed, u64::cmp);
    let most = runs.iter().map(|(settings, _)| settings.steps).max().unwrap_or(1000);
    let least = runs.iter().filter_map(|run| run.1).min().unwrap_or(most) as f64;
    let (low, high) = (*fractions.first().unwrap_or(&0.0), *fractions.last().unwrap_or(&1.0));
    let margin = ((high - low) / 4.0).max(0.05);
    // Markers at the same fraction are placed next to each other.
    let beside = |place: usize, count: usize, room: f64| {
        (place as f64 + 0.5) / count as f64 * room - room / 2.0
    };
    let nearest = fractions.windows(2).map(|pair| pair[1] - pair[0]).fold(2.0 * margin, f64::min);
    let group = 0.4 * nearest;
    let line = |(index, decay): (usize, &f32)| {
        let aside = beside(index, decays.len(), group);
        let mut dots = vec![];
        let mut points = vec![];
        for &fraction in &fractions {
            let mut steps = vec![];
            for (settings, passed) in runs {
                if settings.weight_decay != *decay || settings.fraction != fraction {
                    continue;
                }
                let seed = seeds.binary_search(&settings.seed).unwrap_or_default();
                let x =
                    fraction + aside + beside(seed, seeds.len(), 0.5 * group / decays.len() as f64);
                let y = passed.unwrap_or(settings.steps) as f64;
                dots.push(Dot { x, y, open: passed.is_none() });
                steps.push(y);
            }
            steps.sort_by(f64::total_cmp);
            let middle = steps.get(steps.len().saturating_sub(1) / 2);
            points.extend(middle.map(|&middle| (fraction + aside, middle)));
        }
        Series {
            name: format!("decay {}", decimal(*decay)),
            style: index,
            mark: Mark::Line,
            points,
            dots,
        }
    };
    let panel = Panel {
        y_label: "steps to a validation accuracy of 0.9".into(),
        y_range: (0.7 * least, 1.5 * most as f64),
        y_logarithmic: true,
        limit: Some((most as f64, format!("{most} steps: not passed"))),
        series: decays.iter().enumerate().map(line).collect(),
    };
    let first = runs.first().map_or(String::new(), |(settings, _)| {
        format!("{}; {}; AdamW, rate {}", what(settings), with(settings), settings.learning_rate)
    });
    let plural = if seeds.len() == 1 { "" } else { "s" };
    let count = seeds.len();
    Chart {
        title: "How soon it understands".into(),
        subtitle: format!(
            "{first}\na marker a run, {count} seed{plural}; lines through the medians; open: not passed in {most} steps"
        ),
        x_label: "share of the table to learn from".into(),
        x_range: ((low - margin).max(0.0), (high + margin).min(1.0)),
        x_logarithmic: false,
        x_ticks: fractions.iter().map(|&fraction| (fraction, fraction.to_string())).collect(),
        panels: vec![panel],
    }
}

/// Losses of a language model over training steps.
pub fn learning_curve(run: &TextRun) -> Chart {
    let rows = &run.rows;
    let series = |name: &str, style: usize, value: fn(&TextRow) -> Option<f64>| Series {
        name: name.into(),
        style,
        mark: Mark::Line,
        points: rows.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect(),
        dots: vec![],
    };
    let losses =
        || rows.iter().flat_map(|row| [Some(row.train_loss), row.validation_loss]).flatten();
    let (low, high) =
        losses().fold((f64::MAX, 0.0f64), |(low, high), loss| (low.min(loss), high.max(loss)));
    let TextSettings {
        n_layers: layers,
        hidden_size: width,
        n_heads: heads,
        context,
        batch,
        accumulate,
        learning_rate: rate,
        seed,
        ..
    } = run.settings;
    let (title, how) = match &run.pupil {
        TrainedModel::New(_) => ("Learning a text", String::new()),
        TrainedModel::Tuned(Tuning { lora: None, .. }) => ("Going on with a model", String::new()),
        TrainedModel::Tuned(Tuning { lora: Some(lora), .. }) => {
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
        x_ticks: vec![],
        panels: vec![Panel {
            y_label: "loss, nats a token".into(),
            y_range: (if low < high { low.floor() } else { 0.0 }, high.ceil().max(1.0)),
            y_logarithmic: false,
            limit: None,
            series: [learned, kept]
                .into_iter()
                .filter(|series| !series.points.is_empty())
                .collect(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_did_not_pass_are_drawn_at_the_limit() {
        let run = |fraction: f64, weight_decay: f32, seed: u64, passed| {
            let settings =
                GrokSettings { fraction, weight_decay, seed, steps: 3000, ..GrokSettings::tiny() };
            (settings, passed)
        };
        let runs = [
            run(0.5, 0.3, 1, None),
            run(0.5, 0.3, 2, Some(1000)),
            run(0.5, 0.3, 3, None),
            run(0.7, 0.3, 1, Some(400)),
            run(0.5, 2.0, 1, Some(800)),
        ];
        let chart = sweep_chart(&runs);
        let series = &chart.panels[0].series;
        assert_eq!(series.len(), 2);
        assert_eq!(series[0].name, "decay 0.3");
        let dots: Vec<_> = series[0].dots.iter().map(|dot| (dot.y, dot.open)).collect();
        assert_eq!(dots, [(3000.0, true), (1000.0, false), (3000.0, true), (400.0, false)]);
        let medians: Vec<_> = series[0].points.iter().map(|point| point.1).collect();
        assert_eq!(medians, [3000.0, 400.0]);
        // No two markers overlap, and all are within the axes.
        let mut places: Vec<_> =
            series.iter().flat_map(|series| &series.dots).map(|dot| dot.x).collect();
        places.sort_by(f64::total_cmp);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] > 1e-3), "{places:?}");
        assert!(places[0] > chart.x_range.0 && places[4] < chart.x_range.1);
        let (low, high) = chart.panels[0].y_range;
        assert!(low < 400.0 && high > 3000.0);
        // A single series in which no run passed can be drawn, too.
        let svg = sweep_chart(&runs[..1]).svg();
        assert!(svg.contains("1 seed;") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}
