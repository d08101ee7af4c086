//! The result of a profiled run: each dispatch with its cost and time, and two summaries.

use crate::gpu::Cost;
use serde::Serialize;
use serde_json::{Value, json};

/// One dispatch of a profiled step.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Number of tokens in the step that the dispatch belongs to.
    pub tokens: usize,
    /// For instance "blk.3.attn_output".
    pub label: String,
    /// The kernel's name.
    pub kernel: &'static str,
    /// Bytes that it has to move and operations that it has to compute.
    pub cost: Cost,
    /// Time on the device, or the time of a whole submission where the adapter has no timestamps.
    pub seconds: f64,
}

/// The calls of one kernel, added up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTime {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Number of dispatches.
    pub calls: usize,
    /// Total time of all dispatches, in seconds.
    pub seconds: f64,
    /// Share of the time of all kernels, 0 to 1.
    pub share: f64,
    /// Bytes read and written a second, each operand counted once, in 10^9.
    pub gb_per_s: f64,
    /// Floating-point operations a second, in 10^9.
    pub gflop_per_s: f64,
    /// The least time that the adapter's peak rates allow, divided by the measured time; 0 where
    /// the peak rates are not known.
    pub share_of_roof: f64,
}

/// Sums by kernel, the most expensive first. `least` gives the least seconds that the adapter's
/// peak rates allow for a dispatch; 0 where they are not known.
pub fn by_kernel(timings: &[Timing], least: impl Fn(Cost) -> f64) -> Vec<KernelTime> {
    let total: f64 = timings.iter().map(|timing| timing.seconds).sum();
    let per = |amount: f64, seconds: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
    let mut names: Vec<_> = timings.iter().map(|timing| timing.kernel).collect();
    names.sort_unstable();
    names.dedup();
    let mut rows: Vec<_> = names
        .into_iter()
        .map(|kernel| {
            let calls = || timings.iter().filter(|timing| timing.kernel == kernel);
            let seconds = calls().map(|timing| timing.seconds).sum();
            let cost: Cost = calls().map(|timing| timing.cost).sum();
            KernelTime {
                kernel,
                calls: calls().count(),
                seconds,
                share: per(seconds, total),
                gb_per_s: per((cost.read + cost.written) as f64 * 1e-9, seconds),
                gflop_per_s: per(cost.operations as f64 * 1e-9, seconds),
                share_of_roof: per(calls().map(|timing| least(timing.cost)).sum(), seconds),
            }
        })
        .collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    rows
}

/// The dispatches in Chrome's trace event format, which Perfetto reads: one row of dispatches,
/// placed end to end, and one row of steps above it. Idle time between dispatches is not shown.
pub fn trace(timings: &[Timing], adapter: &str) -> Value {
    const STEPS: u32 = 1;
    const DISPATCHES: u32 = 2;
    let name = |thread: u32, name: &str| json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": thread, "args": {"name": name}});
    let span = |thread: u32, name: &str, start: f64, end: f64, args: Value| {
        let (ts, dur) = (start * 1e6, (end - start) * 1e6);
        json!({"ph": "X", "name": name, "pid": 1, "tid": thread, "ts": ts, "dur": dur, "args": args})
    };
    let mut events = vec![
        json!({"ph": "M", "name": "process_name", "pid": 1, "args": {"name": adapter}}),
        name(STEPS, "steps"),
        name(DISPATCHES, "dispatches"),
    ];
    let mut at = 0.0;
    // A step begins with the embedding; a training step begins with sampling its batch.
    let begins = |timing: &Timing| ["embed", "sample_batch"].contains(&timing.kernel);
    let steps = timings.chunk_by(|before, after| begins(before) || !begins(after));
    for step in steps {
        let start = at;
        for Timing { label, kernel, cost, seconds, .. } in step {
            let args = json!({
                "kernel": kernel, "read_bytes": cost.read, "written_bytes": cost.written,
                "operations": cost.operations,
            });
            events.push(span(DISPATCHES, label, at, at + seconds, args));
            at += seconds;
        }
        let what = format!("step of {}", step[0].tokens);
        events.push(span(STEPS, &what, start, at, json!({"tokens": step[0].tokens})));
    }
    json!({"displayTimeUnit": "ms", "traceEvents": events})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(kernel: &'static str, seconds: f64) -> Timing {
        let cost = Cost { read: 6_000_000, written: 2_000_000, operations: 4_000_000 };
        Timing { tokens: 1, label: format!("blk.0.{kernel}"), kernel, cost, seconds }
    }

    #[test]
    fn kernels_are_summed() {
        let rows = by_kernel(
            &[timing("embed", 0.001), timing("matmul", 0.002), timing("matmul", 0.001)],
            |cost| (cost.read + cost.written) as f64 / 80e9,
        );
        let product = &rows[0];
        assert_eq!((rows.len(), product.kernel, product.calls), (2, "matmul", 2));
        for (found, expected) in [
            (product.seconds, 0.003),
            (product.share, 0.75),
            (product.gb_per_s, 16.0 / 3.0),
            (product.gflop_per_s, 8.0 / 3.0),
            (rows[1].gb_per_s, 8.0),
            (rows[1].share_of_roof, 0.1),
            (product.share_of_roof, 0.2 / 3.0),
        ] {
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
        assert_eq!(by_kernel(&[], |_| 0.0), vec![]);
        assert_eq!(by_kernel(&[timing("embed", 0.0)], |_| 1.0)[0].gb_per_s, 0.0);
    }

    #[test]
    fn a_trace_lays_dispatches_end_to_end() {
        let timings = [timing("embed", 0.5), timing("matmul", 1.0), timing("embed", 0.25)];
        let trace = trace(&timings, "some adapter");
        let events = trace["traceEvents"].as_array().unwrap();
        let spans = |thread: u32| {
            let all =
                events.iter().filter(move |event| event["ph"] == "X" && event["tid"] == thread);
            all.map(|event| (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(spans(2), [(0.0, 0.5e6), (0.5e6, 1e6), (1.5e6, 0.25e6)]);
        assert_eq!(spans(1), [(0.0, 1.5e6), (1.5e6, 0.25e6)]);
    }
}
