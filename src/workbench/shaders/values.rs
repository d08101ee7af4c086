//! Named numbers in a shader's uniforms and immediates: their offsets and allowed values.

use half::f16;
use naga::{ArraySize, Handle, Module, Scalar, ScalarKind, Type, TypeInner};

/// A number that can be set by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The full name with the variable's: `numbers.a`, `scale.middle.x`, `rows[2].y`.
    pub name: String,
    /// Offset in the variable in bytes.
    pub offset: u32,
    /// Type of the number.
    pub scalar: Scalar,
}

/// The most numbers that are listed by name; larger variables are set from a file.
const MOST_FIELDS: usize = 256;

impl Field {
    /// Whether `name` refers to this number, with or without the variable's name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.name.split_once('.').is_some_and(|(_, member)| member == name)
    }

    /// The bytes of `value`, which [`refusal`] must allow.
    pub(in crate::workbench) fn encoded(&self, value: f64) -> Vec<u8> {
        match (self.scalar.kind, self.scalar.width) {
            (ScalarKind::Float, 2) => f16::from_f64(value).to_le_bytes().to_vec(),
            (ScalarKind::Float, _) => (value as f32).to_le_bytes().to_vec(),
            (ScalarKind::Sint, _) => (value as i32).to_le_bytes().to_vec(),
            _ => (value as u32).to_le_bytes().to_vec(),
        }
    }
}

/// Why a number of this type cannot have this value; `None` if it can.
pub(in crate::workbench) fn refusal(scalar: Scalar, value: f64) -> Option<String> {
    let range = |least: f64, most: f64, what: &str| match (
        value.fract() == 0.0,
        least <= value && value <= most,
    ) {
        (true, true) => None,
        (false, _) => Some(format!("it is {what}")),
        (true, false) => Some(format!("it is {what}, from {least} to {most}")),
    };
    match (scalar.kind, scalar.width) {
        _ if !value.is_finite() => Some("it is no finite number".into()),
        (ScalarKind::Bool, _) => range(0.0, 1.0, "true or false"),
        (ScalarKind::Sint, _) => range(i32::MIN.into(), i32::MAX.into(), "an integer"),
        (ScalarKind::Uint, _) => range(0.0, u32::MAX.into(), "an integer without sign"),
        (_, 2) => {
            (!f16::from_f64(value).is_finite()).then(|| "it is beyond the largest f16".into())
        }
        _ => (!(value as f32).is_finite()).then(|| "it is beyond the largest f32".into()),
    }
}

/// The numbers in a variable, including those in nested structs, vectors, matrices and arrays.
pub(in crate::workbench) fn fields(module: &Module, ty: Handle<Type>, name: &str) -> Vec<Field> {
    let mut found = vec![];
    add(module, ty, name.to_owned(), 0, &mut found);
    found
}

fn add(module: &Module, ty: Handle<Type>, name: String, offset: u32, found: &mut Vec<Field>) {
    let vector = |name: &str, size: u32, scalar: Scalar, offset: u32, found: &mut Vec<Field>| {
        for (at, letter) in ["x", "y", "z", "w"].into_iter().take(size as usize).enumerate() {
            let offset = offset + at as u32 * u32::from(scalar.width);
            found.push(Field { name: format!("{name}.{letter}"), offset, scalar });
        }
    };
    let settable = |scalar: &Scalar| match scalar.kind {
        ScalarKind::Float => matches!(scalar.width, 2 | 4),
        kind => scalar.width == 4 && kind != ScalarKind::Bool,
    };
    if found.len() >= MOST_FIELDS {
        return;
    }
    match &module.types[ty].inner {
        TypeInner::Scalar(scalar) if settable(scalar) => {
            found.push(Field { name, offset, scalar: *scalar });
        }
        TypeInner::Vector { size, scalar } if settable(scalar) => {
            vector(&name, *size as u32, *scalar, offset, found);
        }
        TypeInner::Matrix { columns, rows, scalar } if settable(scalar) => {
            // Columns are aligned like vectors: every two or four numbers.
            let stride = (*rows as u32).next_power_of_two() * u32::from(scalar.width);
            for column in 0..*columns as u32 {
                vector(
                    &format!("{name}[{column}]"),
                    *rows as u32,
                    *scalar,
                    offset + column * stride,
                    found,
                );
            }
        }
        TypeInner::Struct { members, .. } => {
            for member in members {
                let member_name = member.name.as_deref().unwrap_or_default();
                add(
                    module,
                    member.ty,
                    format!("{name}.{member_name}"),
                    offset + member.offset,
                    found,
                );
            }
        }
        TypeInner::Array { base, size: ArraySize::Constant(count), stride } => {
            for at in 0..count.get().min(MOST_FIELDS as u32) {
                let before = found.len();
                add(module, *base, format!("{name}[{at}]"), offset + at * stride, found);
                if found.len() == before {
                    // If the first element of an array has no number to set, neither have the
                    // others; arrays may be nested.
                    break;
                }
            }
        }
        _ => {}
    }
}
