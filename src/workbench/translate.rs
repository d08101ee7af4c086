//! What other backends are given: a rendered shader as naga, wgpu's own translator, writes it.

use crate::{Error, Result};
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{ShaderStage, front::wgsl};

/// A shading language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// As it was rendered.
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

/// Out-of-bounds accesses are held within what is bound, as wgpu does it.
const CHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Restrict,
    image_load: BoundsCheckPolicy::Restrict,
    binding_array: BoundsCheckPolicy::Unchecked,
};

/// Translates the WGSL `text` with the compute entry point `entry`. What uses subgroups becomes SPIR-V 1.3, MSL 2.1,
/// shader model 6.0 or GLSL 4.30; the rest SPIR-V 1.0, MSL 2.0, shader model 5.1 or GLSL ES 3.10.
///
/// # Errors
/// What naga refuses, in its words.
pub fn translate(text: &str, entry: &str, target: Target) -> Result<Translation> {
    let refused = |message: String| Error::Kernel { kernel: entry.into(), message };
    let failed = |language: &str, error: &dyn std::fmt::Display| refused(format!("{language}: {error}"));
    if target == Target::Wgsl {
        return Ok(Translation::Text(text.into()));
    }
    let module = wgsl::parse_str(text).map_err(|error| refused(error.emit_to_string(text)))?;
    // Conversions between halves and floats are core WGSL; naga counts them as a capability for old GL's sake.
    let core = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let validate = |allowed| {
        let checked = Validator::new(ValidationFlags::all(), allowed).validate(&module);
        checked.map_err(|error| refused(error.emit_to_string(text)))
    };
    let (info, subgroups) = match validate(core) {
        Ok(info) => (info, false),
        Err(_) => (validate(core | Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16)?, true),
    };
    let stage = ShaderStage::Compute;
    match target {
        Target::Wgsl | Target::Spirv => {
            let options = spv::Options {
                lang_version: if subgroups { (1, 3) } else { (1, 0) },
                bounds_check_policies: CHECKED,
                ..Default::default()
            };
            let pipeline = spv::PipelineOptions { shader_stage: stage, entry_point: entry.into() };
            let words = spv::write_vec(&module, &info, &options, Some(&pipeline));
            words.map(Translation::Words).map_err(|error| failed("SPIR-V", &error))
        }
        Target::Msl => {
            let options = msl::Options {
                lang_version: if subgroups { (2, 1) } else { (2, 0) },
                bounds_check_policies: CHECKED,
                ..Default::default()
            };
            let pipeline =
                msl::PipelineOptions { entry_point: Some((stage, entry.into())), ..Default::default() };
            let (text, _) = msl::write_string(&module, &info, &options, &pipeline)
                .map_err(|error| failed("MSL", &error))?;
            Ok(Translation::Text(text))
        }
        Target::Hlsl => {
            let shader_model = if subgroups { hlsl::ShaderModel::V6_0 } else { hlsl::ShaderModel::V5_1 };
            let options = hlsl::Options { shader_model, ..Default::default() };
            let pipeline = hlsl::PipelineOptions { entry_point: Some((stage, entry.into())) };
            let mut text = String::new();
            hlsl::Writer::new(&mut text, &options, &pipeline)
                .write(&module, &info, None)
                .map_err(|error| failed("HLSL", &error))?;
            Ok(Translation::Text(text))
        }
        Target::Glsl => {
            let version = if subgroups { glsl::Version::Desktop(430) } else { glsl::Version::new_gles(310) };
            let options = glsl::Options { version, ..Default::default() };
            let pipeline =
                glsl::PipelineOptions { shader_stage: stage, entry_point: entry.into(), multiview: None };
            let mut text = String::new();
            glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, CHECKED)
                .and_then(|mut writer| writer.write())
                .map_err(|error| failed("GLSL", &error))?;
            Ok(Translation::Text(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLE: &str = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(8) fn double(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] *= 2.0; }";

    #[test]
    fn a_shader_is_written_in_each_language() {
        for (target, part) in [
            (Target::Wgsl, "@workgroup_size(8) fn double("),
            (Target::Msl, "kernel void double"),
            (Target::Hlsl, "[numthreads(8, 1, 1)]"),
            (Target::Glsl, "layout(local_size_x = 8"),
        ] {
            let Translation::Text(text) = translate(DOUBLE, "double", target).unwrap() else {
                panic!("{target:?} is text")
            };
            assert!(text.contains(part), "{target:?}: {text}");
        }
        let Translation::Words(words) = translate(DOUBLE, "double", Target::Spirv).unwrap() else {
            panic!("SPIR-V is words")
        };
        assert_eq!(words[0], 0x0723_0203);
        assert!(translate("fn double() {", "double", Target::Msl).is_err());
    }
}
