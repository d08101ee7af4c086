//! From options to an open device.

use super::probe::faster_storage;
use crate::gpu::adapter::adapter::{self, AdapterReport, Wish};
use crate::gpu::adapter::storage::StorageKind;
use crate::gpu::device::device::{Capabilities, Gpu, GpuOptions, device_error, lock};
use crate::gpu::device::memory::Memory;
use crate::gpu::device::textures::{PlainTextures, TEXEL_BYTES, TEXTURE_WIDTH};
use crate::gpu::records::known::Known;
use crate::gpu::software::{alias, chain};
use crate::{Error, Result};
use std::sync::{Arc, Mutex};

impl Gpu {
    /// Opens the adapter that `options` select.
    ///
    /// # Errors
    /// When there is no adapter, none matches, or the adapter refuses to open a device.
    pub fn open(options: &GpuOptions) -> Result<Arc<Self>> {
        let (adapter, report) = choose(options)?;
        let (device, queue) = request(&adapter, options, &report.name)?;
        let first_error = keep_first_error(&device);
        let capabilities = capabilities(&adapter, &device, options, &report);
        // A choice among strategies that sum in different orders must not depend on measurements.
        let tuning = options.tuning.as_deref().filter(|_| !options.deterministic);
        let known = Known::load(options.quarantine.as_deref(), tuning, &report);
        let memory = Memory::of(&adapter, adapter.get_info().device_type, options);
        let mut gpu = Self {
            device,
            queue,
            report,
            capabilities,
            memory,
            checked: options.checked,
            textures: Box::new(PlainTextures),
            known,
            first_error,
            pipelines: Mutex::default(),
        };
        alias::make_textures(&mut gpu, false);
        gpu.capabilities.storage = storage(&gpu, options)?;
        let in_textures = gpu.capabilities.storage == StorageKind::Texture;
        alias::make_textures(&mut gpu, in_textures && !options.without_aliases);
        Ok(Arc::new(gpu))
    }
}

/// The adapter that `options` select, with its report.
fn choose(options: &GpuOptions) -> Result<(wgpu::Adapter, AdapterReport)> {
    let wanted = Wish::new(options.adapter.as_deref());
    let mut adapters = adapter::enumerate(wanted.as_ref());
    let infos: Vec<_> = adapters.iter().map(wgpu::Adapter::get_info).collect();
    let (best, reason) = adapter::choose(&infos, wanted.as_ref())?;
    let adapter = adapters.swap_remove(best);
    let report = adapter::report(&adapter, best, true, reason);
    Ok((adapter, report))
}

/// Opens a device of `adapter`, called `name`, with the features and limits that `options` allow.
fn request(
    adapter: &wgpu::Adapter,
    options: &GpuOptions,
    name: &str,
) -> Result<(wgpu::Device, wgpu::Queue)> {
    let mut wanted =
        wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16;
    wanted.set(wgpu::Features::SUBGROUP, !options.without_subgroups);
    wanted.set(wgpu::Features::SHADER_F16, !options.without_f16);
    wanted.set(wgpu::Features::IMMEDIATES, options.immediates);
    pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        label: Some("kaiwu"),
        required_features: adapter.features() & wanted,
        required_limits: lowered(options, adapter.limits()),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..Default::default()
    }))
    .map_err(|error| Error::Device(format!("{name} refused to open: {error}")))
}

/// The adapter's limits, lowered to those in `options`.
fn lowered(options: &GpuOptions, mut limits: wgpu::Limits) -> wgpu::Limits {
    let lower =
        |limit: &mut u32, most: Option<u32>| *limit = (*limit).min(most.unwrap_or(u32::MAX));
    lower(&mut limits.max_compute_workgroup_storage_size, options.max_workgroup_bytes);
    lower(&mut limits.max_compute_invocations_per_workgroup, options.max_lanes);
    lower(&mut limits.max_compute_workgroup_size_x, options.max_lanes);
    lower(&mut limits.max_compute_workgroup_size_y, options.max_lanes);
    lower(&mut limits.max_compute_workgroup_size_z, options.max_lanes);
    lower(&mut limits.max_storage_buffers_per_shader_stage, options.max_storage_buffers);
    if !options.immediates {
        // Zero is WebGPU's default, and no kernel uses immediates.
        limits.max_immediate_size = 0;
    }
    let most = options.max_binding_bytes.unwrap_or(u64::MAX);
    limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most);
    let least = options.min_offset_alignment.unwrap_or(0);
    limits.min_storage_buffer_offset_alignment =
        limits.min_storage_buffer_offset_alignment.max(least);
    limits.min_uniform_buffer_offset_alignment =
        limits.min_uniform_buffer_offset_alignment.max(least);
    limits
}

/// Returns the place where the first error that `device` reports is kept.
fn keep_first_error(device: &wgpu::Device) -> Arc<Mutex<Option<Error>>> {
    let first_error = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&first_error);
    device.on_uncaptured_error(Arc::new(move |error| {
        lock(&sink).get_or_insert_with(|| device_error(&error));
    }));
    let sink = Arc::clone(&first_error);
    device.set_device_lost_callback(move |reason, message| {
        if !matches!(reason, wgpu::DeviceLostReason::Destroyed) {
            lock(&sink).get_or_insert(Error::DeviceLost(message));
        }
    });
    first_error
}

/// The capabilities that strategies may rely on, with a provisional storage.
fn capabilities(
    adapter: &wgpu::Adapter,
    device: &wgpu::Device,
    options: &GpuOptions,
    report: &AdapterReport,
) -> Capabilities {
    let (info, features, limits) = (adapter.get_info(), device.features(), device.limits());
    let has_subgroups = features.contains(wgpu::Features::SUBGROUP);
    let largest_texture =
        u64::from(TEXTURE_WIDTH) * TEXEL_BYTES * u64::from(limits.max_texture_dimension_2d);
    let mut capabilities = Capabilities {
        subgroup: if has_subgroups { info.subgroup_min_size } else { 0 },
        f16: features.contains(wgpu::Features::SHADER_F16),
        max_lanes: limits
            .max_compute_invocations_per_workgroup
            .min(limits.max_compute_workgroup_size_x),
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        software: info.device_type == wgpu::DeviceType::Cpu && !options.prefer_gpu_strategies,
        deterministic: options.deterministic,
        concurrent_workgroups: 1,
        storage: StorageKind::Buffer,
        max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        max_texture_bytes: largest_texture.min(options.max_binding_bytes.unwrap_or(u64::MAX)),
    };
    capabilities.concurrent_workgroups =
        chain::concurrent_workgroups(report, &capabilities, options.workers);
    capabilities
}

/// Storage textures that a kernel must be able to bind: it binds up to eight tensors.
const TEXTURES: u32 = 8;

/// The storage for tensors that allow either kind: the one in `options`, else the one that is not
/// quarantined, else the one that a probe measures to be faster.
fn storage(gpu: &Gpu, options: &GpuOptions) -> Result<StorageKind> {
    let textures = gpu.device.limits().max_storage_textures_per_shader_stage;
    if textures >= TEXTURES {
        return match options.storage.or_else(|| gpu.known.fit_storage()) {
            Some(storage) => Ok(storage),
            None => faster_storage(gpu),
        };
    }
    if options.storage == Some(StorageKind::Texture) {
        let message = format!(
            "{} binds only {textures} storage textures a kernel, eight are needed; use buffers",
            gpu.report.name
        );
        let remedy = Some(crate::error::Remedy::UseBuffers);
        return Err(Error::Unsupported { path: None, message, remedy });
    }
    Ok(StorageKind::Buffer)
}
