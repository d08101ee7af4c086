//! Lists the adapters of the machine, reports what they can do, and chooses one.

use crate::{Error, Result};
use serde::Serialize;

/// One adapter as `kaiwu devices` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterReport {
    /// The adapter's number, for `--adapter`.
    pub index: usize,
    /// Marketing name, for instance "llvmpipe (LLVM 15.0.6, 256 bits)".
    pub name: String,
    /// "vulkan", "metal", "dx12", "gl".
    pub backend: String,
    /// "discrete GPU", "integrated GPU", "virtual GPU", "software", "other".
    pub kind: &'static str,
    /// Address on the PCI bus, such as "0000:01:00.0"; empty if the backend does not report it.
    pub pci: String,
    /// PCI vendor and device numbers, such as "10de:2684".
    pub id: String,
    /// Driver name.
    pub driver: String,
    /// Driver version as the driver words it.
    pub driver_info: String,
    /// Whether shaders may compute with and store half-precision numbers.
    pub f16: bool,
    /// Smallest and largest subgroup size in lanes; `None` if shaders cannot use subgroups.
    pub subgroup_sizes: Option<[u32; 2]>,
    /// Whether the adapter has immediates (push constants).
    pub immediates: bool,
    /// Whether profiles can use timestamp queries.
    pub timestamps: bool,
    /// Whether compiled pipelines can be kept between runs.
    pub pipeline_cache: bool,
    /// Largest storage-buffer binding in bytes. Larger tensors are split by rows.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Largest side of a 2-D texture, in texels of 16 bytes.
    pub max_texture_side: u32,
    /// Workgroup memory in bytes.
    pub workgroup_memory_bytes: u32,
    /// Largest number of lanes in a workgroup.
    pub max_lanes: u32,
    /// Storage buffers a kernel may bind.
    pub storage_buffers: u32,
    /// Storage textures a kernel may bind.
    pub storage_textures: u32,
    /// Whether this adapter is chosen when the user asks for none.
    pub chosen: bool,
    /// Why the adapter is chosen or not.
    pub reason: String,
}

/// The error message when no adapter is found.
const NO_ADAPTER: &str = "no Vulkan, Metal or DX12 adapter was found. On Debian or Ubuntu without a GPU, install \
the software adapter with: sudo apt-get install -y libvulkan1 mesa-vulkan-drivers";

fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // Validation layers are a debugging aid and slow down every submission; wgpu's environment
    // variables turn them on.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    wgpu::Instance::new(descriptor)
}

/// The adapter that the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gpu) struct Wish {
    text: String,
    /// The environment variable that asked for the adapter; `None` if an option did.
    by: Option<&'static str>,
}

impl Wish {
    /// The adapter named by `option`, or else by the environment variable that all wgpu programs
    /// share.
    pub(in crate::gpu) fn new(option: Option<&str>) -> Option<Self> {
        const NAME: &str = "WGPU_ADAPTER_NAME";
        let variable = || variable(NAME).map(|text| Self { text, by: Some(NAME) });
        option.map(|text| Self { text: text.into(), by: None }).or_else(variable)
    }

    /// The index of the first adapter that matches: by its number, else by its backend, else by a
    /// part of its name, backend, driver, PCI address or ids.
    fn find(&self, infos: &[wgpu::AdapterInfo]) -> Option<usize> {
        let wanted = self.text.to_lowercase();
        let label = |info: &wgpu::AdapterInfo| {
            let wgpu::AdapterInfo {
                name,
                backend,
                driver,
                driver_info,
                device_pci_bus_id: pci,
                ..
            } = info;
            format!("{name} {backend} {driver} {driver_info} {pci} {}", id(info)).to_lowercase()
        };
        // A number of three or more digits is a part of a name or id, because no machine has that
        // many adapters.
        if let Some(index) = wanted.parse().ok().filter(|&index: &usize| index < 100) {
            return (index < infos.len()).then_some(index);
        }
        if BACKENDS.contains(&&*wanted) {
            // A backend is compared as a whole, because many names contain "gl".
            infos.iter().position(|info| info.backend.to_str() == wanted)
        } else {
            infos.iter().position(|info| label(info).contains(&wanted))
        }
    }
}

const BACKENDS: [&str; 4] = ["vulkan", "metal", "dx12", "gl"];

/// The value of an environment variable, if it is set and not blank.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// PCI vendor and device numbers, as `vendor:device` in hexadecimal digits.
fn id(info: &wgpu::AdapterInfo) -> String {
    format!("{:04x}:{:04x}", info.vendor, info.device)
}

/// All adapters of the backends in `WGPU_BACKEND`, or of all backends if it is not set. GL is then
/// started only when no other backend has an adapter or `wanted` asks for it, because it starts
/// slowly, looks for a display, and lacks subgroups.
pub(in crate::gpu) fn enumerate(wanted: Option<&Wish>) -> Vec<wgpu::Adapter> {
    let list = |backends| pollster::block_on(instance(backends).enumerate_adapters(backends));
    if let Some(backends) = variable(BACKEND) {
        return list(wgpu::Backends::from_comma_list(&backends));
    }
    let mut all = list(wgpu::Backends::PRIMARY);
    let infos: Vec<_> = all.iter().map(wgpu::Adapter::get_info).collect();
    if infos.is_empty() || wanted.is_some_and(|wanted| wanted.find(&infos).is_none()) {
        all.extend(list(wgpu::Backends::GL));
    }
    all
}

const BACKEND: &str = "WGPU_BACKEND";

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

/// The index of the adapter to use, and the reason: the first match of `wanted` if given, else a
/// GPU before a software adapter, in the order in which the system lists them.
pub(in crate::gpu) fn choose(
    infos: &[wgpu::AdapterInfo],
    wanted: Option<&Wish>,
) -> Result<(usize, String)> {
    if infos.is_empty() {
        let only =
            variable(BACKEND).map(|backends| format!("; {BACKEND} asks for {backends} only"));
        let message = NO_ADAPTER.to_owned() + &only.unwrap_or_default();
        return Err(Error::NoAdapter { wanted: None, message });
    }
    if let Some(wish @ Wish { text, by }) = wanted {
        let by = by.map(|name| format!("{name} ")).unwrap_or_default();
        return match wish.find(infos) {
            Some(index) => Ok((index, format!("matches {by}{text:?}"))),
            None => {
                let name = |(index, info): (usize, &wgpu::AdapterInfo)| {
                    format!("{index} {:?} ({})", info.name, info.backend)
                };
                let names: Vec<_> = infos.iter().enumerate().map(name).collect();
                let message =
                    format!("no adapter matches {by}{text:?}; there are {}", names.join(", "));
                Err(Error::NoAdapter { wanted: Some(text.clone()), message })
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

/// Whether the driver is lavapipe, Mesa's Vulkan driver for the CPU. Code for it relies on
/// properties that no specification promises: each core's thread runs one workgroup after another,
/// a dispatch ends before the next one begins, a linear image is stored as its rows, and a barrier
/// changes no texel.
pub(in crate::gpu) fn is_lavapipe(driver: &str) -> bool {
    driver == "llvmpipe"
}

/// Describes the adapter with number `index`.
pub(in crate::gpu) fn report(
    adapter: &wgpu::Adapter,
    index: usize,
    chosen: bool,
    reason: String,
) -> AdapterReport {
    let (info, features, limits) = (adapter.get_info(), adapter.features(), adapter.limits());
    AdapterReport {
        index,
        name: info.name.clone(),
        backend: info.backend.to_string(),
        kind: kind_name(info.device_type),
        pci: info.device_pci_bus_id.clone(),
        id: id(&info),
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

/// Every adapter of this machine; the one that `wanted` selects is marked as chosen.
///
/// # Errors
/// When there is no adapter, or none matches `wanted`.
pub fn list_adapters(wanted: Option<&str>) -> Result<Vec<AdapterReport>> {
    let wanted = Wish::new(wanted);
    let adapters = enumerate(wanted.as_ref());
    let infos: Vec<_> = adapters.iter().map(wgpu::Adapter::get_info).collect();
    let (best, reason) = choose(&infos, wanted.as_ref())?;
    Ok(adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let why = if index == best {
                reason.clone()
            } else {
                format!("number {best}, {:?}, comes before it", infos[best].name)
            };
            report(adapter, index, index == best, why)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(
        name: &str,
        backend: wgpu::Backend,
        device_type: wgpu::DeviceType,
        pci: &str,
    ) -> wgpu::AdapterInfo {
        let mut info = wgpu::AdapterInfo::new(device_type, backend);
        (info.name, info.device_pci_bus_id) = (name.into(), pci.into());
        (info.vendor, info.device) = (0x10de, 0x2684);
        info
    }

    #[test]
    fn adapters_of_one_name_are_told_apart() {
        use wgpu::{Backend, DeviceType};
        let infos = [
            info("llvmpipe 15", Backend::Vulkan, DeviceType::Cpu, ""),
            info("RTX 4090 OpenGL", Backend::Vulkan, DeviceType::DiscreteGpu, "0000:01:00.0"),
            info("RTX 4090 OpenGL", Backend::Vulkan, DeviceType::DiscreteGpu, "0000:02:00.0"),
            info("RTX 4090 OpenGL", Backend::Gl, DeviceType::DiscreteGpu, ""),
        ];
        let chosen = |text: &str| {
            let wish = Wish { text: text.into(), by: None };
            choose(&infos, Some(&wish)).map(|(index, _)| index).ok()
        };
        for (text, index) in [
            ("0", Some(0)),
            ("2", Some(2)),
            ("15", None),
            ("rtx", Some(1)),
            ("4090", Some(1)),
            ("02:00.0", Some(2)),
            ("10DE:2684", Some(0)),
            ("GL", Some(3)),
            ("opengl", Some(1)),
            ("metal", None),
            ("5", None),
        ] {
            assert_eq!(chosen(text), index, "{text}");
        }
        assert_eq!(choose(&infos, None).map(|(index, _)| index).ok(), Some(1));
        let wish = Wish { text: "abacus".into(), by: Some("WGPU_ADAPTER_NAME") };
        let error = choose(&infos[..1], Some(&wish)).unwrap_err().to_string();
        assert!(
            error.contains("WGPU_ADAPTER_NAME \"abacus\"; there are 0 \"llvmpipe 15\" (vulkan)"),
            "{error}"
        );
    }
}
