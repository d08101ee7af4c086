//! `--profile`: where the time of a command's kernels went.

use super::output::table;
use crate::Result;
use crate::files::write_whole;
use crate::gpu::Device;
use crate::model::profile::{Timing, by_kernel, trace};
use crate::workbench::measure_roofs;
use clap::Args;
use std::path::PathBuf;

/// Whether kernels are timed one by one.
#[derive(Debug, Args)]
pub(in crate::cli) struct ProfileArgument {
    /// Time each kernel and print a table on standard error; with a file name, also write a trace
    /// for Perfetto or chrome://tracing. Slower, for kernels run one at a time
    #[arg(long, value_name = "FILE.json", num_args = 0..=1, require_equals = true)]
    profile: Option<Option<PathBuf>>,
}

impl ProfileArgument {
    /// Whether it is asked for.
    pub(in crate::cli) fn wanted(&self) -> bool {
        self.profile.is_some()
    }

    /// Prints the table on standard error, and writes the trace if a file is given. Measures the
    /// roofs of `device` for it.
    pub(in crate::cli) fn report(&self, timings: &[Timing], device: &Device) -> Result<()> {
        let (Some(file), Device::Gpu(gpu)) = (&self.profile, device) else { return Ok(()) };
        let roofs = measure_roofs(gpu)?;
        let storage = gpu.capabilities().storage;
        let heading =
            ["kernel", "calls", "total ms", "mean us", "share", "GB/s", "GFLOP/s", "of roof"];
        let mut rows = vec![heading.map(String::from).to_vec()];
        for row in by_kernel(timings, |cost| roofs.seconds(cost, storage)) {
            rows.push(vec![
                row.kernel.to_owned(),
                row.calls.to_string(),
                format!("{:.2}", row.seconds * 1e3),
                format!("{:.1}", row.seconds / row.calls as f64 * 1e6),
                format!("{:.1} %", row.share * 100.0),
                format!("{:.2}", row.gb_per_s),
                format!("{:.2}", row.gflop_per_s),
                format!("{:.0} %", row.share_of_roof * 100.0),
            ]);
        }
        eprint!(
            "\n{}roofs: {:.1} GB/s, {:.1} GFLOP/s\n",
            table(&rows, 1),
            roofs.read_gb_per_s(storage),
            roofs.multiply_add_gflop_per_s
        );
        let Some(file) = file else { return Ok(()) };
        write_whole(file, format!("{}\n", trace(timings, device.name())))
    }
}
