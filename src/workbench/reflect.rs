//! What a WGSL text binds, as naga reads it.

use crate::gpu::Samples;
use crate::{Error, Result};
use naga::valid::{Capabilities, GlobalUse, ValidationFlags, Validator};
use naga::{
    AddressSpace, Handle, ImageClass, ImageDimension, Module, ScalarKind, ShaderStage, Type, TypeInner,
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
    /// Names of its pipeline-overridable constants.
    pub constants: Vec<String>,
}

/// A variable that is bound.
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
        /// Its numbers by name: those of a struct, or one that has the variable's own name.
        fields: Vec<Field>,
    },
    /// A storage buffer.
    Storage {
        /// Bytes before what may grow.
        bytes: u32,
        /// Bytes of an element of what may grow, if it ends so.
        stride: Option<u32>,
        /// The kind of its numbers, where all are of one.
        scalar: Option<ScalarKind>,
        /// Whether it is read, and written.
        access: [bool; 2],
    },
    /// A storage texture.
    StorageTexture {
        /// Its format, "rgba32uint".
        format: String,
        /// 1, 2 or 3.
        dimension: u32,
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

/// A number in a uniform buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Where it begins, bytes.
    pub offset: u32,
    /// What it is: a float, or an integer with or without sign.
    pub scalar: ScalarKind,
}

/// Reads the compute shader `entry` of `text` (its only one if not named) with its `constants` set;
/// names that are none of its constants are left to others.
///
/// # Errors
/// What naga refuses, in its words; an entry point that is not there or no compute shader; a variable that cannot be bound.
pub fn reflect(text: &str, entry: Option<&str>, constants: &[(String, f64)]) -> Result<Interface> {
    let refused = |message: String| Error::Usage(format!("the shader is refused: {}", message.trim_end()));
    let module = naga::front::wgsl::parse_str(text).map_err(|error| refused(error.emit_to_string(text)))?;
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
        (_, []) => return Err(Error::Usage("the shader has no compute entry point".into())),
        (None, [one]) => one.clone(),
        (Some(wanted), names) if names.iter().any(|name| name == wanted) => wanted.to_owned(),
        (wanted, names) => {
            let problem = wanted.map_or("there are several entry points".into(), |wanted| {
                format!("there is no compute entry point {wanted:?}")
            });
            return Err(Error::Usage(format!("{problem}; take --entry {}", names.join(" or --entry "))));
        }
    };
    let known: Vec<_> = module.overrides.iter().filter_map(|(_, constant)| constant.name.clone()).collect();
    // Others may be numbers of uniforms.
    let values = constants.iter().filter(|(name, _)| known.contains(name)).cloned().collect();
    let (module, info) = naga::back::pipeline_constants::process_overrides(
        &module,
        &info,
        Some((ShaderStage::Compute, &entry)),
        &values,
    )
    .map_err(|error| refused(format!("{error}; set its constants with --set NAME=VALUE")))?;
    let Some(at) = module.entry_points.iter().position(|point| point.name == entry) else {
        return Err(refused(format!("{entry} went missing")));
    };
    let uses = info.get_entry_point(at);
    let mut slots = vec![];
    for (handle, global) in module.global_variables.iter() {
        if uses[handle] == GlobalUse::empty() {
            continue;
        }
        let used = [uses[handle].contains(GlobalUse::READ), uses[handle].contains(GlobalUse::WRITE)];
        let name = global.name.clone().unwrap_or_default();
        let cannot = |what: &str| Error::Usage(format!("{name} cannot be bound: {what}"));
        match (&global.binding, global.space) {
            (Some(binding), space) => slots.push(Slot {
                group: binding.group,
                binding: binding.binding,
                kind: kind(&module, global.ty, space, &name, used).map_err(|what| cannot(&what))?,
                name,
            }),
            (None, AddressSpace::Immediate) => return Err(cannot("immediates are not supported")),
            (None, _) => {}
        }
    }
    slots.sort_by_key(|slot| (slot.group, slot.binding));
    Ok(Interface { entry, workgroup: module.entry_points[at].workgroup_size, slots, constants: known })
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
                ImageClass::Storage { .. } if layered => {
                    Err("layers of storage textures are not supported".into())
                }
                ImageClass::Storage { format, .. } => Ok(SlotKind::StorageTexture {
                    format: format!("{format:?}").to_lowercase(),
                    dimension,
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
fn scalar_of(module: &Module, ty: Handle<Type>) -> Option<ScalarKind> {
    match &module.types[ty].inner {
        TypeInner::Array { base, .. } => scalar_of(module, *base),
        TypeInner::Struct { members, .. } => {
            let mut kinds = members.iter().map(|member| scalar_of(module, member.ty));
            let first = kinds.next()??;
            kinds.all(|kind| kind == Some(first)).then_some(first)
        }
        // Halves are not written from here.
        inner => inner.scalar().filter(|scalar| scalar.width == 4).map(|scalar| scalar.kind),
    }
}

fn fields(module: &Module, ty: Handle<Type>, name: &str) -> Vec<Field> {
    let of = |inner: &TypeInner| match inner {
        TypeInner::Scalar(scalar) if scalar.width == 4 => Some(scalar.kind),
        _ => None,
    };
    match &module.types[ty].inner {
        TypeInner::Struct { members, .. } => members
            .iter()
            .filter_map(|member| {
                let scalar = of(&module.types[member.ty].inner)?;
                Some(Field { name: member.name.clone()?, offset: member.offset, scalar })
            })
            .collect(),
        inner => {
            let scalar = of(inner);
            scalar.map(|scalar| Field { name: name.into(), offset: 0, scalar }).into_iter().collect()
        }
    }
}
