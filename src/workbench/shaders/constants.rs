//! A shader's pipeline-overridable constants, set by name or number after a check of the value.

use super::values::refusal;
use crate::error::Remedy;
use crate::{Error, Result};
use naga::back::pipeline_constants::{PipelineConstantError, process_overrides};
use naga::valid::ModuleInfo;
use naga::{Module, Scalar, ScalarKind, ShaderStage, TypeInner};

/// A pipeline-overridable constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// Name of the constant.
    pub name: String,
    /// The number in `@id(number)`, if it has one.
    pub id: Option<u16>,
    /// Type of the constant; booleans are set as 0 and 1.
    scalar: Scalar,
}

impl Constant {
    /// Whether `name` is the name or number of this constant.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.id.is_some_and(|id| name.parse() == Ok(id))
    }

    /// The key under which WebGPU sets the constant: its number, else its name.
    pub fn key(&self) -> String {
        self.id.map_or_else(|| self.name.clone(), |id| id.to_string())
    }

    /// The constant as shown in messages.
    fn shown(&self) -> String {
        self.id.map_or_else(|| self.name.clone(), |id| format!("{} (@id({id}))", self.name))
    }
}

/// The constants of a module that can be set.
pub(in crate::workbench) fn constants_of(module: &Module) -> Vec<Constant> {
    let scalar = |ty| match &module.types[ty].inner {
        TypeInner::Scalar(scalar) => *scalar,
        _ => Scalar { kind: ScalarKind::Float, width: 4 },
    };
    let constant = |constant: &naga::Override| Constant {
        name: constant.name.clone().unwrap_or_default(),
        id: constant.id,
        scalar: scalar(constant.ty),
    };
    module.overrides.iter().map(|(_, found)| constant(found)).collect()
}

/// The values in `settings` that belong to constants, by [`Constant::key`]; the last value of a
/// constant is used.
///
/// # Errors
/// When a constant cannot have its value.
pub(in crate::workbench) fn keyed(
    constants: &[Constant],
    settings: &[(String, f64)],
) -> Result<Vec<(String, f64)>> {
    let mut keyed = vec![];
    for constant in constants {
        if let Some((_, value)) = settings.iter().rfind(|(name, _)| constant.is(name)) {
            if let Some(refusal) = refusal(constant.scalar, *value) {
                let why = format!("cannot be {value}: {refusal}");
                return Err(Error::setting(constant.shown(), why));
            }
            keyed.push((constant.key(), *value));
        }
    }
    Ok(keyed)
}

/// The module reduced to `entry`, with all constants replaced by their values.
///
/// # Errors
/// When constants without a default have no value; the message lists them all. When naga refuses
/// the module, with its message.
pub(in crate::workbench) fn with_values(
    module: &Module,
    info: &ModuleInfo,
    entry: &str,
    values: &[(String, f64)],
) -> Result<(Module, ModuleInfo)> {
    let constants = constants_of(module);
    let mut values = values.iter().cloned().collect::<naga::back::PipelineConstants>();
    let mut missing = vec![];
    loop {
        let done = process_overrides(module, info, Some((ShaderStage::Compute, entry)), &values);
        let key = match done {
            Ok((module, info)) if missing.is_empty() => {
                return Ok((module.into_owned(), info.into_owned()));
            }
            Err(PipelineConstantError::MissingValue(key)) if !values.contains_key(&key) => key,
            Err(error) if missing.is_empty() => {
                return Err(Error::input(format!("the shader is refused: {error}")));
            }
            // An error caused by a placeholder value elsewhere is not the caller's.
            Ok(_) | Err(_) => break,
        };
        let of_key = constants.iter().find(|constant| constant.key() == key);
        missing.push(of_key.map_or_else(|| key.clone(), Constant::shown));
        values.insert(key, 1.0);
    }
    let names = missing.join(", ");
    let first = missing[0].split(' ').next().unwrap_or_default();
    let message = format!("{entry} needs values for constants that have no default: {names}");
    Err(Error::input(message).with_remedy(Remedy::SetNumber(first.to_owned())))
}
