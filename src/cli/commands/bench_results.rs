//! The results of `kaiwu bench kernels` as a table or as comma-separated values.

use crate::cli::support::output::table;
use crate::workbench::{Measurement, Roofs};

/// Shown instead of an unknown figure.
const NONE: &str = "-";

fn cells(m: &Measurement) -> [String; 8] {
    [
        m.shape.clone(),
        m.kernel.clone(),
        m.strategy.clone(),
        format!("{:.1}", m.median_us),
        format!("{:.1}..{:.1}", m.quarter_us, m.three_quarters_us),
        m.gb_per_s.map_or(NONE.into(), |rate| format!("{rate:.2}")),
        format!("{:.2}", m.gflop_per_s),
        m.share_of_roof.map_or(NONE.into(), |share| format!("{:.0} %", share * 100.0)),
    ]
}

pub(super) fn as_table(
    results: &[Measurement],
    roofs: &Roofs,
    markdown: bool,
    clock: &str,
) -> String {
    let heading = [
        "shape",
        "kernel",
        "strategy",
        "median us",
        "middle half us",
        "GB/s",
        "GFLOP/s",
        "of roof",
    ];
    if markdown {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = "|---|---|---|--:|--:|--:|--:|--:|\n";
        return line(&heading.map(String::from))
            + rule
            + &results.iter().map(|m| line(&cells(m))).collect::<String>();
    }
    let mut rows = vec![heading.map(String::from).to_vec()];
    let mut last = "";
    for m in results {
        let mut row = cells(m).to_vec();
        if m.shape == last {
            row[0].clear();
        }
        rows.push(row);
        last = &m.shape;
    }
    let texture = roofs
        .read_texture_gb_per_s
        .map_or(String::new(), |rate| format!(", textures {rate:.1} GB/s"));
    let above = if results.iter().any(|m| m.share_of_roof.is_some_and(|share| share > 1.0)) {
        "\nmore than 100 % of the roof: what is read stays in a cache, whose rate is no roof \
             here"
    } else {
        ""
    };
    format!(
        "{}\nroofs: buffers {:.1} GB/s{texture}, {:.1} GFLOP/s; times by {clock}{above}\n",
        table(&rows, 3),
        roofs.read_buffer_gb_per_s,
        roofs.multiply_add_gflop_per_s
    )
}

pub(super) fn csv(results: &[Measurement]) -> String {
    let mut text =
        "shape,kernel,strategy,median_us,quarter_us,three_quarters_us,runs,bytes,operations,gb_per_s,\
        gflop_per_s,share_of_roof,max_error\n"
            .to_owned();
    for m in results {
        // No name contains a comma or a quotation mark.
        text += &format!(
            "{},{},{},{:.3},{:.3},{:.3},{},{},{},{},{:.4},{},{}\n",
            m.shape,
            m.kernel,
            m.strategy,
            m.median_us,
            m.quarter_us,
            m.three_quarters_us,
            m.runs,
            m.bytes.map_or(String::new(), |bytes| bytes.to_string()),
            m.operations,
            m.gb_per_s.map_or(String::new(), |rate| format!("{rate:.4}")),
            m.gflop_per_s,
            m.share_of_roof.map_or(String::new(), |share| format!("{share:.4}")),
            m.max_error.map_or(String::new(), |error| format!("{error:e}"))
        );
    }
    text
}
