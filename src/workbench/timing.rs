//! How long a strategy takes on a shape: checked first, then timed.

use super::check::check_case;
use super::roofs::Roofs;
use super::shapes::Shape;
use crate::gpu::{Cost, Entry, Gpu, Program};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One strategy on one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The shape, in words.
    pub shape: String,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// Median of the runs, microseconds.
    pub median_us: f64,
    /// A quarter of the runs took no longer than this.
    pub quarter_us: f64,
    /// Three quarters of the runs took no longer than this.
    pub three_quarters_us: f64,
    /// Runs timed.
    pub runs: usize,
    /// Bytes that the call must read and write, each operand once.
    pub bytes: u64,
    /// Its floating-point operations.
    pub operations: u64,
    /// 10^9 bytes a second at the median.
    pub gb_per_s: f64,
    /// 10^9 operations a second at the median.
    pub gflop_per_s: f64,
    /// The least time that the measured roofs allow, by the median. More than 1 where operands stay in a cache, which
    /// the roof of reading does not.
    pub share_of_roof: f64,
    /// The worst error against the reference on this shape, as doctor counts it; `None` without a reference.
    #[serde(default)]
    pub max_error: Option<f32>,
}

impl Measurement {
    /// From the seconds of all runs, the shortest first. `names` are those of shape, kernel and strategy; `least` are the
    /// seconds that the roofs allow.
    pub(super) fn new(
        names: [&str; 3],
        times: &[f64],
        cost: Cost,
        least: f64,
        max_error: Option<f32>,
    ) -> Self {
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        let median = at(0.5).max(1e-9);
        let bytes = cost.read + cost.written;
        let [shape, kernel, strategy] = names.map(String::from);
        Self {
            shape,
            kernel,
            strategy,
            median_us: median * 1e6,
            quarter_us: at(0.25) * 1e6,
            three_quarters_us: at(0.75) * 1e6,
            runs: times.len(),
            bytes,
            operations: cost.operations,
            gb_per_s: bytes as f64 / median * 1e-9,
            gflop_per_s: cost.operations as f64 / median * 1e-9,
            share_of_roof: least / median,
            max_error,
        }
    }
}

/// A strategy without a figure, for it is wrong or does not run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    /// The shape, in words.
    pub shape: String,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// What is wrong.
    pub reason: String,
}

/// Seconds that the runs of one strategy take together, and the counts of runs between which that is sought.
const SECONDS: f64 = 0.12;
const RUNS: std::ops::RangeInclusive<usize> = 7..=101;

/// Checks and times every strategy that the device offers for `shape`.
///
/// # Errors
/// When the device fails other than by a kernel that does not compile.
pub fn measure(
    gpu: &Arc<Gpu>,
    roofs: &Roofs,
    shape: &Shape,
) -> Result<Vec<std::result::Result<Measurement, Refused>>> {
    let mut table = shape.table(gpu)?;
    let mut found = vec![];
    for case in &mut table.cases {
        let kernel = Arc::clone(&case.kernel);
        for (index, strategy) in gpu.strategies(&*kernel)?.iter().enumerate() {
            let refused = |reason: String| {
                let (kernel, strategy) = (kernel.name().into(), strategy.name.into());
                Err(Refused { shape: shape.what.clone(), kernel, strategy, reason })
            };
            let max_error = match check_case(gpu, case, index) {
                Ok(comparison) => match comparison.divergence {
                    None => comparison.max_error,
                    Some(divergence) => {
                        found.push(refused(divergence.to_string()));
                        continue;
                    }
                },
                Err(error @ Error::Kernel { .. }) => {
                    found.push(refused(error.to_string()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let entry = Entry { label: shape.what.clone(), kernel: Arc::clone(&kernel) };
            let program = Program::compile_entries(gpu, &[entry], |all| all.swap_remove(index))?;
            let times = times(gpu, &program)?;
            let cost = kernel.cost(shape.context);
            let least = roofs.seconds(cost, gpu.capabilities().storage);
            let names = [&*shape.what, kernel.name(), strategy.name];
            found.push(Ok(Measurement::new(names, &times, cost, least, Some(max_error))));
        }
    }
    Ok(found)
}

/// Seconds of each run, the shortest first. The check before has warmed the kernel up.
pub(super) fn times(gpu: &Gpu, program: &Program) -> Result<Vec<f64>> {
    let mut all: Vec<f64> = vec![];
    while all.len() < *RUNS.start() || (all.iter().sum::<f64>() < SECONDS && all.len() < *RUNS.end()) {
        all.extend(program.profile(gpu)?);
    }
    all.sort_by(f64::total_cmp);
    Ok(all)
}

/// A measurement beside an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The shape, in words.
    pub shape: String,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// Median then, microseconds.
    pub before_us: f64,
    /// Median now.
    pub now_us: f64,
}

impl Change {
    /// Time now by time then.
    pub fn factor(&self) -> f64 {
        self.now_us / self.before_us
    }
}

/// What is in both lists, the worst change first.
pub fn changes(before: &[Measurement], now: &[Measurement]) -> Vec<Change> {
    let key = |m: &Measurement| (m.shape.clone(), m.kernel.clone(), m.strategy.clone());
    let mut all: Vec<_> = now
        .iter()
        .filter_map(|now| {
            let before = before.iter().find(|before| key(before) == key(now) && before.median_us > 0.0)?;
            let (shape, kernel, strategy) = key(now);
            Some(Change { shape, kernel, strategy, before_us: before.median_us, now_us: now.median_us })
        })
        .collect();
    all.sort_by(|a, b| b.factor().total_cmp(&a.factor()));
    all
}

/// What `before` has of the shapes that are `asked` for and `now` has not: names of shape, kernel and strategy.
pub fn vanished(
    before: &[Measurement],
    now: &[Measurement],
    asked: impl Fn(&str) -> bool,
) -> Vec<[String; 3]> {
    let key = |m: &Measurement| [m.shape.clone(), m.kernel.clone(), m.strategy.clone()];
    let there: std::collections::BTreeSet<_> = now.iter().map(key).collect();
    before.iter().filter(|m| asked(&m.shape)).map(key).filter(|names| !there.contains(names)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(shape: &str, strategy: &str, median_us: f64) -> Measurement {
        Measurement {
            shape: shape.into(),
            kernel: "product".into(),
            strategy: strategy.into(),
            median_us,
            quarter_us: median_us,
            three_quarters_us: median_us,
            runs: 7,
            bytes: 1,
            operations: 1,
            gb_per_s: 1.0,
            gflop_per_s: 1.0,
            share_of_roof: 0.5,
            max_error: None,
        }
    }

    #[test]
    fn changes_are_found_by_shape_and_strategy() {
        let before = [measurement("a", "x", 10.0), measurement("a", "y", 10.0), measurement("b", "x", 5.0)];
        let now = [measurement("a", "x", 8.0), measurement("a", "y", 15.0), measurement("c", "x", 99.0)];
        let found: Vec<_> =
            changes(&before, &now).iter().map(|change| (change.strategy.clone(), change.factor())).collect();
        assert_eq!(found, [("y".to_owned(), 1.5), ("x".to_owned(), 0.8)]);
        let gone = |asked: fn(&str) -> bool| vanished(&before, &now, asked).len();
        assert_eq!((gone(|_| true), gone(|shape| shape == "a")), (1, 0));
        assert_eq!(vanished(&before, &now, |_| true)[0], ["b", "product", "x"]);
    }
}
