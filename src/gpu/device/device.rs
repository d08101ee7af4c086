//! An open device: its queue, capabilities, compiled pipelines, and the errors that it reported.

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
    /// The adapter's number, its backend, or a part of its name, driver or PCI address; `None` uses
    /// the environment variable `WGPU_ADAPTER_NAME`.
    pub adapter: Option<String>,
    /// Where weights and activations are stored; `None` measures which storage reads faster.
    pub storage: Option<StorageKind>,
    /// Prefer the strategies for GPUs, even on a software adapter.
    pub prefer_gpu_strategies: bool,
    /// Treat the adapter as one without subgroups.
    pub without_subgroups: bool,
    /// Treat the adapter as one without half-precision arithmetic.
    pub without_f16: bool,
    /// Compute a token's numbers in the same order of summation for any number of tokens in a step:
    /// see [`Capabilities::deterministic`].
    pub deterministic: bool,
    /// Limits a single binding of a buffer or texture to this many bytes, to simulate a smaller
    /// adapter.
    pub max_binding_bytes: Option<u64>,
    /// Opens the device with at most this many bytes of workgroup memory.
    pub max_workgroup_bytes: Option<u32>,
    /// Opens the device with at most this many lanes in a workgroup.
    pub max_lanes: Option<u32>,
    /// Opens the device with at most this many storage buffers for each kernel.
    pub max_storage_buffers: Option<u32>,
    /// Opens the device with binding offsets aligned to at least this many bytes, a power of two up
    /// to 256.
    pub min_offset_alignment: Option<u32>,
    /// Uses at most this many bytes of the device's memory.
    pub memory_bytes: Option<u64>,
    /// Sets [`Capabilities::concurrent_workgroups`] on software adapters; `None` means one for each
    /// core. With 1, no calls are fused.
    pub workers: Option<u32>,
    /// Keep the memory of textures and buffers separate, even where the two could share it.
    pub without_aliases: bool,
    /// Opens the device with immediates if the adapter has them. No kernel of this crate uses them,
    /// but other shaders may.
    pub immediates: bool,
    /// Adds naga's bounds and loop checks to this crate's shaders too. Shaders from elsewhere
    /// always have them.
    pub checked: bool,
    /// The file of strategies found wrong, which are not used: see
    /// [`crate::gpu::Quarantine::default_path`].
    pub quarantine: Option<PathBuf>,
    /// The file of the fastest strategy for each shape, which is tried first: see
    /// [`crate::gpu::Tuning::default_path`].
    pub tuning: Option<PathBuf>,
}

/// The capabilities that strategies may rely on.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// Smallest subgroup size in lanes; 0 if subgroups cannot be used.
    pub subgroup: u32,
    /// Whether shaders may use half-precision arithmetic.
    pub f16: bool,
    /// Largest number of lanes in a workgroup.
    pub max_lanes: u32,
    /// Most workgroup memory in bytes.
    pub max_workgroup_bytes: u32,
    /// The adapter computes on the CPU: lanes are SIMD lanes, and shared memory and barriers save
    /// no time. False if [`GpuOptions::prefer_gpu_strategies`] is set.
    pub software: bool,
    /// Allow only strategies whose result for a token has the same bits whatever other tokens are
    /// computed with it. This excludes those that sum in another order for one or a few tokens.
    pub deterministic: bool,
    /// The number of workgroups that are certain to run at the same time, each on its own core; 1
    /// if that is not known, as on every GPU.
    pub concurrent_workgroups: u32,
    /// Storage for tensors that allow either kind.
    pub storage: StorageKind,
    /// Largest storage-buffer binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest texture in bytes.
    pub max_texture_bytes: u64,
}

/// An open device, cheap to share behind an [`Arc`].
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

/// Locks a mutex even if it is poisoned: a panic of another thread leaves the data valid.
pub(in crate::gpu) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Capabilities {
    /// The capabilities that every adapter has, by WebGPU's default limits.
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

    /// The largest size in bytes of a tensor that allows either kind of storage.
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

    /// The capabilities that strategies may rely on.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether kernels may write a tensor that they read: see [`crate::gpu::Tensor::successor`].
    pub fn updates_in_place(&self) -> bool {
        self.textures.share_memory()
    }

    /// The clock that [`crate::gpu::Program::profile`] reads: "timestamps" or "wall clock".
    pub fn clock(&self) -> &'static str {
        if self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            "timestamps"
        } else {
            "wall clock"
        }
    }

    /// Whether the device was opened with immediates, which WebGPU's defaults lack and no kernel
    /// uses: see [`GpuOptions::immediates`].
    pub fn has_immediates(&self) -> bool {
        self.device.features().contains(wgpu::Features::IMMEDIATES)
            || self.device.limits().max_immediate_size > 0
    }

    /// The features and limits that were requested, in one line. Two devices of one adapter behave
    /// alike if these lines are equal.
    pub fn asked_for(&self) -> String {
        let Capabilities { subgroup, max_texture_bytes, .. } = self.capabilities;
        let (features, limits) = (self.device.features(), self.device.limits());
        format!("{features:?} {limits:?} {subgroup} {max_texture_bytes}")
    }

    /// The first error that the device reported since the last call, as an [`Error`].
    ///
    /// # Errors
    /// That error, with the label of the kernel or tensor that it concerns.
    pub fn check(&self) -> Result<()> {
        match lock(&self.first_error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Submits pending writes and waits until they are done, so that their staging memory is freed
    /// and never holds more than one such batch.
    ///
    /// # Errors
    /// An error that the device reported in the meantime.
    pub fn flush(&self) -> Result<()> {
        let submission_index = Some(self.queue.submit([]));
        let polled = self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
        self.check()?;
        polled.map(|_| ()).map_err(|error| Error::Device(format!("sending to the device: {error}")))
    }

    /// Blocks until all submitted work is done.
    ///
    /// # Errors
    /// An error that the device reported in the meantime.
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
            // SAFETY: this crate's shaders clamp their indices and bound their loops, and the tests
            // of the kernels run with the checks on.
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

/// Converts a device error into an [`Error`]; wgpu's text names the labelled object.
pub(in crate::gpu) fn device_error(error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { source } => Error::AllocationFailed(source.to_string()),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::Device(format!("the device refused a request: {description}"))
        }
    }
}
