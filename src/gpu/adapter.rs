//! Which adapters there are, what they can do, and which one is taken.

use crate::{Error, Result};
use serde::Serialize;

/// One adapter as `kaiwu devices` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterReport {
    /// Marketing name, for instance "llvmpipe (LLVM 15.0.6, 256 bits)".
    pub name: String,
    /// "vulkan", "metal", "dx12", "gl".
    pub backend: String,
    /// "discrete GPU", "integrated GPU", "virtual GPU", "software", "other".
    pub kind: &'static str,
    /// Driver name.
    pub driver: String,
    /// Driver version as the driver words it.
    pub driver_info: String,
    /// Half-precision arithmetic and storage in shaders.
    pub f16: bool,
    /// Smallest and largest subgroup, where subgroups can be used.
    pub subgroup_sizes: Option<[u32; 2]>,
    /// Push constants.
    pub immediates: bool,
    /// Timestamp queries for profiles.
    pub timestamps: bool,
    /// Compiled pipelines can be kept between runs.
    pub pipeline_cache: bool,
    /// Largest storage-buffer binding, bytes. Larger tensors are split by rows.
    pub max_binding_bytes: u64,
    /// Largest buffer, bytes.
    pub max_buffer_bytes: u64,
    /// Largest side of a 2-D texture, texels of 16 bytes.
    pub max_texture_side: u32,
    /// Workgroup memory, bytes.
    pub workgroup_memory_bytes: u32,
    /// Lanes in a workgroup.
    pub max_lanes: u32,
    /// Storage buffers a kernel may bind.
    pub storage_buffers: u32,
    /// Storage textures a kernel may bind.
    pub storage_textures: u32,
    /// Whether this one is taken when nothing else is asked for.
    pub chosen: bool,
    /// Why it is or is not taken.
    pub reason: String,
}

/// The text printed when there is nothing to run on.
const NO_ADAPTER: &str = "no Vulkan, Metal or DX12 adapter was found. On Debian or Ubuntu without a GPU, install \
the software adapter with: sudo apt-get install -y libvulkan1 mesa-vulkan-drivers";

fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // Validation layers are a debugging aid, and cost every submit: RUST_LOG users can ask wgpu for them.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    wgpu::Instance::new(descriptor)
}

/// All adapters. GL is the last resort, started only when nothing else answers: it is slow to start, looks for a
/// display, and lacks subgroups.
pub(super) fn enumerate() -> Vec<wgpu::Adapter> {
    let list = |backends| pollster::block_on(instance(backends).enumerate_adapters(backends));
    let primary = list(wgpu::Backends::PRIMARY);
    if primary.is_empty() { list(wgpu::Backends::GL) } else { primary }
}

fn rank(kind: wgpu::DeviceType) -> u32 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn kind_name(kind: wgpu::DeviceType) -> &'static str {
    match kind {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

/// Index of the adapter to take, and why: the first match of `wanted` if given, else a GPU before a software
/// adapter, in the order the system lists them.
pub(super) fn choose(infos: &[wgpu::AdapterInfo], wanted: Option<&str>) -> Result<(usize, String)> {
    if infos.is_empty() {
        return Err(Error::Device(NO_ADAPTER.into()));
    }
    if let Some(wanted) = wanted {
        let needle = wanted.to_lowercase();
        let label = |info: &wgpu::AdapterInfo| {
            format!("{} {} {} {}", info.name, info.backend, info.driver, info.driver_info).to_lowercase()
        };
        return match infos.iter().position(|info| label(info).contains(&needle)) {
            Some(index) => Ok((index, format!("matches --adapter {wanted:?}"))),
            None => {
                let names: Vec<_> =
                    infos.iter().map(|info| format!("{:?} ({})", info.name, info.backend)).collect();
                Err(Error::Device(format!(
                    "no adapter matches {wanted:?}; there are {}. See `kaiwu devices`",
                    names.join(", ")
                )))
            }
        };
    }
    let best = (0..infos.len()).min_by_key(|&index| rank(infos[index].device_type)).unwrap_or(0);
    let reason = match (infos.len(), infos[best].device_type) {
        (1, wgpu::DeviceType::Cpu) => "the only adapter; it computes on the CPU".to_string(),
        (1, _) => "the only adapter".to_string(),
        (_, kind) => {
            format!("the first {} (discrete, integrated, virtual, then software)", kind_name(kind))
        }
    };
    Ok((best, reason))
}

/// Whether this is Mesa's driver that computes on the CPU. Some of what it does is promised by nobody: a thread a core takes
/// one workgroup after the other, a dispatch is over before the next one begins, a linear image is its rows, and a barrier touches no
/// texel.
pub(super) fn is_lavapipe(driver: &str) -> bool {
    driver == "llvmpipe"
}

pub(super) fn report(adapter: &wgpu::Adapter, chosen: bool, reason: String) -> AdapterReport {
    let (info, features, limits) = (adapter.get_info(), adapter.features(), adapter.limits());
    AdapterReport {
        name: info.name.clone(),
        backend: info.backend.to_string(),
        kind: kind_name(info.device_type),
        driver: info.driver.clone(),
        driver_info: info.driver_info.clone(),
        f16: features.contains(wgpu::Features::SHADER_F16),
        subgroup_sizes: features
            .contains(wgpu::Features::SUBGROUP)
            .then_some([info.subgroup_min_size, info.subgroup_max_size]),
        immediates: features.contains(wgpu::Features::IMMEDIATES),
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        pipeline_cache: features.contains(wgpu::Features::PIPELINE_CACHE),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_texture_side: limits.max_texture_dimension_2d,
        workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
        max_lanes: limits.max_compute_invocations_per_workgroup,
        storage_buffers: limits.max_storage_buffers_per_shader_stage,
        storage_textures: limits.max_storage_textures_per_shader_stage,
        chosen,
        reason,
    }
}

/// Every adapter of this machine, with the one that `wanted` (a substring, see `--adapter`) would select marked.
///
/// # Errors
/// When there is no adapter, or none matches.
pub fn list_adapters(wanted: Option<&str>) -> Result<Vec<AdapterReport>> {
    let adapters = enumerate();
    let infos: Vec<_> = adapters.iter().map(wgpu::Adapter::get_info).collect();
    let (best, reason) = choose(&infos, wanted)?;
    Ok(adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let why = match index == best {
                true => reason.clone(),
                false if wanted.is_some() => "does not come first among the matches".into(),
                false => format!("{:?} comes before it", infos[best].name),
            };
            report(adapter, index == best, why)
        })
        .collect())
}
