//! Standard output, and figures as people read them.

use crate::cli::support::failure::failed;
use crate::{Error, Result};
use serde::Serialize;
use std::io::Write;

const STDOUT: &str = "standard output";

/// Writes text as it is, at once: it may be a piece of a line.
pub(in crate::cli) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::io("write to", STDOUT))
}

/// Writes one JSON value and a newline.
pub(in crate::cli) fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| failed(format!("JSON: {error}")))?;
    print(&(text + "\n"))
}

/// As [`print_json`], indented.
pub(in crate::cli) fn print_pretty(value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| failed(format!("JSON: {error}")))?;
    print(&(text + "\n"))
}

pub(in crate::cli) fn flush() -> Result<()> {
    std::io::stdout().flush().map_err(Error::io("write to", STDOUT))
}

/// The reader of standard output has gone away: nobody is left to tell.
pub(in crate::cli) fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { path, source, .. }
        if path.as_os_str() == STDOUT && source.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Bytes in binary units.
pub(in crate::cli) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.*} {}", if value < 10.0 { 2 } else { 1 }, UNITS[unit])
}

/// A count in decimal units.
pub(in crate::cli) fn count(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{:.1} K", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.2} G", count as f64 / 1e9),
    }
}

/// Rows in columns: the first `left` ones aligned left, the others right.
pub(in crate::cli) fn table(rows: &[Vec<String>], left: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match column < left {
            true => format!("{cell:<0$}", widths[column]),
            false => format!("{cell:>0$}", widths[column]),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_short() {
        let sizes = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (96_436_224, "92.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
        for (n, text) in [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10.0 K"),
            (269_000_000, "269.0 M"),
            (2_690_000_000, "2.69 G"),
        ] {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn tables_align() {
        let rows = [["a", "b", "1"], ["long", "", "12"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows, 2), "a     b   1\nlong     12\n");
    }
}
