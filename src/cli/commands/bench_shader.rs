//! `kaiwu bench kernels --wgsl`: someone's own shader, bound and timed like ours.

use crate::cli::support::deadline::Deadline;
use crate::cli::support::dump::{self, Dump};
use crate::cli::support::failure::usage;
use crate::cli::support::output::size;
use crate::gpu::{Gpu, Resource, StorageKind, UserShader};
use crate::workbench::{
    Fill, Interface, Measurement, Size, Stopwatch, UserShaderCall, UserShaderRun, Wish, prepare,
    reflect,
};
use crate::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Which shader, and what is bound to it.
#[derive(Debug, Args)]
#[command(next_help_heading = "A shader of your own")]
pub(in crate::cli) struct OwnArguments {
    /// Time the compute shader of this file instead; what it binds is read from its text
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filter", "shape", "format"])]
    pub wgsl: Option<PathBuf>,
    /// Its entry point, where it has several
    #[arg(long, value_name = "NAME", requires = "wgsl")]
    entry: Option<String>,
    /// Size of a buffer in bytes (64MiB) or of a texture in texels (1024x1024), with what fills a
    /// buffer after a colon (zeros, random, count); @FILE binds a file's bytes. Repeatable
    /// [default: 16MiB, 1024x1024]
    #[arg(long, value_name = "NAME=SIZE", requires = "wgsl", value_parser = parse_bind)]
    bind: Vec<Bind>,
    /// Workgroups [default: a lane for each element of the first variable that is written, in as
    /// many axes as a workgroup has]
    #[arg(long, value_name = "X,Y,Z", requires = "wgsl", value_parser = parse_grid)]
    grid: Option<Grid>,
    /// Value of an overridable constant, by name or by the number of its @id, or of a number in a
    /// uniform or in immediates (a, numbers.a, middle=1,2,3 for a vector); repeatable
    #[arg(long, value_name = "NAME=VALUE", requires = "wgsl", value_parser = parse_set)]
    set: Vec<Settings>,
    /// Bytes that one run moves (64MiB), for GB/s and the share of the roof: nobody can count them
    /// from the text
    #[arg(long, value_name = "N", requires = "wgsl", value_parser = parse_bytes)]
    bytes: Option<u64>,
    /// Floating-point operations of one run, for GFLOP/s and the chart
    #[arg(long, value_name = "N", requires = "wgsl", default_value_t = 0)]
    operations: u64,
    /// Write what a buffer or texture holds after one run: raw bytes, or numbers where the file
    /// ends in .npy or .json; repeatable
    #[arg(long, value_name = "NAME=FILE", requires = "wgsl", value_parser = dump::parse)]
    dump: Vec<Dump>,
    /// Seconds after which a run that has not come to its end is given up, and the program with it
    #[arg(long, value_name = "SECONDS", requires = "wgsl", default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
}

/// What a `--set` says: a vector's numbers are several.
#[derive(Debug, Clone, PartialEq)]
struct Settings(Vec<(String, f64)>);

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
        let sides: Vec<u32> = text
            .split('x')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| wrong())?;
        if sides.is_empty()
            || sides.len() > 3
            || sides.iter().any(|side| !(1..=16384).contains(side))
        {
            return Err(format!(
                "{text:?}: a texture has up to three sides, each of 1 to 16384 texels"
            ));
        }
        let side = |axis: usize| sides.get(axis).copied().unwrap_or(1);
        return Ok(Size::Texels([side(0), side(1), side(2)]));
    }
    parse_bytes(text).map(Size::Bytes).map_err(|_| wrong())
}

/// "64MiB", "4096".
fn parse_bytes(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("{text:?} is no size in bytes, such as 64MiB or 4096");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

fn parse_grid(text: &str) -> std::result::Result<Grid, String> {
    let sides: Vec<u32> = text
        .split(',')
        .map(|side| side.trim().parse())
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| format!("{text:?} is not X,Y,Z"))?;
    if sides.len() > 3 || sides.iter().any(|side| !(1..=65535).contains(side)) {
        return Err(format!(
            "{text:?}: a grid has up to three sides, each of 1 to 65535 workgroups"
        ));
    }
    let side = |axis: usize| sides.get(axis).copied().unwrap_or(1);
    Ok(Grid([side(0), side(1), side(2)]))
}

fn parse_set(text: &str) -> std::result::Result<Settings, String> {
    let (name, values) = text.split_once('=').ok_or("expected NAME=VALUE, such as n=1024")?;
    let name = name.trim();
    let value = |text: &str| match text.trim() {
        "true" => Ok(1.0),
        "false" => Ok(0.0),
        number => match number.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => Err(format!("{number:?} is no finite number")),
            Err(_) => Err(format!("{number:?} is not a number")),
        },
    };
    let values = values.split(',').map(value).collect::<std::result::Result<Vec<_>, _>>()?;
    match &values[..] {
        [value] => Ok(Settings(vec![(name.to_owned(), *value)])),
        several if several.len() <= 4 => {
            let letters = ["x", "y", "z", "w"].into_iter().zip(several);
            Ok(Settings(
                letters.map(|(letter, value)| (format!("{name}.{letter}"), *value)).collect(),
            ))
        }
        _ => Err(format!("a vector has up to four numbers, not {}", values.len())),
    }
}

/// A shader that is compiled and bound, to be timed as often as wanted.
pub(in crate::cli) struct Own {
    gpu: Arc<Gpu>,
    program: UserShader,
    call: UserShaderRun,
    /// File and grid, in words.
    what: String,
}

impl Own {
    /// Reads and binds the shader, runs it once, and writes what is to be dumped.
    pub(in crate::cli) fn open(
        gpu: Arc<Gpu>,
        file: &Path,
        arguments: &OwnArguments,
    ) -> Result<Self> {
        let text = String::from_utf8(read(file, LARGEST)?)
            .map_err(|_| Error::damaged(file, "is not a text in UTF-8, as WGSL is"))?;
        let settings: Vec<_> =
            arguments.set.iter().flat_map(|Settings(settings)| settings.clone()).collect();
        let interface = reflect(&text, arguments.entry.as_deref(), &settings)?;
        dump::check(&arguments.dump, &interface)?;
        let largest = gpu.capabilities().max_binding_bytes;
        let overrides =
            arguments.bind.iter().map(|bind| wish(bind, largest)).collect::<Result<Vec<_>>>()?;
        let grid = arguments.grid.map(|Grid(grid)| grid);
        let call = prepare(&interface, &overrides, &settings, grid, largest)?;
        let [x, y, z] = call.grid;
        let name =
            file.file_name().unwrap_or_default().to_string_lossy().replace([',', '"', '\n'], "_");
        let what = format!("{name} {x}x{y}x{z}");
        for bound in &call.bound {
            let (bytes, name) = (bound.resource.bytes()?, &bound.name);
            log::info!("group {} binding {}: {name} of {bytes} bytes", bound.group, bound.binding);
        }
        if !call.zeros.is_empty() {
            eprintln!("kaiwu: {name}: left 0 without --set: {}", listed(&call.zeros));
        }
        let deadline = arguments.deadline(&what);
        let program =
            UserShader::compile(&gpu, &text, &call.entry, &call.constants, &call.bound, call.grid)?;
        let took = program.run(&gpu)?;
        drop(deadline);
        if took > LONG {
            eprintln!("kaiwu: {what}: one run takes {took:.1} s, and three or more are timed");
        }
        for dump in &arguments.dump {
            write(&gpu, &program, dump, &interface, &call)?;
        }
        Ok(Self { gpu, program, call, what })
    }

    /// Times it; also says where most of its bytes are.
    pub(in crate::cli) fn measure(
        &self,
        stopwatch: &Stopwatch<'_>,
        arguments: &OwnArguments,
    ) -> Result<(Measurement, StorageKind)> {
        let deadline = arguments.deadline(&self.what);
        let storage = self.call.storage;
        let call = UserShaderCall {
            gpu: &self.gpu,
            program: &self.program,
            names: [&*self.what, &*self.call.entry],
            moved: arguments.bytes,
            operations: arguments.operations,
            storage,
        };
        let found = stopwatch.of_foreign(&call, || deadline.go_on())?;
        Ok((found, storage))
    }

    /// Says on standard error what the figures are not.
    pub(in crate::cli) fn remark(&self, found: &Measurement) {
        let what = &self.what;
        match found.share_of_roof {
            _ if found.bytes.is_none() => eprintln!(
                "kaiwu: {what}: without --bytes N, what one run moves, there are no GB/s; what it binds holds {}",
                size(self.call.bytes)
            ),
            Some(share) if share > 1.0 => eprintln!(
                "kaiwu: {what}: {:.0} % of the roof: what it moves stays in a cache, or it moves and computes less than \
                 --bytes and --operations say",
                share * 100.0
            ),
            _ => {}
        }
    }
}

/// A run that takes longer is worth a word, seconds.
const LONG: f64 = 2.0;

impl OwnArguments {
    fn deadline(&self, what: &str) -> Deadline {
        Deadline::new(Duration::from_secs(self.timeout.into()), format!("{what}: a run"))
    }

    /// A chart has a place for what moves bytes only.
    pub(in crate::cli) fn check_plot(&self) -> Result<()> {
        match self.bytes {
            Some(_) => Ok(()),
            None => Err(usage(
                "--plot of a shader of your own needs --bytes, what one run moves".into(),
            )),
        }
    }
}

/// The first few of names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn write(
    gpu: &Gpu,
    program: &UserShader,
    dump: &Dump,
    interface: &Interface,
    call: &UserShaderRun,
) -> Result<()> {
    let bytes = program.read(gpu, &dump.name)?;
    let texels = call.bound.iter().find_map(|bound| match &bound.resource {
        Resource::StorageTexture { size, .. } if bound.name == dump.name => Some(*size),
        _ => None,
    });
    match interface.slots.iter().find(|slot| slot.name == dump.name) {
        Some(slot) => dump::write(dump, slot, texels, &bytes),
        None => Ok(()),
    }
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
        return Err(Error::damaged(
            file,
            format!("has {bytes} bytes, more than the {most} that can be used"),
        ));
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
        assert!(
            parse_grid("0").is_err()
                && parse_grid("1,2,3,4").is_err()
                && parse_grid("65536").is_err()
        );
        let set = |of: &[(&str, f64)]| {
            Ok(Settings(of.iter().map(|&(name, value)| (name.into(), value)).collect()))
        };
        assert_eq!(parse_set("p.n=2.5"), set(&[("p.n", 2.5)]));
        assert_eq!(parse_set("v = 1, -2,3e1"), set(&[("v.x", 1.0), ("v.y", -2.0), ("v.z", 30.0)]));
        assert_eq!(parse_set("b=true"), set(&[("b", 1.0)]));
        for wrong in ["n", "n=x", "n=nan", "n=inf", "n=1e999", "n=", "n=1,2,3,4,5", "n=1,"] {
            assert!(parse_set(wrong).is_err(), "{wrong}");
        }
        assert_eq!((parse_bytes("2KiB"), parse_bytes("1x1").is_err()), (Ok(2048), true));
    }
}
