//! `kaiwu devices`: what there is to run on.

use crate::cli::Outcome;
use crate::cli::support::arguments::DeviceArguments;
use crate::cli::support::output::{print, print_pretty, size};
use crate::gpu::{AdapterReport, list_adapters};
use clap::Args;
use std::process::ExitCode;

/// List the adapters, what they can do, and which one is taken and why
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu devices
  kaiwu devices --adapter nvidia --json
  kaiwu devices --adapter gl

WGPU_BACKEND (vulkan, metal, dx12, gl) says among which backends, WGPU_ADAPTER_NAME what --adapter would.";

pub(in crate::cli) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let adapters = list_adapters(device.options().adapter.as_deref())?;
    match arguments.json {
        true => print_pretty(&adapters)?,
        false => print(&adapters.iter().map(describe).collect::<Vec<_>>().join("\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn describe(adapter: &AdapterReport) -> String {
    let able = |name: &str, has: bool| format!("{name} {}", if has { "yes" } else { "no" });
    let subgroups = match adapter.subgroup_sizes {
        None => "subgroups no".into(),
        Some([least, most]) if least == most => format!("subgroups of {least}"),
        Some([least, most]) => format!("subgroups of {least} to {most}"),
    };
    let features = [
        able("f16", adapter.f16),
        subgroups,
        able("immediates", adapter.immediates),
        able("timestamps", adapter.timestamps),
        able("pipeline cache", adapter.pipeline_cache),
    ];
    let lines = [
        format!("{} {} {}", if adapter.chosen { "*" } else { " " }, adapter.index, adapter.name),
        if adapter.chosen {
            format!("    taken: {}", adapter.reason)
        } else {
            let AdapterReport { reason, index, .. } = adapter;
            format!("    not taken: {reason}; --adapter {index} takes it")
        },
        format!(
            "    {}, {}, {}{}, driver {} {}",
            adapter.backend,
            adapter.kind,
            if adapter.pci.is_empty() { String::new() } else { format!("PCI {}, ", adapter.pci) },
            adapter.id,
            adapter.driver,
            adapter.driver_info
        ),
        format!("    {}", features.join(", ")),
        format!(
            "    a binding holds {}, a buffer {}, a texture side {} texels",
            size(adapter.max_binding_bytes),
            size(adapter.max_buffer_bytes),
            adapter.max_texture_side
        ),
        format!(
            "    a workgroup has {} lanes and {}; a kernel binds {} storage buffers, {} storage textures",
            adapter.max_lanes,
            size(adapter.workgroup_memory_bytes.into()),
            adapter.storage_buffers,
            adapter.storage_textures
        ),
    ];
    lines.map(|line| line.trim_end().to_owned() + "\n").concat()
}
