//! Renders operands and a strategy into WGSL: bindings and accessors are generated, and the
//! algorithm comes from the shader file.
//!
//! Shader files are templates: a line that begins with `//%` is a statement (`//% for t in
//! range(TOKENS)`, `//% include "q4_1"`), and `{{ t }}` is a value. Everything else is plain WGSL.

use super::binding::bound;
use super::entry::as_entry_point;
use super::kernel::{Access, Constant, Kernel, Operand, Parameter, Strategy};
use crate::format::DType;
use crate::gpu::device::textures::TEXTURE_WIDTH;
use crate::gpu::tensor::tensor::{Element, Storage, Tensor};
use crate::{Error, Result};
use minijinja::{Environment, Value, syntax::SyntaxConfig};
use std::fmt::Write;
use std::sync::OnceLock;

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../shaders/lib/", $name, ".wgsl")))),*]
    };
}

/// Shared pieces that shaders include by name, except for those of the formats: see [`library`].
pub const LIBRARY: &[(&str, &str)] = library![
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
    "row",
    "activation",
    "causal",
    "eight_lanes",
    "clip",
    "cache",
    "cache_read",
    "cache_write",
    "finish_rows",
    "finish_capped",
    "finish_gelu",
    "finish_gelu_exact",
    "finish_relu",
    "gelu",
    "gelu_exact",
    "gated",
    "finish_swiglu",
    "finish_geglu",
    "finish_rope_cache",
];

/// Everything that shaders can include, as name and text: [`LIBRARY`] and the file of each format.
pub fn library() -> impl Iterator<Item = (&'static str, &'static str)> {
    let formats = DType::ALL.into_iter().map(|dtype| dtype.format().wgsl);
    LIBRARY.iter().copied().chain(formats.map(|wgsl| (wgsl.name, wgsl.source)))
}

/// Whether a shader file belongs to this crate. Such shaders clamp their indices and bound their
/// loops, so the device need not check that again; shaders from elsewhere are always checked.
pub(in crate::gpu) fn is_own(source: &str) -> bool {
    const OWN: &[&str] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
    OWN.contains(&source)
}

fn environment() -> Result<&'static Environment<'static>> {
    static ENVIRONMENT: OnceLock<std::result::Result<Environment<'static>, String>> =
        OnceLock::new();
    let made = ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .line_statement_prefix("//%")
            .keep_trailing_newline(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, source) in library() {
            environment.add_template(name, source).map_err(|error| error.to_string())?;
        }
        Ok(environment)
    });
    made.as_ref()
        .map_err(|message| Error::Kernel { kernel: "library".into(), message: message.clone() })
}

/// Everything that the text of a rendered shader depends on: calls with equal signatures share a
/// pipeline.
pub fn signature(kernel: &dyn Kernel, strategy: &Strategy) -> String {
    let mut text = format!("{}|{:?}|{:?}", strategy.name, strategy.constants, strategy.needs);
    for operand in bound(kernel) {
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
            format!("uniform{}", tensor.uniform_texels())
        }
        Storage::Uniform(_) => "buffer".into(),
    }
}

/// The WGSL text of one kernel call.
///
/// # Errors
/// When the template does not render; the message names the line.
pub fn render(kernel: &dyn Kernel, strategy: &Strategy) -> Result<String> {
    let operands = bound(kernel);
    let mut text = if strategy.needs.f16 { "enable f16;\n\n".to_owned() } else { String::new() };
    parameters(&mut text, 0, &kernel.parameters());
    let mut binding = 1;
    if operands.iter().any(|operand| reads_halves(operand, strategy)) {
        text.push_str("struct Halves {\n    lo: vec4<f16>,\n    hi: vec4<f16>,\n}\n");
    }
    for operand in &operands {
        let halves = reads_halves(operand, strategy);
        if let Some(tensor) = &operand.tensor {
            declare(&mut text, binding, variable(operand.name), tensor, operand.access, halves);
            binding += 1;
        }
        accessors(&mut text, operand, variable(operand.name), halves, false);
    }
    text.push_str(&as_entry_point(&body(kernel, strategy)?, strategy)?);
    Ok(text)
}

/// The name of the global variable for an operand. DXC has a namespace `dx`, which naga 30 does not
/// avoid.
fn variable(name: &'static str) -> &'static str {
    if name == "dx" { "gradient_of_x" } else { name }
}

/// Whether `load_<name>` returns `Halves` instead of words; textures have no such texels.
fn reads_halves(operand: &Operand, strategy: &Strategy) -> bool {
    let in_buffer = |tensor: &Tensor| matches!(tensor.storage(), Storage::Buffer(_));
    strategy.needs.f16 && operand.halves && operand.tensor.as_ref().is_some_and(in_buffer)
}

/// The shader file rendered with the strategy's constants and with ENTRY as the name of its entry
/// function: the text after the bindings and accessors.
pub(in crate::gpu) fn body(kernel: &dyn Kernel, strategy: &Strategy) -> Result<String> {
    let operands = kernel.operands().into_iter();
    let mut context: Vec<_> = operands
        .flat_map(|operand| {
            let halves = Value::from(reads_halves(&operand, strategy));
            let given = Value::from(operand.tensor.is_some());
            [(format!("has_{}", operand.name), given), (format!("halves_{}", operand.name), halves)]
        })
        .collect();
    context.extend(strategy.constants.iter().map(|(name, constant)| {
        let value = match *constant {
            Constant::Count(count) => Value::from(count),
            Constant::Switch(switch) => Value::from(switch),
            Constant::Word(word) => Value::from(word),
        };
        (name.to_string(), value)
    }));
    context.push(("ENTRY".into(), Value::from(strategy.entry)));
    let context: Value = context.into_iter().collect::<std::collections::BTreeMap<_, _>>().into();
    environment()?.render_named_str(strategy.entry, strategy.source, context).map_err(|error| {
        Error::Kernel { kernel: strategy.name.into(), message: format!("{error:#}") }
    })
}

/// The entry point of a chain, and the barrier of its workers: see `super::chain`. Each stage is
/// the call of its function and the strategy's grid. A worker waits for at most `turns` iterations,
/// each of so many divisions.
pub(in crate::gpu) fn chain(
    [workers, layers, turns, divisions]: [u32; 4],
    stages: &[(String, [u32; 3])],
) -> Result<String> {
    let stages = stages.iter().map(|(call, [x, y, z])| {
        let counts = [("x", *x), ("y", *y), ("z", *z), ("count", x * y * z)];
        let counts = counts.into_iter().map(|(name, count)| (name, Value::from(count)));
        Value::from_pairs(counts.chain([("call", Value::from(call.as_str()))]))
    });
    let context = Value::from_pairs([
        ("WORKERS", Value::from(workers)),
        ("LAYERS", Value::from(layers)),
        ("TURNS", Value::from(turns)),
        ("DIVISIONS", Value::from(divisions)),
        ("STAGES", stages.collect()),
    ]);
    environment()?
        .render_named_str("chain", include_str!("../../../shaders/chain.wgsl"), context)
        .map_err(|error| Error::Kernel { kernel: "chain".into(), message: format!("{error:#}") })
}

/// Renders the uniform block `p`.
fn parameters(text: &mut String, binding: usize, parameters: &[Parameter]) {
    parameter_struct(text, parameters, std::iter::empty());
    let _ = writeln!(text, "@group(0) @binding({binding}) var<uniform> p: Parameters;\n");
}

/// Renders the type of the uniform block `p`, with `rows` after the parameters.
pub(in crate::gpu) fn parameter_struct(
    text: &mut String,
    parameters: &[Parameter],
    rows: impl Iterator<Item = String>,
) {
    text.push_str("struct Parameters {\n");
    for parameter in parameters {
        let _ = match parameter {
            Parameter::U32(name, _) => writeln!(text, "    {name}: u32,"),
            Parameter::F32(name, _) => writeln!(text, "    {name}: f32,"),
        };
    }
    rows.for_each(|row| {
        let _ = writeln!(text, "    {row}: u32,");
    });
    text.push_str("}\n");
}

/// The name of the parameter that holds the first row of an operand's tensor in its pool.
pub(in crate::gpu) fn row_parameter(operand: &str) -> String {
    format!("row_of_{operand}")
}

fn texel_type(tensor: &Tensor, halves: bool) -> &'static str {
    match tensor.element() {
        _ if halves => "Halves",
        Element::F32 => "vec4<f32>",
        Element::U32 | Element::F16 | Element::Q8 => "vec4<u32>",
    }
}

/// Declares the binding of a tensor as the global `variable`.
pub(in crate::gpu) fn declare(
    text: &mut String,
    binding: usize,
    variable: &str,
    tensor: &Tensor,
    access: Access,
    halves: bool,
) {
    let kind = texel_type(tensor, halves);
    let declaration = match (tensor.storage(), access) {
        (Storage::Texture(..), access) => {
            let word = match access {
                Access::Read => "read",
                Access::Write => "write",
                Access::ReadWrite => "read_write",
            };
            format!("var {variable}: texture_storage_2d<rgba32uint, {word}>;")
        }
        (Storage::Uniform(_), Access::Read) => {
            format!("var<uniform> {variable}: array<{kind}, {}>;", tensor.uniform_texels())
        }
        (_, Access::Read) => format!("var<storage, read> {variable}: array<{kind}>;"),
        _ => format!("var<storage, read_write> {variable}: array<{kind}>;"),
    };
    let _ = writeln!(text, "@group(0) @binding({binding}) {declaration}");
}

/// Renders `load_<name>` and `store_<name>` of an operand bound as the global `variable`. If
/// `in_span`, the operand is a part of the binding that starts at the row in the parameters.
pub(in crate::gpu) fn accessors(
    text: &mut String,
    operand: &Operand,
    variable: &str,
    halves: bool,
    in_span: bool,
) {
    let (name, access) = (operand.name, operand.access);
    let Some(tensor) = &operand.tensor else {
        let _ = writeln!(text, "fn load_{name}(i: u32) -> vec4<f32> {{ return vec4<f32>(); }}\n");
        return;
    };
    let kind = texel_type(tensor, halves);
    let (mask, shift) = (TEXTURE_WIDTH - 1, TEXTURE_WIDTH.trailing_zeros());
    let row = if in_span { format!("p.{} + ", row_parameter(name)) } else { String::new() };
    let at = format!("vec2<u32>(i & {mask}u, {row}(i >> {shift}u))");
    let (load, store) = match tensor.storage() {
        Storage::Texture(..) => (
            format!("bitcast<{kind}>(textureLoad({variable}, {at}))"),
            format!("textureStore({variable}, {at}, bitcast<vec4<u32>>(v))"),
        ),
        // A span holds words.
        _ if in_span => {
            let at = format!("{variable}[(p.{} << {shift}u) + i]", row_parameter(name));
            (format!("bitcast<{kind}>({at})"), format!("{at} = bitcast<vec4<u32>>(v)"))
        }
        _ => (format!("{variable}[i]"), format!("{variable}[i] = v")),
    };
    if access != Access::Write {
        let _ = writeln!(text, "fn load_{name}(i: u32) -> {kind} {{ return {load}; }}");
    }
    if access != Access::Read {
        let _ = writeln!(text, "fn store_{name}(i: u32, v: {kind}) {{ {store}; }}");
    }
    text.push('\n');
}
