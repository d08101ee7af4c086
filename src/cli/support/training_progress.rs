//! The progress of a training on standard error: a bar or, where that is not a terminal, a line
//! from time to time.

use super::progress::BETWEEN_LINES;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// The steps done, the rate, the remaining time, and the latest score.
pub(in crate::cli) struct TrainingProgress {
    bar: ProgressBar,
    /// The current run, if there are several: its name, the steps before it, and its own steps.
    run: RefCell<(String, u64, u64)>,
    total: u64,
    /// Whether training may end before its last step.
    at_most: bool,
    news: RefCell<String>,
    since: Instant,
    /// Steps done, in total and since this process started.
    done: Cell<u64>,
    taken: Cell<u64>,
    told: Cell<Instant>,
    in_lines: bool,
}

impl TrainingProgress {
    /// Shows progress over `total` steps, of which `done` were taken before.
    pub(in crate::cli) fn new(total: u64, done: u64, at_most: bool) -> Self {
        let bar = ProgressBar::new(total).with_position(done);
        // The template is constant and valid; otherwise the bar would have its default form.
        let style = ProgressStyle::with_template("{bar:20} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let now = Instant::now();
        Self {
            bar,
            run: RefCell::new((String::new(), 0, total)),
            total,
            at_most,
            news: RefCell::default(),
            since: now,
            done: Cell::new(done),
            taken: Cell::new(0),
            told: Cell::new(now),
            in_lines: !std::io::stderr().is_terminal(),
        }
    }

    /// Begins another run, of which `done` of its `steps` are done; the runs before it had `before`
    /// steps.
    pub(in crate::cli) fn run(&self, name: String, before: u64, steps: u64, done: u64) {
        *self.run.borrow_mut() = (name, before, steps);
        self.news.take();
        self.done.set(before + done);
    }

    /// Sets the number of steps of the current run that are done.
    pub(in crate::cli) fn step(&self, done: u64) {
        let all = self.run.borrow().1 + done;
        self.taken.set(self.taken.get() + all.saturating_sub(self.done.get()));
        self.done.set(all);
        self.bar.set_position(all);
        let text = self.text(self.since.elapsed());
        if self.in_lines && self.told.get().elapsed() >= BETWEEN_LINES {
            self.told.set(Instant::now());
            eprintln!("kaiwu: {text}");
        }
        self.bar.set_message(text);
    }

    /// Sets the latest score.
    pub(in crate::cli) fn news(&self, news: String) {
        self.news.replace(news);
        self.step(self.done.get() - self.run.borrow().1);
    }

    fn text(&self, elapsed: Duration) -> String {
        let (name, before, steps) = &*self.run.borrow();
        let step = self.done.get() - before;
        let rate = self.taken.get() as f64 / elapsed.as_secs_f64();
        let mut text = format!("{name}step {step} of {steps}");
        if self.taken.get() > 0 && elapsed > Duration::ZERO {
            let left = time((self.total - self.done.get().min(self.total)) as f64 / rate);
            let most = if self.at_most { "at most " } else { "" };
            text += &format!(", {rate:.*} steps/s, {most}{left} left", usize::from(rate < 100.0));
        }
        let news = self.news.borrow();
        if !news.is_empty() {
            text += &format!("; {news}");
        }
        text
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Formats seconds in suitable units.
fn time(seconds: f64) -> String {
    match seconds {
        0.0..120.0 => format!("{seconds:.0} s"),
        120.0..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_tells_speed_and_time_left() {
        let course = TrainingProgress::new(1000, 400, true);
        assert_eq!(course.text(Duration::from_secs(1)), "step 400 of 1000");
        course.step(450);
        course.news("validation 0.5".into());
        let text = course.text(Duration::from_secs(10));
        assert_eq!(text, "step 450 of 1000, 5.0 steps/s, at most 110 s left; validation 0.5");
        // Steps that an early end skipped were not taken; those of later runs are still to come.
        let course = TrainingProgress::new(3000, 0, true);
        course.run("run 1 of 3, ".into(), 0, 1000, 0);
        course.step(200);
        course.run("run 2 of 3, ".into(), 1000, 1000, 0);
        course.step(50);
        let text = course.text(Duration::from_secs(1));
        assert_eq!(text, "run 2 of 3, step 50 of 1000, 250 steps/s, at most 8 s left");
        assert_eq!([time(119.0), time(130.0), time(9000.0)], ["119 s", "2 min", "2 h"]);
    }
}
