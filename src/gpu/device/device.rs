//! An open device: queue, capabilities, compiled pipelines, and the errors it reported.

use super::memory::Memory;
use super::pipeline::Pipeline;
use super::textures::Textures;
use crate::gpu::adapter::adapter::AdapterReport;
use crate::gpu::adapter::storage::StorageKind;
use crate::gpu::records::known::Known;
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
    /// Have naga's bounds and loop checks in the shaders of this crate too. Those of others always
    /// have them.
    pub checked: bool,
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
    pub(in crate::gpu) report: AdapterReport,
    pub(in crate::gpu) capabilities: Capabilities,
    pub(in crate::gpu) memory: Memory,
    pub(in crate::gpu) checked: bool,
    pub(in crate::gpu) textures: Box<dyn Textures>,
    pub(in crate::gpu) known: Known,
    pub(in crate::gpu) first_error: Arc<Mutex<Option<Error>>>,
    pub(in crate::gpu) pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
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
}

impl Gpu {
    /// The adapter behind this device.
    pub fn report(&self) -> &AdapterReport {
        &self.report
    }

    /// What strategies may count on.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether kernels may write a tensor that they read: see [`crate::gpu::Tensor::successor`].
    pub fn updates_in_place(&self) -> bool {
        self.textures.share_memory()
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

    pub(in crate::gpu) fn shader_module(
        &self,
        label: &str,
        source: &str,
        is_own: bool,
    ) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        if is_own && !self.checked {
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
