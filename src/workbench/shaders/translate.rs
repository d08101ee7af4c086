//! What other backends are given: a rendered shader as naga, wgpu's own translator, writes it.

use crate::{Error, Result};
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage, front::wgsl};

/// A shading language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// WebGPU's, as it was rendered.
    Wgsl,
    /// Vulkan's, binary.
    Spirv,
    /// Metal's.
    Msl,
    /// DirectX 12's.
    Hlsl,
    /// OpenGL's.
    Glsl,
}

/// A shader in one language.
#[derive(Debug, Clone, PartialEq)]
pub enum Translation {
    /// Source text.
    Text(String),
    /// SPIR-V words.
    Words(Vec<u32>),
}

// Workgroup memory is not cleared, here as in `gpu::pipeline`: FXC takes minutes for the stores of
// one lane that do it.

/// Out-of-bounds accesses are held within what is bound, as wgpu does it.
const CHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Restrict,
    image_load: BoundsCheckPolicy::Restrict,
    binding_array: BoundsCheckPolicy::Unchecked,
};

/// A compute shader that naga took.
#[derive(Debug)]
pub struct Shader {
    module: Module,
    info: ModuleInfo,
    entry: String,
    subgroups: bool,
    f16: bool,
}

impl Shader {
    /// Parses and validates WGSL whose only entry point is the compute shader `entry`. Without
    /// `subgroups`, subgroup operations are errors; halves are where the text does not begin with
    /// `enable f16;`.
    ///
    /// # Errors
    /// What naga refuses, in its words; another entry point.
    pub fn parse(text: &str, entry: &str, subgroups: bool) -> Result<Self> {
        let refused = |message: String| Error::Kernel { kernel: entry.into(), message };
        let module = wgsl::parse_str(text).map_err(|error| refused(error.emit_to_string(text)))?;
        // Conversions between halves and floats are core WGSL; naga counts them as a capability for
        // old GL's sake.
        let core = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let mut allowed = if subgroups { core | Capabilities::SUBGROUP } else { core };
        let f16 = text.starts_with("enable f16;");
        allowed.set(Capabilities::SHADER_FLOAT16, f16);
        let info = Validator::new(ValidationFlags::all(), allowed)
            .validate(&module)
            .map_err(|error| refused(error.emit_to_string(text)))?;
        match &module.entry_points[..] {
            [one] if one.name == entry && one.stage == ShaderStage::Compute => {}
            others => {
                let names: Vec<_> = others.iter().map(|other| &other.name).collect();
                return Err(refused(format!(
                    "entry points {names:?} instead of the compute shader {entry}"
                )));
            }
        }
        Ok(Self { module, info, entry: entry.into(), subgroups, f16 })
    }

    /// The module as naga parsed it.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Whether it was allowed subgroup operations.
    pub fn subgroups(&self) -> bool {
        self.subgroups
    }

    /// Whether it asks for half-precision arithmetic.
    pub fn f16(&self) -> bool {
        self.f16
    }

    fn failed(&self, language: &str, error: &dyn std::fmt::Display) -> Error {
        Error::Kernel { kernel: self.entry.clone(), message: format!("{language}: {error}") }
    }

    /// SPIR-V 1.0, or 1.3 with subgroups, for Vulkan 1.1; with bounds checks, as a
    /// device opened with `checked` gets it, or without.
    ///
    /// # Errors
    /// What cannot be written with the capabilities that every such device has.
    pub fn spirv(&self, checked: bool) -> Result<Vec<u32>> {
        use spv::Capability as C;
        let mut allowed = vec![C::Shader, C::Matrix, C::ImageQuery, C::StorageImageExtendedFormats];
        if self.subgroups {
            allowed.extend([
                C::GroupNonUniform,
                C::GroupNonUniformVote,
                C::GroupNonUniformArithmetic,
            ]);
            allowed.extend([C::GroupNonUniformBallot, C::GroupNonUniformShuffle]);
            allowed.extend([C::GroupNonUniformShuffleRelative, C::GroupNonUniformQuad]);
        }
        if self.f16 {
            allowed.extend([
                C::Float16,
                C::StorageBuffer16BitAccess,
                C::UniformAndStorageBuffer16BitAccess,
            ]);
        }
        let options = spv::Options {
            lang_version: if self.subgroups { (1, 3) } else { (1, 0) },
            capabilities: Some(allowed.into_iter().collect()),
            bounds_check_policies: if checked { CHECKED } else { BoundsCheckPolicies::default() },
            force_loop_bounding: checked,
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            ..Default::default()
        };
        let pipeline = spv::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: self.entry.clone(),
        };
        spv::write_vec(&self.module, &self.info, &options, Some(&pipeline))
            .map_err(|error| self.failed("SPIR-V", &error))
    }

    /// MSL 2.0, or 2.1 with subgroups: the first with the SIMD-group reductions.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn msl(&self) -> Result<String> {
        let options = msl::Options {
            lang_version: if self.subgroups { (2, 1) } else { (2, 0) },
            bounds_check_policies: CHECKED,
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        let pipeline = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, self.entry.clone())),
            ..Default::default()
        };
        let (text, info) = msl::write_string(&self.module, &self.info, &options, &pipeline)
            .map_err(|error| self.failed("MSL", &error))?;
        self.written("MSL", text, info.entry_point_names)
    }

    /// HLSL of shader model 5.1, which FXC is to take, or for DXC of 6.0, or with halves 6.2.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn hlsl(&self, fxc: bool) -> Result<String> {
        // As DXC's namespace, which naga does not step around.
        if self
            .module
            .global_variables
            .iter()
            .any(|(_, global)| global.name.as_deref() == Some("dx"))
        {
            return Err(self.failed(
                "HLSL",
                &"DXC takes dx for its own namespace; the variable needs another name",
            ));
        }
        if self.subgroup_values_are_lost() {
            let message = "naga leaves out a structure's subgroup values unless another one is an argument of its own";
            return Err(self.failed("HLSL", &message));
        }
        let shader_model = match (fxc, self.f16) {
            (true, _) => hlsl::ShaderModel::V5_1,
            (false, false) => hlsl::ShaderModel::V6_0,
            (false, true) => hlsl::ShaderModel::V6_2,
        };
        let options = hlsl::Options {
            shader_model,
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        let pipeline =
            hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, self.entry.clone())) };
        let mut text = String::new();
        let info = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&self.module, &self.info, None)
            .map_err(|error| self.failed("HLSL", &error))?;
        self.written("HLSL", text, info.entry_point_names)
    }

    /// Whether the entry point's arguments are such that naga 30 writes HLSL that DXC refuses,
    /// without a word.
    fn subgroup_values_are_lost(&self) -> bool {
        use naga::{Binding, BuiltIn as B};
        let of_subgroup = |binding: &Option<Binding>| {
            let Some(Binding::BuiltIn(value)) = binding else { return false };
            matches!(
                value,
                B::SubgroupSize | B::SubgroupInvocationId | B::SubgroupId | B::NumSubgroups
            )
        };
        let arguments = &self.module.entry_points[0].function.arguments;
        let within = arguments.iter().any(|argument| match &self.module.types[argument.ty].inner {
            naga::TypeInner::Struct { members, .. } => {
                members.iter().any(|member| of_subgroup(&member.binding))
            }
            _ => false,
        });
        within && !arguments.iter().any(|argument| of_subgroup(&argument.binding))
    }

    /// GLSL 4.30, or GLSL ES 3.10, which has no subgroups.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn glsl(&self, embedded: bool) -> Result<String> {
        let version =
            if embedded { glsl::Version::new_gles(310) } else { glsl::Version::Desktop(430) };
        let options = glsl::Options {
            version,
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        let pipeline = glsl::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: self.entry.clone(),
            multiview: None,
        };
        let mut text = String::new();
        glsl::Writer::new(&mut text, &self.module, &self.info, &options, &pipeline, CHECKED)
            .and_then(|mut writer| writer.write())
            .map_err(|error| {
                if self.f16 {
                    self.failed(
                        "GLSL",
                        &format!("naga does not write halves in this language: {error}"),
                    )
                } else {
                    self.failed("GLSL", &error)
                }
            })?;
        Ok(text)
    }

    /// The text, if the entry point is in it.
    fn written<E: std::fmt::Display>(
        &self,
        language: &str,
        text: String,
        entries: Vec<std::result::Result<String, E>>,
    ) -> Result<String> {
        match entries.into_iter().next() {
            Some(Ok(_)) => Ok(text),
            Some(Err(error)) => Err(self.failed(language, &error)),
            None => Err(self.failed(language, &"no entry point was written")),
        }
    }
}

/// Translates the WGSL `text` with the compute entry point `entry`. What uses subgroups becomes
/// SPIR-V 1.3, MSL 2.1, shader model 6.0 or GLSL 4.30; what computes with halves shader model 6.2;
/// the rest SPIR-V 1.0, MSL 2.0, shader model 5.1 or GLSL ES 3.10. Whether SPIR-V has the bounds
/// and loop checks says `checked`; the other languages have them always, as wgpu writes them there.
///
/// # Errors
/// What naga refuses, in its words.
pub fn translate(text: &str, entry: &str, target: Target, checked: bool) -> Result<Translation> {
    if target == Target::Wgsl {
        return Ok(Translation::Text(text.into()));
    }
    let shader = Shader::parse(text, entry, false).or_else(|_| Shader::parse(text, entry, true))?;
    match target {
        Target::Wgsl | Target::Spirv => shader.spirv(checked).map(Translation::Words),
        Target::Msl => shader.msl().map(Translation::Text),
        Target::Hlsl => shader.hlsl(!shader.subgroups && !shader.f16).map(Translation::Text),
        Target::Glsl => shader.glsl(!shader.subgroups).map(Translation::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLE: &str = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(8) fn double(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] *= 2.0; }";

    #[test]
    fn subgroup_values_of_a_structure_alone_are_no_hlsl() {
        let text = |more: &str| {
            format!(
                "struct Lane {{ @builtin(subgroup_id) subgroup: u32 }}
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(8) fn number(lane: Lane{more}) {{ x[0] = lane.subgroup; }}"
            )
        };
        let message = translate(&text(""), "number", Target::Hlsl, true).unwrap_err().to_string();
        assert!(message.contains("subgroup values"), "{message}");
        let Translation::Text(hlsl) =
            translate(&text(", @builtin(subgroup_size) size: u32"), "number", Target::Hlsl, true)
                .unwrap()
        else {
            panic!("HLSL is text")
        };
        assert!(hlsl.contains("WaveGetLaneCount"), "{hlsl}");
    }

    #[test]
    fn a_shader_is_written_in_each_language() {
        for (target, part) in [
            (Target::Wgsl, "@workgroup_size(8) fn double("),
            (Target::Msl, "kernel void double"),
            (Target::Hlsl, "[numthreads(8, 1, 1)]"),
            (Target::Glsl, "layout(local_size_x = 8"),
        ] {
            let Translation::Text(text) = translate(DOUBLE, "double", target, true).unwrap() else {
                panic!("{target:?} is text")
            };
            assert!(text.contains(part), "{target:?}: {text}");
        }
        let Translation::Words(words) = translate(DOUBLE, "double", Target::Spirv, true).unwrap()
        else {
            panic!("SPIR-V is words")
        };
        assert_eq!(words[0], 0x0723_0203);
        let Translation::Words(bare) = translate(DOUBLE, "double", Target::Spirv, false).unwrap()
        else {
            panic!("SPIR-V is words")
        };
        assert!(
            bare.len() < words.len(),
            "{} words with checks, {} without",
            words.len(),
            bare.len()
        );
        assert!(translate("fn double() {", "double", Target::Msl, true).is_err());
    }
}
