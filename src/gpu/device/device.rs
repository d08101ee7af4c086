//! An open device: queue, capabilities, compiled pipelines, and the errors it reported.

use super::adapter::{self, AdapterReport};
use super::memory::Memory;
use crate::error::Remedy;
use crate::gpu::kernel::kernel::{Needs, Strategy};
use crate::gpu::selection::strategies::Choice;
use crate::gpu::software::alias;
use crate::gpu::software::arena::Arena;
use crate::gpu::software::chain;
use crate::gpu::tensor::tensor::{StorageKind, TEXEL_BYTES, TEXTURE_WIDTH};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How to open a device.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// The adapter's number, its backend, or a part of its name, driver or PCI address; without it
    /// WGPU_ADAPTER_NAME counts.
    pub adapter: Option<String>,
    /// Where weights and activations live; `None` asks the probe.
    pub storage: Option<StorageKind>,
    /// Take the strategies meant for GPUs first, whatever the adapter is.
    pub prefer_gpu_strategies: bool,
    /// Pretend that the adapter has no subgroups.
    pub without_subgroups: bool,
    /// Pretend that the adapter has no half-precision arithmetic.
    pub without_f16: bool,
    /// Sum each token's numbers in one order, however many tokens a step has: see
    /// [`Capabilities::deterministic`].
    pub deterministic: bool,
    /// Bind at most so many bytes of a buffer or texture at once, as a smaller adapter would.
    pub max_binding_bytes: Option<u64>,
    /// Open the device with at most so many bytes of workgroup memory.
    pub max_workgroup_bytes: Option<u32>,
    /// Open the device with at most so many lanes in a workgroup.
    pub max_lanes: Option<u32>,
    /// Open the device with at most so many storage buffers a kernel.
    pub max_storage_buffers: Option<u32>,
    /// Open the device with offsets of bindings aligned to so many bytes or more, a power of two up
    /// to 256.
    pub min_offset_alignment: Option<u32>,
    /// Take at most so many bytes of the device's memory, as if it had no more.
    pub memory_bytes: Option<u64>,
    /// [`Capabilities::concurrent_workgroups`], where an adapter has more than one: as many as
    /// there are cores if `None`. With 1, no calls are fused.
    pub workers: Option<u32>,
    /// Keep textures apart from buffers, also where they could share their memory.
    pub without_aliases: bool,
    /// Open the device with immediates where the adapter has them: no kernel uses any, but other
    /// shaders may.
    pub immediates: bool,
    /// Leave naga's bounds and loop checks out of the shaders. Only for shaders that ship with this
    /// crate.
    pub unchecked: bool,
    /// The file with strategies found wrong, which are then not used: see
    /// [`crate::gpu::Quarantine::default_path`].
    pub quarantine: Option<PathBuf>,
    /// The file with the fastest strategies by shape, which then come first: see
    /// [`crate::gpu::Tuning::default_path`].
    pub tuning: Option<PathBuf>,
}

/// What strategies may count on.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// Smallest subgroup size, 0 where subgroups cannot be used.
    pub subgroup: u32,
    /// Half-precision arithmetic in shaders.
    pub f16: bool,
    /// Most lanes in a workgroup.
    pub max_lanes: u32,
    /// Most workgroup memory, bytes.
    pub max_workgroup_bytes: u32,
    /// The adapter computes on the CPU: lanes are SIMD lanes, shared memory and barriers buy
    /// nothing. [`GpuOptions::prefer_gpu_strategies`] denies it.
    pub software: bool,
    /// Only strategies are wanted that give a token the same bits whatever other tokens are
    /// computed with it: not those that sum in another order for one token, or for few.
    pub deterministic: bool,
    /// Workgroups that surely run at the same time, each on a core of its own; 1 where that is not
    /// known, as on every GPU.
    pub concurrent_workgroups: u32,
    /// Storage of tensors that may choose.
    pub storage: StorageKind,
    /// Largest storage-buffer binding, bytes.
    pub max_binding_bytes: u64,
    /// Largest texture, bytes.
    pub max_texture_bytes: u64,
}

/// An open device. Cheap to share behind an [`Arc`].
pub struct Gpu {
    pub(in crate::gpu) device: wgpu::Device,
    pub(in crate::gpu) queue: wgpu::Queue,
    report: AdapterReport,
    capabilities: Capabilities,
    pub(in crate::gpu) memory: Memory,
    unchecked: bool,
    aliases: bool,
    pub(in crate::gpu) choice: Choice,
    first_error: Arc<Mutex<Option<Error>>>,
    pub(in crate::gpu) pipelines:
        Mutex<HashMap<String, Arc<crate::gpu::kernel::pipeline::Pipeline>>>,
    /// Where tensors go that share memory, while that is open.
    pub(in crate::gpu) arena: Mutex<Option<Arena>>,
}

/// A poisoned lock only says that another thread panicked; the data behind ours stays valid.
pub(in crate::gpu) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Capabilities {
    /// What any adapter has, by WebGPU's defaults.
    pub fn least() -> Self {
        Self {
            subgroup: 0,
            f16: false,
            max_lanes: 256,
            max_workgroup_bytes: 16 << 10,
            software: false,
            deterministic: false,
            concurrent_workgroups: 1,
            storage: StorageKind::Buffer,
            max_binding_bytes: u64::MAX,
            max_texture_bytes: u64::MAX,
        }
    }

    /// The most bytes a tensor that may choose its storage can have.
    pub fn max_tensor_bytes(&self) -> u64 {
        match self.storage {
            StorageKind::Buffer => self.max_binding_bytes,
            StorageKind::Texture => self.max_texture_bytes,
        }
    }

    /// Whether a strategy of these needs runs here.
    pub fn allows(&self, needs: &Needs) -> bool {
        self.subgroup >= needs.subgroup
            && self.f16 >= needs.f16
            && self.max_lanes >= needs.lanes
            && self.max_workgroup_bytes >= needs.workgroup_bytes
    }

    /// The strategies that run here in order of preference: on a software adapter those `for_lanes`
    /// come first, which keep lanes apart, on a GPU those `for_gpus`, which share a workgroup's
    /// memory. Each list has its best guess first, and as its last one that needs nothing beyond
    /// WebGPU's default limits.
    pub fn allowed(&self, for_lanes: Vec<Strategy>, for_gpus: Vec<Strategy>) -> Vec<Strategy> {
        let (first, then) =
            if self.software { (for_lanes, for_gpus) } else { (for_gpus, for_lanes) };
        first.into_iter().chain(then).filter(|strategy| self.allows(&strategy.needs)).collect()
    }
}

impl GpuOptions {
    /// The adapter's limits, or what is to be asked for instead.
    fn lowered(&self, mut limits: wgpu::Limits) -> wgpu::Limits {
        let lower =
            |limit: &mut u32, most: Option<u32>| *limit = (*limit).min(most.unwrap_or(u32::MAX));
        lower(&mut limits.max_compute_workgroup_storage_size, self.max_workgroup_bytes);
        lower(&mut limits.max_compute_invocations_per_workgroup, self.max_lanes);
        lower(&mut limits.max_compute_workgroup_size_x, self.max_lanes);
        lower(&mut limits.max_compute_workgroup_size_y, self.max_lanes);
        lower(&mut limits.max_compute_workgroup_size_z, self.max_lanes);
        lower(&mut limits.max_storage_buffers_per_shader_stage, self.max_storage_buffers);
        if !self.immediates {
            // WebGPU's default, and no kernel uses them.
            limits.max_immediate_size = 0;
        }
        let most = self.max_binding_bytes.unwrap_or(u64::MAX);
        limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most);
        let least = self.min_offset_alignment.unwrap_or(0);
        limits.min_storage_buffer_offset_alignment =
            limits.min_storage_buffer_offset_alignment.max(least);
        limits.min_uniform_buffer_offset_alignment =
            limits.min_uniform_buffer_offset_alignment.max(least);
        limits
    }
}

impl Gpu {
    /// Opens the adapter that `options` select.
    ///
    /// # Errors
    /// When there is no adapter, none matches, or it refuses a device.
    pub fn open(options: &GpuOptions) -> Result<Arc<Self>> {
        let wanted = adapter::Wish::new(options.adapter.as_deref());
        let adapters = adapter::enumerate(wanted.as_ref());
        let infos: Vec<_> = adapters.iter().map(wgpu::Adapter::get_info).collect();
        let (best, reason) = adapter::choose(&infos, wanted.as_ref())?;
        let (adapter, info) = (&adapters[best], &infos[best]);
        let report = adapter::report(adapter, best, true, reason);

        let mut wanted =
            wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16;
        if options.without_subgroups {
            wanted.remove(wgpu::Features::SUBGROUP);
        }
        if options.without_f16 {
            wanted.remove(wgpu::Features::SHADER_F16);
        }
        if options.immediates {
            wanted.insert(wgpu::Features::IMMEDIATES);
        }
        let features = adapter.features() & wanted;
        let limits = options.lowered(adapter.limits());
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("kaiwu"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        }))
        .map_err(|error| Error::Device(format!("{} refused to open: {error}", report.name)))?;

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

        let mut capabilities = Capabilities {
            subgroup: match features.contains(wgpu::Features::SUBGROUP) {
                true => info.subgroup_min_size,
                false => 0,
            },
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
            max_texture_bytes: (u64::from(TEXTURE_WIDTH)
                * TEXEL_BYTES
                * u64::from(limits.max_texture_dimension_2d))
            .min(options.max_binding_bytes.unwrap_or(u64::MAX)),
        };
        capabilities.concurrent_workgroups =
            chain::concurrent_workgroups(&report, &capabilities, options.workers);
        let choice = Choice::load(options, &report);
        let aliases = !options.without_aliases && adapter::is_lavapipe(&report.driver);
        let mut gpu = Self {
            device,
            queue,
            report,
            capabilities,
            memory: Memory::of(adapter, info.device_type, options),
            unchecked: options.unchecked,
            aliases,
            choice,
            first_error,
            pipelines: Mutex::default(),
            arena: Mutex::default(),
        };
        // A kernel binds up to eight tensors at once.
        let textures_fit = limits.max_storage_textures_per_shader_stage >= 8;
        gpu.capabilities.storage = match options.storage {
            Some(StorageKind::Texture) if !textures_fit => {
                let message = format!(
                    "{} binds only {} storage textures a kernel, eight are needed; use buffers",
                    gpu.report.name, limits.max_storage_textures_per_shader_stage
                );
                let remedy = Some(Remedy::UseBuffers);
                return Err(Error::Unsupported { path: None, message, remedy });
            }
            Some(storage) => storage,
            None if textures_fit => match gpu.choice.fit_storage() {
                Some(storage) => storage,
                None => super::probe::faster_storage(&gpu)?,
            },
            None => StorageKind::Buffer,
        };
        gpu.aliases =
            gpu.aliases && gpu.capabilities.storage == StorageKind::Texture && alias::works(&gpu);
        Ok(Arc::new(gpu))
    }

    /// The adapter behind this device.
    pub fn report(&self) -> &AdapterReport {
        &self.report
    }

    /// What strategies may count on.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether kernels write textures through buffers over the same memory.
    pub(crate) fn aliases(&self) -> bool {
        self.aliases
    }

    /// What [`crate::gpu::Program::profile`] reads.
    pub fn clock(&self) -> &'static str {
        match self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            true => "timestamps",
            false => "wall clock",
        }
    }

    /// Whether the device was opened with immediates, which WebGPU's defaults lack and no kernel
    /// uses: see [`GpuOptions::immediates`].
    pub fn has_immediates(&self) -> bool {
        self.device.features().contains(wgpu::Features::IMMEDIATES)
            || self.device.limits().max_immediate_size > 0
    }

    /// What the adapter was asked for, in one line: two devices of one adapter that agree in it are
    /// alike.
    pub fn asked_for(&self) -> String {
        let Capabilities { subgroup, max_texture_bytes, .. } = self.capabilities;
        let (features, limits) = (self.device.features(), self.device.limits());
        format!("{features:?} {limits:?} {subgroup} {max_texture_bytes}")
    }

    /// The first error the device reported since the last call, as ours.
    ///
    /// # Errors
    /// That error, with the label of the kernel or tensor it befell.
    pub fn check(&self) -> Result<()> {
        match lock(&self.first_error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Hands what was written so far to the device and waits until it is there, so that its staging
    /// memory is used again and never holds more than one such piece.
    ///
    /// # Errors
    /// What the device reported meanwhile.
    pub fn flush(&self) -> Result<()> {
        let submission_index = Some(self.queue.submit([]));
        let polled = self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
        self.check()?;
        polled.map(|_| ()).map_err(|error| Error::Device(format!("sending to the device: {error}")))
    }

    /// Blocks until the submitted work is done.
    ///
    /// # Errors
    /// What the device reported meanwhile.
    pub fn wait(&self) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.check()?;
        polled
            .map(|_| ())
            .map_err(|error| Error::Device(format!("waiting for the device: {error}")))
    }

    pub(in crate::gpu) fn shader_module(&self, label: &str, source: &str) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        if self.unchecked {
            // SAFETY: the shaders of this crate clamp what they index and bound their loops; the
            // kernels' tests run with the checks on.
            return unsafe {
                self.device.create_shader_module_trusted(
                    descriptor,
                    wgpu::ShaderRuntimeChecks::unchecked(),
                )
            };
        }
        self.device.create_shader_module(descriptor)
    }
}

/// Puts a device error into our words; wgpu's text names the labelled object.
pub(in crate::gpu) fn device_error(error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { source } => Error::AllocationFailed(source.to_string()),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::Device(format!("the device refused a request: {description}"))
        }
    }
}
