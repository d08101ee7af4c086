//! `kaiwu bench kernels --wgsl`: someone's own shader, bound and timed like ours.

use crate::gpu::{Gpu, StorageKind};
use crate::workbench::{Fill, Measurement, Roofs, Size, Wish, measure_own, prepare, reflect};
use crate::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};

/// Which shader, and what is bound to it.
#[derive(Debug, Args)]
#[command(next_help_heading = "A shader of your own")]
pub(super) struct OwnArguments {
    /// Time the compute shader of this file instead; what it binds is read from its text
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filter", "shape", "format"])]
    pub wgsl: Option<PathBuf>,
    /// Its entry point, where it has several
    #[arg(long, value_name = "NAME", requires = "wgsl")]
    entry: Option<String>,
    /// Size of a buffer in bytes (64MiB) or of a texture in texels (1024x1024), with what fills a buffer after a colon
    /// (zeros, random, count); @FILE binds a file's bytes. Repeatable [default: 16MiB, 1024x1024]
    #[arg(long, value_name = "NAME=SIZE", requires = "wgsl", value_parser = parse_bind)]
    bind: Vec<Bind>,
    /// Workgroups [default: a lane for each element of the first variable that is written]
    #[arg(long, value_name = "X,Y,Z", requires = "wgsl", value_parser = parse_grid)]
    grid: Option<Grid>,
    /// Value of an overridable constant or of a number in a uniform; repeatable
    #[arg(long, value_name = "NAME=VALUE", requires = "wgsl", value_parser = parse_set)]
    set: Vec<(String, f64)>,
    /// Floating-point operations of one run, for GFLOP/s and the chart
    #[arg(long, value_name = "N", requires = "wgsl", default_value_t = 0)]
    operations: u64,
}

/// A `--grid`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Grid([u32; 3]);

/// A `--bind` whose file is not read yet.
#[derive(Debug, Clone, PartialEq)]
struct Bind {
    name: String,
    size: BindSize,
    fill: Option<Fill>,
}

#[derive(Debug, Clone, PartialEq)]
enum BindSize {
    Known(Size),
    File(PathBuf),
}

/// Larger shader files are none, bytes.
const LARGEST: u64 = 1 << 20;

fn parse_bind(text: &str) -> std::result::Result<Bind, String> {
    let (name, rest) = text.split_once('=').ok_or("expected NAME=SIZE, such as x=64MiB")?;
    let name = name.trim().to_owned();
    if let Some(file) = rest.strip_prefix('@') {
        return Ok(Bind { name, size: BindSize::File(file.into()), fill: None });
    }
    let (size, fill) = rest.split_once(':').map_or((rest, None), |(size, fill)| (size, Some(fill)));
    let fill = match fill {
        None => None,
        Some("zeros") => Some(Fill::Zeros),
        Some("random") => Some(Fill::Random),
        Some("count") => Some(Fill::Count),
        Some(other) => return Err(format!("{other:?} is not zeros, random or count")),
    };
    Ok(Bind { name, size: BindSize::Known(parse_size(size)?), fill })
}

/// "64MiB", "4096", or "1024x1024".
fn parse_size(text: &str) -> std::result::Result<Size, String> {
    let wrong = || format!("{text:?} is no size, such as 64MiB, 4096 or 1024x1024");
    if text.contains('x') {
        let sides: Vec<u32> =
            text.split('x').map(str::parse).collect::<std::result::Result<_, _>>().map_err(|_| wrong())?;
        if sides.is_empty() || sides.len() > 3 || sides.iter().any(|side| !(1..=16384).contains(side)) {
            return Err(format!("{text:?}: a texture has up to three sides, each of 1 to 16384 texels"));
        }
        let side = |axis: usize| sides.get(axis).copied().unwrap_or(1);
        return Ok(Size::Texels([side(0), side(1), side(2)]));
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).map(Size::Bytes).ok_or_else(wrong)
}

fn parse_grid(text: &str) -> std::result::Result<Grid, String> {
    let sides: Vec<u32> = text
        .split(',')
        .map(|side| side.trim().parse())
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| format!("{text:?} is not X,Y,Z"))?;
    if sides.len() > 3 || sides.iter().any(|side| !(1..=65535).contains(side)) {
        return Err(format!("{text:?}: a grid has up to three sides, each of 1 to 65535 workgroups"));
    }
    let side = |axis: usize| sides.get(axis).copied().unwrap_or(1);
    Ok(Grid([side(0), side(1), side(2)]))
}

fn parse_set(text: &str) -> std::result::Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, such as n=1024")?;
    let value = match value.trim() {
        "true" => 1.0,
        "false" => 0.0,
        number => number.parse().map_err(|_| format!("{number:?} is not a number"))?,
    };
    Ok((name.trim().to_owned(), value))
}

/// Reads, binds and times the shader; also says where most of its bytes are.
pub(super) fn measure(
    gpu: &Gpu,
    roofs: &Roofs,
    file: &Path,
    arguments: &OwnArguments,
) -> Result<(Measurement, StorageKind)> {
    let text = String::from_utf8(read(file, LARGEST)?)
        .map_err(|_| Error::format(file, "is not a text in UTF-8, as WGSL is"))?;
    let interface = reflect(&text, arguments.entry.as_deref(), &arguments.set)?;
    let largest = gpu.capabilities().max_binding_bytes;
    let wishes = arguments.bind.iter().map(|bind| wish(bind, largest)).collect::<Result<Vec<_>>>()?;
    let grid = arguments.grid.map(|Grid(grid)| grid);
    let call = prepare(&interface, &wishes, &arguments.set, grid, largest)?;
    let [x, y, z] = call.grid;
    let name = file.file_name().unwrap_or_default().to_string_lossy().replace([',', '"', '\n'], "_");
    let what = format!("{name} {x}x{y}x{z}");
    for bound in &call.bound {
        let (bytes, name) = (bound.resource.bytes()?, &bound.name);
        log::info!("group {} binding {}: {name} of {bytes} bytes", bound.group, bound.binding);
    }
    Ok((measure_own(gpu, roofs, &what, &text, &call, arguments.operations)?, call.storage))
}

fn wish(bind: &Bind, largest: u64) -> Result<Wish> {
    let size = match &bind.size {
        BindSize::Known(size) => size.clone(),
        BindSize::File(file) => Size::Contents(read(file, largest)?),
    };
    Ok(Wish { name: bind.name.clone(), size, fill: bind.fill })
}

fn read(file: &Path, most: u64) -> Result<Vec<u8>> {
    let bytes = std::fs::metadata(file).map_err(Error::io("read", file))?.len();
    if bytes > most {
        return Err(Error::format(file, format!("has {bytes} bytes, more than the {most} that can be used")));
    }
    std::fs::read(file).map_err(Error::io("read", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grids_and_numbers_are_read() {
        let bytes = |bytes| Ok(Size::Bytes(bytes));
        assert_eq!(
            [parse_size("4096"), parse_size("3KiB"), parse_size("64MiB")],
            [bytes(4096), bytes(3072), bytes(64 << 20)]
        );
        assert_eq!(parse_size("16x8"), Ok(Size::Texels([16, 8, 1])));
        for wrong in ["", "x", "0", "-1", "4k", "1x2x3x4", "0x1", "99999x1", "99999999999GiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        let bind = parse_bind("x=16:count").unwrap();
        assert_eq!((bind.name.as_str(), bind.fill), ("x", Some(Fill::Count)));
        assert!(parse_bind("x").is_err() && parse_bind("x=16:ones").is_err());
        assert_eq!(parse_grid("3"), Ok(Grid([3, 1, 1])));
        assert_eq!(parse_grid("3, 4,5"), Ok(Grid([3, 4, 5])));
        assert!(parse_grid("0").is_err() && parse_grid("1,2,3,4").is_err() && parse_grid("65536").is_err());
        assert_eq!(parse_set("p.n=2.5"), Ok(("p.n".into(), 2.5)));
        assert!(parse_set("n").is_err() && parse_set("n=x").is_err());
    }
}
