//! From operands and a strategy to WGSL: the bindings and accessors are rendered, the algorithm is the shader file.
//!
//! Shader files are templates: a line that begins with `//%` is a statement (`//% for t in range(TOKENS)`,
//! `//% include "q4_1"`), and `{{ t }}` is a value. Everything else is plain WGSL.

use super::kernel::{Access, Constant, Kernel, Operand, Parameter, Strategy};
use super::tensor::{Element, Storage, TEXTURE_WIDTH};
use crate::{Error, Result};
use minijinja::{Environment, Value, syntax::SyntaxConfig};
use std::fmt::Write;
use std::sync::OnceLock;

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../shaders/lib/", $name, ".wgsl")))),*]
    };
}

/// Shared pieces that shaders include by name.
pub const LIBRARY: &[(&str, &str)] = library![
    "f32",
    "f16",
    "bf16",
    "q4_0",
    "q4_1",
    "q5_0",
    "q5_1",
    "q8_0",
    "q4_k",
    "q5_k",
    "q6_k",
    "q2_k",
    "q3_k",
    "iq4_nl",
    "nibbles",
    "fifth_bits",
    "floats",
    "k_scales",
    "bit_pairs",
    "byte_scales",
    "matrix",
    "columns",
    "experts",
    "tile",
    "halves",
    "pointwise",
    "activation",
    "causal",
    "clip",
    "cache",
    "cache_read",
    "cache_write",
    "finish_rows",
    "finish_capped",
    "finish_gelu",
    "finish_relu",
    "gelu",
    "gated",
    "finish_swiglu",
    "finish_geglu",
    "finish_rope_cache",
];

fn environment() -> Result<&'static Environment<'static>> {
    static ENVIRONMENT: OnceLock<std::result::Result<Environment<'static>, String>> = OnceLock::new();
    let made = ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().line_statement_prefix("//%").keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, source) in LIBRARY {
            environment.add_template(name, source).map_err(|error| error.to_string())?;
        }
        Ok(environment)
    });
    made.as_ref().map_err(|message| Error::Kernel { kernel: "library".into(), message: message.clone() })
}

/// What the text of a rendered shader depends on: equal signatures share a pipeline.
pub fn signature(kernel: &dyn Kernel, strategy: &Strategy) -> String {
    let mut text = format!("{}|{:?}", strategy.name, strategy.constants);
    for operand in kernel.operands() {
        let _ = write!(text, "|{}:{}", operand.name, storage_word(&operand));
    }
    for parameter in kernel.parameters() {
        let (Parameter::U32(name, _) | Parameter::F32(name, _)) = parameter;
        let _ = write!(text, "|{name}");
    }
    text
}

fn storage_word(operand: &Operand) -> String {
    let Some(tensor) = &operand.tensor else { return "none".into() };
    match tensor.storage() {
        Storage::Host => "host".into(),
        Storage::Buffer(_) => "buffer".into(),
        Storage::Texture(..) => "texture".into(),
        Storage::Uniform(_) if operand.access == Access::Read => {
            format!("uniform{}", tensor.len().div_ceil(4))
        }
        Storage::Uniform(_) => "buffer".into(),
    }
}

/// The WGSL text of one kernel call.
///
/// # Errors
/// When the template does not render; the message names the line.
pub fn render(kernel: &dyn Kernel, strategy: &Strategy) -> Result<String> {
    let mut text = if strategy.needs.f16 { "enable f16;\n\n".to_owned() } else { String::new() };
    parameters(&mut text, &kernel.parameters());
    let mut context = vec![];
    let mut binding = 1;
    for operand in kernel.operands() {
        context.push((format!("has_{}", operand.name), Value::from(operand.tensor.is_some())));
        declare(&mut text, binding, &operand);
        binding += u32::from(operand.tensor.is_some());
    }
    context.extend(strategy.constants.iter().map(|(name, constant)| {
        let value = match *constant {
            Constant::Count(count) => Value::from(count),
            Constant::Switch(switch) => Value::from(switch),
            Constant::Word(word) => Value::from(word),
        };
        (name.to_string(), value)
    }));
    let context: Value = context.into_iter().collect::<std::collections::BTreeMap<_, _>>().into();
    let body = environment()?
        .render_named_str(strategy.entry, strategy.source, context)
        .map_err(|error| Error::Kernel { kernel: strategy.name.into(), message: format!("{error:#}") })?;
    text.push_str(&body);
    Ok(text)
}

fn parameters(text: &mut String, parameters: &[Parameter]) {
    text.push_str("struct Parameters {\n");
    for parameter in parameters {
        let _ = match parameter {
            Parameter::U32(name, _) => writeln!(text, "    {name}: u32,"),
            Parameter::F32(name, _) => writeln!(text, "    {name}: f32,"),
        };
    }
    text.push_str("}\n@group(0) @binding(0) var<uniform> p: Parameters;\n\n");
}

fn declare(text: &mut String, binding: u32, operand: &Operand) {
    let name = operand.name;
    let (Some(tensor), access) = (&operand.tensor, operand.access) else {
        let _ = writeln!(text, "fn load_{name}(i: u32) -> vec4<f32> {{ return vec4<f32>(); }}\n");
        return;
    };
    let kind = match tensor.element() {
        Element::F32 => "vec4<f32>",
        Element::U32 | Element::F16 | Element::Q8 => "vec4<u32>",
    };
    let (reads, writes) = (access != Access::Write, access != Access::Read);
    let at = format!("vec2<u32>(i & {}u, i >> {}u)", TEXTURE_WIDTH - 1, TEXTURE_WIDTH.trailing_zeros());
    let (declaration, load, store) = match tensor.storage() {
        Storage::Texture(..) => (
            format!("var {name}: texture_storage_2d<rgba32uint, {}>;", if writes { "write" } else { "read" }),
            format!("bitcast<{kind}>(textureLoad({name}, {at}))"),
            format!("textureStore({name}, {at}, bitcast<vec4<u32>>(v))"),
        ),
        Storage::Uniform(_) if !writes => (
            format!("var<uniform> {name}: array<{kind}, {}>;", tensor.len().div_ceil(4)),
            format!("{name}[i]"),
            String::new(),
        ),
        _ => (
            format!("var<storage, {}> {name}: array<{kind}>;", if writes { "read_write" } else { "read" }),
            format!("{name}[i]"),
            format!("{name}[i] = v"),
        ),
    };
    let _ = writeln!(text, "@group(0) @binding({binding}) {declaration}");
    if reads {
        let _ = writeln!(text, "fn load_{name}(i: u32) -> {kind} {{ return {load}; }}");
    }
    if writes {
        let _ = writeln!(text, "fn store_{name}(i: u32, v: {kind}) {{ {store}; }}");
    }
    text.push('\n');
}
