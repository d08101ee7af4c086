//! Shaders seen by naga alone: translated to what every backend takes, and held against limits. No driver is asked.

use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy, Layouter};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, ImageClass, Module, ShaderStage, TypeInner};

/// A shader that naga took.
#[derive(Debug)]
pub struct Portable {
    module: Module,
    info: ModuleInfo,
    entry: String,
    subgroups: bool,
}

/// WebGPU's default limits (W3C, WebGPU, section 3.6.2), of what kernels use.
const STORAGE_BUFFERS: usize = 8;
const UNIFORM_BUFFERS: usize = 12;
const UNIFORM_BYTES: u32 = 64 << 10;
const WORKGROUP_BYTES: u32 = 16 << 10;
const LANES: u32 = 256;
const LANES_Z: u32 = 64;
/// Twice the default: the storage that needs them is offered only where there are as many.
const STORAGE_TEXTURES: usize = 8;

/// As wgpu has them: no shader reads or writes outside of what is bound to it.
const CHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Restrict,
    image_load: BoundsCheckPolicy::Restrict,
    binding_array: BoundsCheckPolicy::Unchecked,
};

impl Portable {
    /// Parses and validates. Without `subgroups`, subgroup operations are errors.
    pub fn parse(text: &str, entry: &str, subgroups: bool) -> Result<Self, String> {
        let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
        // Conversions between halves and floats are core WGSL; naga counts them as a capability for old GL's sake.
        let core = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let allowed = if subgroups { core | Capabilities::SUBGROUP } else { core };
        let info = Validator::new(ValidationFlags::all(), allowed)
            .validate(&module)
            .map_err(|error| error.emit_to_string(text))?;
        match &module.entry_points[..] {
            [one] if one.name == entry && one.stage == ShaderStage::Compute => {}
            others => {
                let names: Vec<_> = others.iter().map(|other| &other.name).collect();
                return Err(format!("entry points {names:?} instead of the compute shader {entry}"));
            }
        }
        Ok(Self { module, info, entry: entry.into(), subgroups })
    }

    /// Writes it in every language that has what it claims; gives their names.
    pub fn translate(&self) -> Result<Vec<&'static str>, String> {
        self.spirv(true)?;
        self.msl()?;
        self.hlsl(false)?;
        self.glsl(glsl::Version::Desktop(430))?;
        let mut written = vec!["SPIR-V", "MSL", "HLSL 6.0", "GLSL 4.30"];
        if !self.subgroups {
            let text = self.hlsl(true)?;
            // naga writes these into shader model 5.1 without a word, and the compiler of that model refuses them.
            if let Some(name) = ["Wave", "float16_t", "int64_t"].iter().find(|&&name| text.contains(name)) {
                return Err(format!("HLSL 5.1 has no {name}"));
            }
            self.glsl(glsl::Version::new_gles(310))?;
            written.extend(["HLSL 5.1", "GLSL ES 3.10"]);
        }
        Ok(written)
    }

    /// The words for Vulkan, with bounds checks or without, as a device opened with `unchecked` gets them.
    pub fn spirv(&self, checked: bool) -> Result<Vec<u32>, String> {
        use spv::Capability as C;
        let mut allowed = vec![C::Shader, C::Matrix, C::ImageQuery, C::StorageImageExtendedFormats];
        if self.subgroups {
            allowed.extend([C::GroupNonUniform, C::GroupNonUniformVote, C::GroupNonUniformArithmetic]);
            allowed.extend([C::GroupNonUniformBallot, C::GroupNonUniformShuffle]);
            allowed.extend([C::GroupNonUniformShuffleRelative, C::GroupNonUniformQuad]);
        }
        let options = spv::Options {
            lang_version: if self.subgroups { (1, 3) } else { (1, 0) },
            capabilities: Some(allowed.into_iter().collect()),
            bounds_check_policies: if checked { CHECKED } else { BoundsCheckPolicies::default() },
            force_loop_bounding: checked,
            ..Default::default()
        };
        let pipeline =
            spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: self.entry.clone() };
        spv::write_vec(&self.module, &self.info, &options, Some(&pipeline))
            .map_err(|error| format!("SPIR-V: {error}"))
    }

    fn msl(&self) -> Result<String, String> {
        let options = msl::Options {
            // 2.1 is the first with the SIMD-group reductions.
            lang_version: if self.subgroups { (2, 1) } else { (2, 0) },
            bounds_check_policies: CHECKED,
            ..Default::default()
        };
        let pipeline = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, self.entry.clone())),
            ..Default::default()
        };
        let (text, info) = msl::write_string(&self.module, &self.info, &options, &pipeline)
            .map_err(|error| format!("MSL: {error}"))?;
        match info.entry_point_names.into_iter().next() {
            Some(Ok(_)) => Ok(text),
            Some(Err(error)) => Err(format!("MSL: {error}")),
            None => Err("MSL: no entry point was written".into()),
        }
    }

    /// The text for DX12: of shader model 5.1, which FXC is to take, or of 6.0, for DXC.
    pub fn hlsl(&self, fxc: bool) -> Result<String, String> {
        let shader_model = if fxc { hlsl::ShaderModel::V5_1 } else { hlsl::ShaderModel::V6_0 };
        let options = hlsl::Options { shader_model, ..Default::default() };
        let pipeline =
            hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, self.entry.clone())) };
        let mut text = String::new();
        let info = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&self.module, &self.info, None)
            .map_err(|error| format!("HLSL {shader_model:?}: {error}"))?;
        match info.entry_point_names.into_iter().next() {
            Some(Ok(_)) => Ok(text),
            Some(Err(error)) => Err(format!("HLSL {shader_model:?}: {error}")),
            None => Err(format!("HLSL {shader_model:?}: no entry point was written")),
        }
    }

    fn glsl(&self, version: glsl::Version) -> Result<String, String> {
        let options = glsl::Options { version, ..Default::default() };
        let pipeline = glsl::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: self.entry.clone(),
            multiview: None,
        };
        let failed = |error| format!("GLSL {version}: {error}");
        let mut text = String::new();
        glsl::Writer::new(&mut text, &self.module, &self.info, &options, &pipeline, CHECKED)
            .map_err(failed)?
            .write()
            .map_err(failed)?;
        Ok(text)
    }

    /// Lanes of a workgroup, and bytes of workgroup memory.
    pub fn lanes_and_workgroup_bytes(&self) -> (u32, u32) {
        let mut layouts = Layouter::default();
        layouts.update(self.module.to_ctx()).expect("a validated module has layouts");
        let shared = self.module.global_variables.iter().map(|(_, global)| global);
        let shared = shared.filter(|global| global.space == AddressSpace::WorkGroup);
        let bytes = shared.map(|global| layouts[global.ty].size.next_multiple_of(4)).sum();
        (self.module.entry_points[0].workgroup_size.iter().product(), bytes)
    }

    /// What it uses beyond WebGPU's default limits, in words.
    pub fn breaches(&self) -> Vec<String> {
        let mut layouts = Layouter::default();
        layouts.update(self.module.to_ctx()).expect("a validated module has layouts");
        let size = |ty| layouts[ty].to_stride();
        let (mut storage, mut uniform, mut textures, mut workgroup) = (0, 0, 0, 0);
        let mut breaches = vec![];
        for (_, global) in self.module.global_variables.iter() {
            match (&self.module.types[global.ty].inner, global.space) {
                (_, AddressSpace::Storage { .. }) => storage += 1,
                (_, AddressSpace::Uniform) => {
                    uniform += 1;
                    if size(global.ty) > UNIFORM_BYTES {
                        breaches.push(format!("a uniform of {} bytes", size(global.ty)));
                    }
                }
                (_, AddressSpace::WorkGroup) => workgroup += size(global.ty).next_multiple_of(16),
                (TypeInner::Image { class: ImageClass::Storage { .. }, .. }, _) => textures += 1,
                _ => {}
            }
        }
        let [x, y, z] = self.module.entry_points[0].workgroup_size;
        breaches.extend(
            [
                (storage > STORAGE_BUFFERS, format!("{storage} storage buffers")),
                (uniform > UNIFORM_BUFFERS, format!("{uniform} uniform buffers")),
                (textures > STORAGE_TEXTURES, format!("{textures} storage textures")),
                (workgroup > WORKGROUP_BYTES, format!("{workgroup} bytes of workgroup memory")),
                (x * y * z > LANES || z > LANES_Z, format!("workgroups of {x} x {y} x {z} lanes")),
            ]
            .into_iter()
            .filter_map(|(breached, words)| breached.then_some(words)),
        );
        breaches
    }
}
