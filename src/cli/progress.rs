//! A bar on standard error for what takes long; nothing where standard error is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// A log, which shows no bar, gets a line so often.
pub(super) const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Waits shorter than this need no bar.
const PATIENCE: Duration = Duration::from_millis(400);

pub(super) struct Progress {
    bar: ProgressBar,
    since: Instant,
    shown: bool,
}

impl Progress {
    /// A bar over `total` bytes.
    pub(super) fn bytes(what: &'static str, total: u64) -> Self {
        let template = "{prefix} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        Self::new(what, total, template)
    }

    /// A bar over `total` tokens.
    pub(super) fn tokens(what: &'static str, total: u64) -> Self {
        Self::new(what, total, "{prefix} {bar:30} {pos}/{len} tokens, {per_sec}, {eta} left")
    }

    /// A bar over `total` things to do.
    pub(super) fn count(what: &'static str, total: u64) -> Self {
        Self::new(what, total, "{prefix} {bar:30} {pos}/{len}, {eta} left")
    }

    /// A bar over `total` small steps that say nothing themselves.
    pub(super) fn percent(what: &'static str, total: u64) -> Self {
        Self::new(what, total, "{prefix} {bar:30} {percent} %, {eta} left")
    }

    /// A bar over `total` seconds.
    pub(super) fn seconds(what: &'static str, total: u64) -> Self {
        Self::new(what, total, "{prefix} {bar:30} {pos}/{len} s, {eta} left")
    }

    fn new(what: &'static str, total: u64, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()).with_prefix(what);
        // The templates are ours and parse; without one the bar has its default form.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { bar, since: Instant::now(), shown: false }
    }

    /// `done` of the total is done.
    pub(super) fn set(&mut self, done: u64) {
        if !self.shown && self.since.elapsed() > PATIENCE {
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
