//! A progress bar on standard error. A terminal without cursor movement (TERM=dumb) gets a line
//! from time to time, and there is no output if standard error is not a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Time between two lines where no bar can be shown.
pub(in crate::cli) const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Waits shorter than this need no bar.
const PATIENCE: Duration = Duration::from_millis(400);

pub(in crate::cli) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    since: Instant,
    shown: bool,
    /// When the last line was printed, on a terminal that shows lines only.
    lines: Option<Instant>,
}

impl Progress {
    /// A bar over `total` bytes.
    pub(in crate::cli) fn bytes(what: &'static str, total: u64) -> Self {
        let template = "{prefix} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        Self::new(what, total, template)
    }

    /// A bar over `total` tokens.
    pub(in crate::cli) fn tokens(what: &'static str, total: u64) -> Self {
        Self::new(what, total, "{prefix} {bar:30} {pos}/{len} tokens, {rate}/s, {eta} left")
    }

    /// A bar over `total` items.
    pub(in crate::cli) fn count(what: &'static str, total: u64) -> Self {
        Self::new(what, total, "{prefix} {bar:30} {pos}/{len}, {eta} left")
    }

    /// A bar over `total` small steps, shown as a percentage.
    pub(in crate::cli) fn percent(what: &'static str, total: u64) -> Self {
        Self::new(what, total, "{prefix} {bar:30} {percent} %, {eta} left")
    }

    /// A bar over `total` seconds.
    pub(in crate::cli) fn seconds(what: &'static str, total: u64) -> Self {
        Self::new(what, total, "{prefix} {bar:30} {pos}/{len} s, {eta} left")
    }

    fn new(what: &'static str, total: u64, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden())
            .with_prefix(what);
        // The templates are constant and valid; otherwise the bar would have its default form.
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let rate = |state: &ProgressState, text: &mut dyn Write| {
            // Writing to this text cannot fail.
            let _ = text.write_str(&short(state.per_sec()));
        };
        bar.set_style(style.with_key("rate", rate));
        let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let lines = (dumb && std::io::stderr().is_terminal()).then(Instant::now);
        Self { bar, what, since: Instant::now(), shown: false, lines }
    }

    /// Sets how much of the total is done.
    pub(in crate::cli) fn set(&mut self, done: u64) {
        if self.lines.is_some_and(|last| last.elapsed() > BETWEEN_LINES) {
            let share = done as f64 / self.bar.length().unwrap_or(0).max(1) as f64;
            let left = left(self.since.elapsed(), share);
            eprintln!(
                "kaiwu: {}: {:.0} %, about {} s left",
                self.what,
                share * 100.0,
                left.as_secs().max(1)
            );
            self.lines = Some(Instant::now());
        }
        if self.lines.is_none() && !self.shown && self.since.elapsed() > PATIENCE {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Formats a rate with about three digits.
fn short(rate: f64) -> String {
    format!("{rate:.*}", if rate < 10.0 { 1 } else { 0 })
}

/// Estimates the remaining time from the time that this `share` took.
fn left(so_far: Duration, share: f64) -> Duration {
    Duration::try_from_secs_f64(so_far.as_secs_f64() * (1.0 / share.max(1e-6) - 1.0))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times_are_short() {
        let rates = [161.7311, 1234.5, 3.07, 0.0].map(short);
        assert_eq!(rates, ["162", "1234", "3.1", "0.0"]);
        let ten = Duration::from_secs(10);
        assert_eq!([left(ten, 0.25), left(ten, 1.0)], [Duration::from_secs(30), Duration::ZERO]);
        assert!(left(ten, 0.0) > Duration::from_secs(1 << 20) && left(ten, 2.0).is_zero());
    }
}
