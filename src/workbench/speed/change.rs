//! Figures compared with earlier ones: what became slower, and not only because the machine has
//! other things to do.

use super::timing::Measurement;
use serde::Serialize;

/// A measurement compared with an earlier one.
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
    /// How many times as long the machine takes now for fixed work, at least 1.
    pub busier: f64,
    /// Whether the middle halves of the runs lie apart, those of now above those of then, were the
    /// machine as busy as then.
    pub apart: bool,
}

impl Change {
    /// What two measurements of one call show.
    pub fn new(before: &Measurement, now: &Measurement) -> Self {
        let busier = match (before.yardstick_us, now.yardstick_us) {
            (Some(before), Some(now)) => {
                let ratios = before.into_iter().zip(now).filter(|(before, _)| *before > 0.0);
                ratios.map(|(before, now)| now / before).fold(1.0, f64::max)
            }
            _ => 1.0,
        };
        Self {
            shape: now.shape.clone(),
            kernel: now.kernel.clone(),
            strategy: now.strategy.clone(),
            before_us: before.median_us,
            now_us: now.median_us,
            busier,
            apart: now.quarter_us / busier > before.three_quarters_us,
        }
    }

    /// Time now by time then, were the machine as busy as then.
    pub fn factor(&self) -> f64 {
        self.now_us / self.before_us / self.busier
    }

    /// Whether it takes longer by more than `tolerance`, and its runs do not mix with those of
    /// then.
    pub fn is_slower(&self, tolerance: f64) -> bool {
        self.apart && self.factor() > 1.0 + tolerance
    }
}

/// Whether both are of the same call.
fn alike(a: &Measurement, b: &Measurement) -> bool {
    (&a.shape, &a.kernel, &a.strategy) == (&b.shape, &b.kernel, &b.strategy)
}

/// What is in both lists, the worst change first.
pub fn changes(before: &[Measurement], now: &[Measurement]) -> Vec<Change> {
    let with = |now: &Measurement| {
        let before = before.iter().find(|before| alike(before, now) && before.median_us > 0.0)?;
        Some(Change::new(before, now))
    };
    let mut all: Vec<_> = now.iter().filter_map(with).collect();
    all.sort_by(|a, b| b.factor().total_cmp(&a.factor()));
    all
}

/// Measures what became slower `again`, in up to so many `rounds` after a `pause` each, and puts
/// the better figure of each call into `now`: a moment that was busy passes, and what is slower
/// stays slower. Gives the number of calls that were no longer slower then.
///
/// # Errors
/// What `again` fails with.
pub fn settle<E>(
    before: &[Measurement],
    now: &mut [Measurement],
    tolerance: f64,
    rounds: usize,
    pause: impl Fn(usize),
    mut again: impl FnMut(&Measurement) -> Result<Option<Measurement>, E>,
) -> Result<usize, E> {
    let mut settled = 0;
    for round in 0..rounds {
        let mut paused = false;
        for now in now.iter_mut() {
            let Some(before) =
                before.iter().find(|before| alike(before, now) && before.median_us > 0.0)
            else {
                continue;
            };
            let change = Change::new(before, now);
            if !change.is_slower(tolerance) {
                continue;
            }
            if !paused {
                pause(round);
                paused = true;
            }
            let Some(other) = again(now)? else { continue };
            let better = Change::new(before, &other);
            settled += usize::from(!better.is_slower(tolerance));
            if !better.is_slower(tolerance) || better.factor() < change.factor() {
                *now = other;
            }
        }
    }
    Ok(settled)
}

/// What `before` has of the shapes that are `asked` for and `now` has not: names of shape, kernel
/// and strategy.
pub fn vanished(
    before: &[Measurement],
    now: &[Measurement],
    asked: impl Fn(&str) -> bool,
) -> Vec<[String; 3]> {
    let key = |m: &Measurement| [m.shape.clone(), m.kernel.clone(), m.strategy.clone()];
    let there: std::collections::BTreeSet<_> = now.iter().map(key).collect();
    before
        .iter()
        .filter(|m| asked(&m.shape))
        .map(key)
        .filter(|names| !there.contains(names))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::timing::Least;
    use super::*;

    fn measurement(shape: &str, strategy: &str, us: f64) -> Measurement {
        let least = Least { bytes: Some(1), operations: 1, seconds: Some(1e-6) };
        let times = [0.95, 0.95, 1.0, 1.05, 1.05].map(|factor| factor * us * 1e-6);
        Measurement {
            yardstick_us: Some([100.0, 10.0]),
            ..Measurement::new([shape, "matmul", strategy], &times, &least)
        }
    }

    #[test]
    fn changes_are_found_by_shape_and_strategy() {
        let before =
            [measurement("a", "x", 10.0), measurement("a", "y", 10.0), measurement("b", "x", 5.0)];
        let now =
            [measurement("a", "x", 8.0), measurement("a", "y", 15.0), measurement("c", "x", 99.0)];
        let found: Vec<_> = changes(&before, &now)
            .iter()
            .map(|change| (change.strategy.clone(), change.factor()))
            .collect();
        assert_eq!(found.len(), 2);
        for ((strategy, factor), (expected, other)) in found.iter().zip([("y", 1.5), ("x", 0.8)]) {
            assert!(strategy == expected && (factor - other).abs() < 1e-9, "{found:?}");
        }
        let gone = |asked: fn(&str) -> bool| vanished(&before, &now, asked).len();
        assert_eq!((gone(|_| true), gone(|shape| shape == "a")), (1, 0));
        assert_eq!(vanished(&before, &now, |_| true)[0], ["b", "matmul", "x"]);
    }

    #[test]
    fn what_is_slower_is_told_from_a_busy_machine() {
        let before = measurement("a", "x", 10.0);
        let slower = |now: &Measurement| Change::new(&before, now).is_slower(0.1);
        assert!(slower(&measurement("a", "x", 15.0)));
        assert!(!slower(&measurement("a", "x", 10.9)), "within the tolerance");
        // All takes half as long again, and so does this.
        let busy = Measurement { yardstick_us: Some([110.0, 15.0]), ..measurement("a", "x", 15.0) };
        assert!(!slower(&busy));
        assert!(!slower(&Measurement { median_us: 16.0, quarter_us: 15.9, ..busy.clone() }));
        assert!(slower(&Measurement { median_us: 25.0, quarter_us: 24.0, ..busy.clone() }));
        // A machine with less to do than then excuses nothing, and proves nothing.
        assert!(!slower(&Measurement {
            yardstick_us: Some([50.0, 5.0]),
            ..measurement("a", "x", 10.0)
        }));
        // The median is far off, but its runs are where those of then are.
        assert!(!slower(&Measurement { quarter_us: 10.0, ..measurement("a", "x", 15.0) }));
        assert!(slower(&Measurement { yardstick_us: None, ..measurement("a", "x", 15.0) }));
    }

    #[test]
    fn what_looks_slower_is_measured_again_before_it_counts() {
        let before =
            [measurement("a", "x", 10.0), measurement("a", "y", 10.0), measurement("a", "z", 10.0)];
        let begin = || {
            vec![
                measurement("a", "x", 30.0),
                measurement("a", "y", 10.0),
                measurement("a", "z", 20.0),
            ]
        };
        let mut now = begin();
        let mut asked = vec![];
        let settled = settle(
            &before,
            &mut now,
            0.1,
            3,
            |_| (),
            |m| {
                asked.push(m.strategy.clone());
                let us = if m.strategy == "x" && asked.len() > 2 { 10.0 } else { 25.0 };
                Ok::<_, ()>(Some(measurement("a", &m.strategy, us)))
            },
        );
        assert_eq!(settled, Ok(1));
        // x is itself again in the second round; z stays, with the better of its figures.
        assert_eq!(asked, ["x", "z", "x", "z", "z"]);
        assert!(
            (now[0].median_us - 10.0).abs() < 1e-6 && (now[2].median_us - 20.0).abs() < 1e-6,
            "{now:?}"
        );
        assert_eq!(
            settle(&before, &mut begin(), 0.1, 1, |_| (), |_| Err::<Option<_>, _>("lost")),
            Err("lost")
        );
    }
}
