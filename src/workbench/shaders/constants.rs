//! A shader's pipeline-overridable constants: by name or by number, checked before they are set.

use super::values::refusal;
use crate::error::Remedy;
use crate::{Error, Result};
use naga::back::pipeline_constants::{PipelineConstantError, process_overrides};
use naga::valid::ModuleInfo;
use naga::{Module, Scalar, ScalarKind, ShaderStage, TypeInner};

/// An overridable constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// The number of `@id(number)`.
    pub id: Option<u16>,
    /// What it is; booleans are 0 and 1.
    scalar: Scalar,
}

impl Constant {
    /// Whether `name` means this one: its name, or its number.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.id.is_some_and(|id| name.parse() == Ok(id))
    }

    /// What WebGPU knows it by: its number where it has one.
    pub fn key(&self) -> String {
        self.id.map_or_else(|| self.name.clone(), |id| id.to_string())
    }

    /// The constant as messages name it.
    fn shown(&self) -> String {
        self.id.map_or_else(|| self.name.clone(), |id| format!("{} (@id({id}))", self.name))
    }
}

/// The constants that a module lets be set.
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

/// The values of `settings` that are of constants, by [`Constant::key`]; of several values the last
/// one counts.
///
/// # Errors
/// For a value that its constant cannot have.
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

/// The module with only `entry` and all its constants replaced by their values.
///
/// # Errors
/// Where a constant without a default has no value, which is said of all such; what naga refuses,
/// in its words.
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
            // An error that a made-up value leads to elsewhere is not the caller's.
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
