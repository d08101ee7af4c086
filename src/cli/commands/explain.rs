//! `kaiwu explain`: shows the recording of a decode step.

use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, LoadingArguments, WeightsArguments};
use crate::cli::support::failure::usage;
use crate::cli::support::loaded::load;
use crate::cli::support::output::{count, print, print_pretty, size, table};
use crate::cli::support::roofline::{self, RooflineArguments};
use crate::format::Lora;
use crate::gpu::{Capabilities, Constant, Cost, Device, Entry, Gpu, Strategy};
use crate::model::{Config, Footprint, LogitsMode, Runner, SessionOptions};
use crate::workbench::StepCost;
use crate::{Error, Result};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;

/// Show what computes a token: each kernel with its bytes and operations
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// Tokens in the cache that attention reads, no more than the model's context
    #[arg(long, value_name = "N", default_value_t = 256)]
    at: u32,
    #[command(flatten)]
    roofline: RooflineArguments,
    /// Do without a device: the strategies it would take are then unknown
    #[arg(long)]
    host: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu explain
  kaiwu explain --at 4096
  kaiwu explain --host --json
  kaiwu explain --roofline
  kaiwu explain --host --roofline --bandwidth 1000 --dispatch-us 3";

/// A kernel call as it is shown. Layers with equal rows are merged.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    label: String,
    kernel: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<&'static str>,
    /// Format of the weights.
    format: Option<&'static str>,
    read_bytes: u64,
    written_bytes: u64,
    operations: u64,
}

/// Consecutive calls: those of a layer, or those between layers.
#[derive(Debug, PartialEq, Serialize)]
struct Section {
    /// Numbers of the layers that have these calls.
    layers: Vec<usize>,
    kernels: Vec<Row>,
}

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let source = arguments.model.model.open()?;
    let LoadingArguments { quantize, cache, lora } = &arguments.model.loading;
    let config = Config::from_source(&source)?;
    let at = arguments.at as usize;
    if at > config.max_context {
        let most = config.max_context;
        return Err(usage(format!(
            "--at is {at}, but this model's context has {most} tokens at most"
        )));
    }
    let adapters = Lora::open_all(lora, config.architecture.name)?;
    let place = if arguments.host { Device::Reference } else { device_or_host(device)? };
    let room = SessionOptions { expected: 1, cache: cache.cache, ..SessionOptions::default() };
    if let Device::Gpu(gpu) = &place {
        let shown = SessionOptions { context: Some(1), ..room };
        Footprint::new(&source, *quantize, &adapters, &shown)?.check(gpu)?;
    }
    let model = load(&place, &source, *quantize, &adapters)?;
    let mut runner = Runner::with_room(&place, &model, room)?;
    let memory = Footprint::of(&model, model.bytes(), &room)?.at_once();
    let recording = runner.recording(1, LogitsMode::Last)?;
    let sections = sections(recording.entries(), &place, at);
    let (total, calls) = (recording.cost(at), recording.entries().len());
    let dispatches = runner.dispatches(1, LogitsMode::Last)?;

    let paper = if arguments.roofline.roofline {
        let taken = |entry: &Entry| offered(entry, &place).into_iter().next();
        let cost = StepCost::of(recording.entries(), at, taken);
        Some((
            StepCost { dispatches: dispatches as u64, ..cost },
            arguments.roofline.adapter(&place)?,
        ))
    } else {
        None
    };

    if arguments.json {
        print_pretty(&json!({
            "roofline": paper.map(|(cost, adapter)| roofline::as_json(&cost, &adapter)),
            "model": source.path().display().to_string(),
            "adapter": matches!(place, Device::Gpu(_)).then(|| place.name()),
            "cached_tokens": at,
            "memory": memory,
            "sections": sections,
            "total": {
                "calls": calls,
                "dispatches": dispatches,
                "read_bytes": total.read,
                "written_bytes": total.written,
                "operations": total.operations,
            },
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let on = match &place {
        Device::Reference => String::new(),
        Device::Gpu(_) => format!(" on {}", place.name()),
    };
    print(&format!(
        "{}: one token{on}, {at} tokens in the cache\n{}\na token: {calls} kernel calls in \
         {dispatches} dispatches, {} read, {} written, {} operations\non the device: weights {}, \
         cache of {} tokens {}, activations {} at most, all {}\n",
        source.path().display(),
        as_text(&sections),
        size(total.read),
        size(total.written),
        count(total.operations),
        size(memory.weights_bytes),
        memory.context,
        size(memory.cache_bytes),
        size(memory.activation_bytes),
        size(memory.total_bytes),
    ))?;
    if let Some((cost, adapter)) = paper {
        print(&format!("\n{}", roofline::as_text(&cost, &adapter)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the device if there is one; explaining works without it.
fn device_or_host(device: &DeviceArguments) -> Result<Device> {
    match Gpu::open(&device.options()) {
        Ok(gpu) => Ok(Device::Gpu(gpu)),
        Err(error @ (Error::NoAdapter { .. } | Error::Device(_))) if device.adapter.is_none() => {
            eprintln!("kaiwu: without a device: {error}");
            Ok(Device::Reference)
        }
        Err(error) => Err(error),
    }
}

/// Splits "blk.3.ffn_down" into layer 3 and `ffn_down`.
fn layer_of(label: &str) -> Option<(usize, &str)> {
    let (layer, part) = label.strip_prefix("blk.")?.split_once('.')?;
    Some((layer.parse().ok()?, part))
}

fn sections(entries: &[Entry], place: &Device, at: usize) -> Vec<Section> {
    let mut all: Vec<(Option<usize>, Vec<Row>)> = vec![];
    for entry in entries {
        let (layer, part) = layer_of(&entry.label)
            .map_or((None, &*entry.label), |(layer, part)| (Some(layer), part));
        let row = row(entry, part, place, at);
        match all.last_mut() {
            Some((same, rows)) if *same == layer => rows.push(row),
            _ => all.push((layer, vec![row])),
        }
    }
    let mut merged: Vec<Section> = vec![];
    for (layer, kernels) in all {
        let alike =
            |section: &&mut Section| !section.layers.is_empty() && section.kernels == kernels;
        match (layer, merged.iter_mut().find(alike)) {
            (Some(layer), Some(section)) => section.layers.push(layer),
            _ => merged.push(Section { layers: layer.into_iter().collect(), kernels }),
        }
    }
    merged
}

/// The possible strategies of a call, the preferred one first. Without a device, the strategies of
/// any device still show the format of the weights.
fn offered(entry: &Entry, place: &Device) -> Vec<Strategy> {
    match place {
        Device::Gpu(gpu) => gpu.strategies(&*entry.kernel).unwrap_or_default(),
        Device::Reference => entry.kernel.strategies(&Capabilities::least()),
    }
}

fn row(entry: &Entry, label: &str, place: &Device, at: usize) -> Row {
    let on_device = matches!(place, Device::Gpu(_));
    let strategy = offered(entry, place).into_iter().next();
    let format = strategy.as_ref().and_then(|strategy| {
        strategy.constants.iter().find_map(|(name, value)| match value {
            Constant::Word(word) if *name == "FORMAT" => Some(*word),
            _ => None,
        })
    });
    let Cost { read, written, operations } = entry.kernel.cost(at);
    Row {
        label: label.to_owned(),
        kernel: entry.kernel.name(),
        strategy: strategy.filter(|_| on_device).map(|strategy| strategy.name),
        format,
        read_bytes: read,
        written_bytes: written,
        operations,
    }
}

/// Formats 0, 1, 2, 5 as "0-2, 5".
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let text = |run: &[usize]| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    };
    runs.map(text).collect::<Vec<_>>().join(", ")
}

fn as_text(sections: &[Section]) -> String {
    let with_strategy =
        sections.iter().flat_map(|section| &section.kernels).any(|row| row.strategy.is_some());
    let line = |cells: [&str; 7]| {
        let all = cells.iter().enumerate().filter(|(column, _)| with_strategy || *column != 2);
        all.map(|(_, cell)| cell.to_string()).collect::<Vec<_>>()
    };
    let mut rows =
        vec![line(["", "kernel", "strategy", "weights", "read", "written", "operations"])];
    for section in sections {
        match &section.layers[..] {
            [] => {}
            [one] => rows.push(vec![format!("layer {one}")]),
            many => {
                rows.push(vec![format!("layers {} ({} alike), each", ranges(many), many.len())])
            }
        }
        for row in &section.kernels {
            rows.push(line([
                &format!("{}{}", if section.layers.is_empty() { "" } else { "  " }, row.label),
                row.kernel,
                row.strategy.unwrap_or_default(),
                row.format.unwrap_or_default(),
                &size(row.read_bytes),
                &size(row.written_bytes),
                &count(row.operations),
            ]));
        }
    }
    table(&rows, if with_strategy { 4 } else { 3 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_ranges_read_as_people_write_them() {
        assert_eq!(layer_of("blk.12.ffn_down"), Some((12, "ffn_down")));
        assert_eq!([layer_of("output"), layer_of("blk.x.y")], [None, None]);
        for (numbers, text) in
            [(vec![], ""), (vec![4], "4"), (vec![0, 1, 2, 5, 7, 8], "0-2, 5, 7-8")]
        {
            assert_eq!(ranges(&numbers), text);
        }
    }
}
