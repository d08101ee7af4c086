//! `--profile`: where the time of a command's kernels went.

use super::output::table;
use crate::model::profile::{Timing, by_kernel, trace};
use crate::{Error, Result};
use std::path::Path;

/// Prints the table on standard error, and writes the trace if a file is given.
pub(super) fn report(timings: &[Timing], file: Option<&Path>, adapter: &str) -> Result<()> {
    let heading = ["kernel", "calls", "total ms", "mean us", "share", "GB/s", "GFLOP/s"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    for row in by_kernel(timings) {
        rows.push(vec![
            row.kernel.to_owned(),
            row.calls.to_string(),
            format!("{:.2}", row.seconds * 1e3),
            format!("{:.1}", row.seconds / row.calls as f64 * 1e6),
            format!("{:.1} %", row.share * 100.0),
            format!("{:.2}", row.gb_per_s),
            format!("{:.2}", row.gflop_per_s),
        ]);
    }
    eprint!("\n{}", table(&rows, 1));
    let Some(file) = file else { return Ok(()) };
    let write = std::fs::write(file, format!("{}\n", trace(timings, adapter)));
    write.map_err(Error::io("write", file))
}
