//! An axis: from values to pixels, and the values that are marked on it.

/// A linear or logarithmic mapping from values to pixels.
pub(crate) struct Axis {
    /// The value at the first pixel.
    pub from: f64,
    /// The value at the last pixel.
    pub to: f64,
    /// The first and the last pixel.
    pub pixels: (f64, f64),
    /// Whether equal distances are equal ratios of values.
    pub logarithmic: bool,
}

impl Axis {
    /// A logarithmic axis from a round number below all `values` to one above them. Values that are
    /// not positive are left out.
    pub fn around(values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            low = low.min(value / 1.15);
            high = high.max(value * 1.15);
        }
        let round = |value: f64, up: bool| {
            let power = 10f64.powf(value.log10().floor());
            let mut steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter();
            if up { steps.find(|step| *step >= value) } else { steps.rfind(|step| *step <= value) }
        };
        let (from, to) = match (round(low, false), round(high, true)) {
            (Some(low), Some(high)) if low < high => (low, high),
            _ => (1.0, 10.0),
        };
        Self { from, to, pixels, logarithmic: true }
    }

    /// The pixel of a value; values beyond an end are drawn at that end.
    pub fn at(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.pixels.0 + share.clamp(0.0, 1.0) * (self.pixels.1 - self.pixels.0)
    }

    /// Values to mark, and whether they are labelled.
    pub fn ticks(&self) -> Vec<(f64, bool)> {
        if self.logarithmic {
            // Short axes contain few powers of ten.
            let named: &[u32] = if self.to / self.from < 100.0 { &[1, 2, 5] } else { &[1] };
            let powers = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
            let all = powers.flat_map(|power| {
                (1..=9).map(move |n| (f64::from(n) * 10f64.powi(power), named.contains(&n)))
            });
            return all
                .filter(|(value, _)| (self.from * 0.999..=self.to * 1.001).contains(value))
                .collect();
        }
        let span = self.to - self.from;
        let power = 10f64.powf((span / 5.0).log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| span / step <= 6.0);
        let step = step.unwrap_or(span);
        let first = (self.from / step - 1e-9).ceil() as i64;
        let last = (self.to / step + 1e-9).floor() as i64;
        (first..=last).map(|n| (n as f64 * step, true)).collect()
    }
}

/// The label of a value on an axis.
pub(crate) fn label(value: f64) -> String {
    match value.abs() {
        10_000.0.. if value % 1000.0 == 0.0 => format!("{} 000", value / 1000.0),
        _ => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().filter(|tick| tick.1).map(|tick| label(tick.0)).collect()
    }

    #[test]
    fn axes_have_round_ticks() {
        let axis = |from, to, logarithmic| Axis { from, to, pixels: (0.0, 100.0), logarithmic };
        assert_eq!(labels(&axis(1.0, 10_000.0, true)), ["1", "10", "100", "1000", "10 000"]);
        assert_eq!(labels(&axis(0.0, 1.0, false)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&axis(0.0, 48.0, false)), ["0", "10", "20", "30", "40"]);
        assert_eq!(labels(&axis(150.0, 4000.0, true)), ["200", "500", "1000", "2000"]);
        assert_eq!(axis(1.0, 100.0, true).at(10.0), 50.0);
        assert_eq!(axis(1.0, 100.0, true).at(0.0), 0.0);
    }

    #[test]
    fn an_axis_around_values_holds_them() {
        let axis = Axis::around([0.03, 70.0].into_iter(), (0.0, 100.0));
        assert_eq!((axis.from, axis.to), (0.02, 100.0));
        assert!(axis.at(0.2) < axis.at(2.0) && axis.at(1e9) == 100.0 && axis.at(1e-9) == 0.0);
        let step = |a, b| axis.at(b) - axis.at(a);
        assert!((step(0.1, 1.0) - step(1.0, 10.0)).abs() < 1e-9);
        assert_eq!(labels(&axis), ["0.1", "1", "10", "100"]);
        assert_eq!(Axis::around([].into_iter(), (0.0, 1.0)).to, 10.0);
    }
}
