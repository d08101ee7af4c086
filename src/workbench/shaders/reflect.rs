//! What a WGSL text binds, as naga reads it.

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
    /// What it uses, by group and binding.
    pub slots: Vec<Slot>,
    /// Its pipeline-overridable constants.
    pub constants: Vec<Constant>,
}

/// A variable that is bound, or immediates, which have no group and no binding: both are 0 then.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// `@group`.
    pub group: u32,
    /// `@binding`.
    pub binding: u32,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SlotKind,
}

/// What can be bound.
#[derive(Debug, Clone, PartialEq)]
pub enum SlotKind {
    /// A uniform buffer.
    Uniform {
        /// Its size, bytes.
        bytes: u32,
        /// Its numbers by name.
        fields: Vec<Field>,
    },
    /// Immediates, which go with the dispatch.
    Immediates {
        /// Their size, bytes.
        bytes: u32,
        /// Their numbers by name.
        fields: Vec<Field>,
    },
    /// A storage buffer.
    Storage {
        /// Bytes before what may grow.
        bytes: u32,
        /// Bytes of an element of what may grow, if it ends so.
        stride: Option<u32>,
        /// What its numbers are, where all are of one kind, of two or four bytes.
        scalar: Option<Scalar>,
        /// Whether it is read, and written.
        access: [bool; 2],
    },
    /// A storage texture.
    StorageTexture {
        /// Its format, "rgba32uint".
        format: String,
        /// 1, 2 or 3.
        dimension: u32,
        /// Whether z counts layers.
        layered: bool,
        /// Whether it is read, and written.
        access: [bool; 2],
    },
    /// A sampled texture.
    Texture {
        /// What it holds.
        samples: Samples,
        /// 1, 2 or 3.
        dimension: u32,
        /// Whether z counts layers.
        layered: bool,
    },
    /// A sampler.
    Sampler {
        /// Whether it compares.
        comparison: bool,
    },
}

/// Reads the compute shader `entry` of `text` (its only one if not named) with its `constants` set;
/// names that are none of its constants are left to others. [`readable`] says what naga is spared.
///
/// # Errors
/// What naga refuses, in its words; an entry point that is not there or no compute shader; a
/// variable that cannot be bound.
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
    // Others may be numbers of uniforms.
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

/// Bytes of what has a fixed size, and of an element of the array of any length that may follow.
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

/// The kind of all numbers of a type, if it is one.
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
