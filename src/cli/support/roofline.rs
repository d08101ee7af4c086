//! `kaiwu explain --roofline`: the rate that memory, arithmetic and dispatches allow at most.

use super::output::{count, size, table};
use crate::Result;
use crate::cli::support::failure::usage;
use crate::gpu::Device;
use crate::workbench::{Limit, PaperAdapter, StepCost, measure_roofs};
use clap::Args;
use serde_json::{Value, json};

/// Figures of an adapter that may not be here.
#[derive(Debug, Args)]
pub(in crate::cli) struct RooflineArguments {
    /// Say which rate memory and dispatches allow at most, as measured here, or as given
    #[arg(long)]
    pub roofline: bool,
    /// Memory bandwidth of an adapter, 10^9 bytes a second
    #[arg(long, value_name = "GB/s", requires = "roofline", value_parser = positive)]
    bandwidth: Option<f64>,
    /// Time of a dispatch that waits for the one before, microseconds
    #[arg(long, value_name = "N", requires = "roofline", value_parser = positive_or_zero)]
    dispatch_us: Option<f64>,
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    positive_or_zero(text)
        .and_then(|value| if value > 0.0 { Ok(value) } else { Err("must be above 0".into()) })
}

fn positive_or_zero(text: &str) -> std::result::Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err("must be a number from 0 on".into())
    }
}

impl RooflineArguments {
    /// The adapter asked about: what is given, and for the rest what is measured on `device`.
    pub(in crate::cli) fn adapter(&self, device: &Device) -> Result<PaperAdapter> {
        let (gb_per_s, dispatch_us) = match (self.bandwidth, self.dispatch_us, device) {
            (Some(gb_per_s), Some(dispatch_us), _) => (gb_per_s, dispatch_us),
            (_, _, Device::Reference) => {
                let message = "without a device --roofline needs --bandwidth and --dispatch-us";
                return Err(usage(message.into()));
            }
            (bandwidth, dispatch_us, Device::Gpu(gpu)) => {
                let roofs = measure_roofs(gpu)?;
                let measured = roofs.dispatch_us + roofs.dependent_dispatch_us;
                let gb_per_s = roofs.read_gb_per_s(gpu.capabilities().storage);
                let gflop_per_s = bandwidth.is_none().then_some(roofs.multiply_add_gflop_per_s);
                return Ok(PaperAdapter {
                    gb_per_s: bandwidth.unwrap_or(gb_per_s),
                    // Another memory is another adapter, whose arithmetic is not known.
                    gflop_per_s,
                    dispatch_us: dispatch_us.unwrap_or(measured),
                });
            }
        };
        Ok(PaperAdapter { gb_per_s, gflop_per_s: None, dispatch_us })
    }
}

/// Cost and limit as a program reads them.
pub(in crate::cli) fn as_json(cost: &StepCost, adapter: &PaperAdapter) -> Value {
    json!({
        "cost": cost, "moved_by_necessary": cost.moved_by_necessary(), "adapter": adapter,
        "limit": cost.limit(adapter),
    })
}

/// And as people do.
pub(in crate::cli) fn as_text(cost: &StepCost, adapter: &PaperAdapter) -> String {
    let Limit { memory_s, arithmetic_s, dispatch_s, tokens_per_s, .. } = cost.limit(adapter);
    let ms = |seconds: f64| format!("{:.3} ms", seconds * 1e3);
    let row = |what: &str, amount: String, time: String, how: String| {
        vec![what.to_owned(), amount, time, how]
    };
    let mut rows = vec![
        row(
            "must be moved",
            size(cost.necessary_bytes),
            String::new(),
            "weights as in the file, and the cache".into(),
        ),
        row(
            "our kernels move",
            size(cost.moved_bytes),
            ms(memory_s),
            format!("{:.3} of that, at {:.1} GB/s", cost.moved_by_necessary(), adapter.gb_per_s),
        ),
        row(
            "and read again",
            size(cost.read_again_bytes),
            String::new(),
            "from caches: not in the limit".into(),
        ),
    ];
    let operations = count(cost.operations);
    rows.push(match adapter.gflop_per_s {
        Some(rate) => row(
            "operations",
            operations,
            ms(arithmetic_s),
            format!("at {rate:.1} GFLOP/s, beside the moving"),
        ),
        None => row("operations", operations, String::new(), "not in the limit".into()),
    });
    rows.push(row(
        "dispatches",
        cost.dispatches.to_string(),
        ms(dispatch_s),
        format!("at {:.1} us, each after the one before", adapter.dispatch_us),
    ));
    let rows: Vec<_> = rows
        .into_iter()
        .map(|cells| {
            let [what, amount, time, how] = <[String; 4]>::try_from(cells).unwrap_or_default();
            vec![what, format!("{amount:>11}"), format!("{time:>11}"), how]
        })
        .collect();
    format!("{}\nat most {tokens_per_s:.1} tokens/s\n", table(&rows, 4))
}
