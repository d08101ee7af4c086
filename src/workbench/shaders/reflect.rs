//! Finds the bindings of a WGSL text, as naga parses it.

use super::constants::{Constant, constants_of, keyed, with_values};
use super::values::{Field, fields};
use crate::error::Remedy;
use crate::gpu::{Samples, readable};
use crate::{Error, Result};
use naga::valid::{Capabilities, GlobalUse, ValidationFlags, Validator};
use naga::{
    AddressSpace, Handle, ImageClass, ImageDimension, Module, Scalar, ScalarKind, ShaderStage,
    Type, TypeInner,
};

/// A compute shader's interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// Name of the entry point.
    pub entry: String,
    /// Lanes of a workgroup along x, y and z.
    pub workgroup: [u32; 3],
    /// The bound variables that it uses, by group and binding.
    pub slots: Vec<Slot>,
    /// The shader's pipeline-overridable constants.
    pub constants: Vec<Constant>,
}

/// A bound variable, or immediates, for which group and binding are 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The number in `@group`.
    pub group: u32,
    /// The number in `@binding`.
    pub binding: u32,
    /// The variable's name.
    pub name: String,
    /// The kind of resource.
    pub kind: SlotKind,
}

/// The kind of a resource that can be bound.
#[derive(Debug, Clone, PartialEq)]
pub enum SlotKind {
    /// A uniform buffer.
    Uniform {
        /// Size of the buffer in bytes.
        bytes: u32,
        /// Numbers in the buffer by name.
        fields: Vec<Field>,
    },
    /// Immediates, which go with the dispatch.
    Immediates {
        /// Size of the immediates in bytes.
        bytes: u32,
        /// Numbers in the immediates by name.
        fields: Vec<Field>,
    },
    /// A storage buffer.
    Storage {
        /// Bytes before the runtime-sized array, if there is one.
        bytes: u32,
        /// Bytes of an element of the runtime-sized array; `None` if there is none.
        stride: Option<u32>,
        /// The type of its numbers, if all have the same type of two or four bytes.
        scalar: Option<Scalar>,
        /// Whether the shader reads it, and whether it writes it.
        access: [bool; 2],
    },
    /// A storage texture.
    StorageTexture {
        /// Texel format, such as "rgba32uint".
        format: String,
        /// Number of dimensions: 1, 2 or 3.
        dimension: u32,
        /// Whether z counts layers of an array.
        layered: bool,
        /// Whether the shader reads it, and whether it writes it.
        access: [bool; 2],
    },
    /// A sampled texture.
    Texture {
        /// The kind of numbers that it gives.
        samples: Samples,
        /// Number of dimensions: 1, 2 or 3.
        dimension: u32,
        /// Whether z counts layers of an array.
        layered: bool,
    },
    /// A sampler.
    Sampler {
        /// Whether it is a comparison sampler.
        comparison: bool,
    },
}

/// Parses the compute shader `entry` of `text` (or its only one) with `constants` set. Names in
/// `constants` that are not overridable constants are ignored. Directives that naga does not read
/// are removed by [`readable`].
///
/// # Errors
/// When naga refuses the text, with its message; when the entry point is missing or not a compute
/// shader; or when a variable cannot be bound.
pub fn reflect(text: &str, entry: Option<&str>, constants: &[(String, f64)]) -> Result<Interface> {
    let refused =
        |message: String| Error::input(format!("the shader is refused: {}", message.trim_end()));
    let (text, _) = readable(text);
    let text = &*text;
    let module = naga::front::wgsl::parse_str(text).map_err(|error| {
        let renamed = if text.contains("var<push_constant>") {
            "\nvar<push_constant> is called var<immediate> now"
        } else {
            ""
        };
        refused(error.emit_to_string(text).trim_end().to_owned() + renamed)
    })?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|error| refused(error.emit_to_string(text)))?;
    let names: Vec<_> = module
        .entry_points
        .iter()
        .filter(|point| point.stage == ShaderStage::Compute)
        .map(|point| point.name.clone())
        .collect();
    let entry = match (entry, &names[..]) {
        (_, []) => return Err(Error::input("the shader has no compute entry point")),
        (None, [one]) => one.clone(),
        (Some(wanted), names) if names.iter().any(|name| name == wanted) => wanted.to_owned(),
        (wanted, names) => {
            let problem = wanted.map_or("there are several entry points:".into(), |wanted| {
                format!("there is no compute entry point {wanted:?}, but")
            });
            let remedy = Remedy::ChooseEntryPoint(names.to_vec());
            let message = format!("{problem} {}", names.join(", "));
            return Err(Error::input(message).with_remedy(remedy));
        }
    };
    let known = constants_of(&module);
    // Other names may be numbers in uniforms.
    let values = keyed(&known, constants)?;
    let (module, info) = with_values(&module, &info, &entry, &values)?;
    let Some(at) = module.entry_points.iter().position(|point| point.name == entry) else {
        return Err(refused(format!("{entry} went missing")));
    };
    let uses = info.get_entry_point(at);
    let mut slots = vec![];
    for (handle, global) in module.global_variables.iter() {
        if uses[handle] == GlobalUse::empty() {
            continue;
        }
        let used =
            [uses[handle].contains(GlobalUse::READ), uses[handle].contains(GlobalUse::WRITE)];
        let name = global.name.clone().unwrap_or_default();
        let cannot = |what: &str| Error::input(format!("{name} cannot be bound: {what}"));
        match (&global.binding, global.space) {
            (Some(binding), space) => slots.push(Slot {
                group: binding.group,
                binding: binding.binding,
                kind: kind(&module, global.ty, space, &name, used).map_err(|what| cannot(&what))?,
                name,
            }),
            (None, AddressSpace::Immediate) => {
                let bytes = module.types[global.ty].inner.size(module.to_ctx());
                let fields = fields(&module, global.ty, &name);
                let kind = SlotKind::Immediates { bytes, fields };
                slots.push(Slot { group: 0, binding: 0, name, kind });
            }
            (None, _) => {}
        }
    }
    slots.sort_by_key(|slot| (slot.group, slot.binding));
    Ok(Interface {
        entry,
        workgroup: module.entry_points[at].workgroup_size,
        slots,
        constants: known,
    })
}

fn kind(
    module: &Module,
    ty: Handle<Type>,
    space: AddressSpace,
    name: &str,
    access: [bool; 2],
) -> std::result::Result<SlotKind, String> {
    let inner = &module.types[ty].inner;
    match (inner, space) {
        (_, AddressSpace::Uniform) => {
            let bytes = inner.size(module.to_ctx());
            Ok(SlotKind::Uniform { bytes, fields: fields(module, ty, name) })
        }
        (_, AddressSpace::Storage { .. }) => {
            let (bytes, stride) = growing(module, ty);
            let scalar = scalar_of(module, ty);
            Ok(SlotKind::Storage { bytes, stride, scalar, access })
        }
        (TypeInner::Image { dim, arrayed, class }, _) => {
            let (dimension, layered) = match (dim, arrayed) {
                (ImageDimension::D1, false) => (1, false),
                (ImageDimension::D2, layered) => (2, *layered),
                (ImageDimension::D3, false) => (3, false),
                _ => return Err("cube textures are not supported".into()),
            };
            match class {
                ImageClass::Storage { format, .. } => Ok(SlotKind::StorageTexture {
                    format: format!("{format:?}").to_lowercase(),
                    dimension,
                    layered,
                    access,
                }),
                ImageClass::Sampled { multi: true, .. } | ImageClass::Depth { multi: true } => {
                    Err("multisampled textures are not supported".into())
                }
                ImageClass::Sampled { kind, .. } => {
                    let samples = match kind {
                        ScalarKind::Sint => Samples::Signed,
                        ScalarKind::Uint => Samples::Unsigned,
                        _ => Samples::Float,
                    };
                    Ok(SlotKind::Texture { samples, dimension, layered })
                }
                ImageClass::Depth { .. } => {
                    Ok(SlotKind::Texture { samples: Samples::Depth, dimension, layered })
                }
                ImageClass::External => Err("external textures are not supported".into()),
            }
        }
        (TypeInner::Sampler { comparison }, _) => Ok(SlotKind::Sampler { comparison: *comparison }),
        (TypeInner::BindingArray { .. }, _) => Err("arrays of bindings are not supported".into()),
        (TypeInner::AccelerationStructure { .. }, _) => Err("ray tracing is not supported".into()),
        _ => Err("it is no buffer, texture or sampler".into()),
    }
}

/// Bytes of the part with a fixed size, and of an element of a runtime-sized array that may follow.
fn growing(module: &Module, ty: Handle<Type>) -> (u32, Option<u32>) {
    match &module.types[ty].inner {
        TypeInner::Array { size: naga::ArraySize::Dynamic, stride, .. } => (0, Some(*stride)),
        TypeInner::Struct { members, span } => match members.last() {
            Some(last) if matches!(growing(module, last.ty), (_, Some(_))) => {
                (last.offset, growing(module, last.ty).1)
            }
            _ => (*span, None),
        },
        inner => (inner.size(module.to_ctx()), None),
    }
}

/// The type of all numbers in a type, if they have the same one.
fn scalar_of(module: &Module, ty: Handle<Type>) -> Option<Scalar> {
    match &module.types[ty].inner {
        TypeInner::Array { base, .. } => scalar_of(module, *base),
        TypeInner::Struct { members, .. } => {
            let mut kinds = members.iter().map(|member| scalar_of(module, member.ty));
            let first = kinds.next()??;
            kinds.all(|kind| kind == Some(first)).then_some(first)
        }
        inner => inner.scalar().filter(|scalar| matches!(scalar.width, 2 | 4)),
    }
}
