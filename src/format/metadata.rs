//! The metadata of a GGUF file: typed values under text keys.
//!
//! Specification: `docs/gguf.md` of ggml-org/ggml, "gguf_metadata_kv_t".

use super::cursor::{Cursor, Parsed, shown};
use super::strings::Strings;
use std::fmt;

/// Arrays may hold arrays; deeper than this is damage.
const MAX_ARRAY_DEPTH: u32 = 4;

/// The specification's bound on the length of a key, in bytes.
const MAX_KEY_BYTES: usize = 65535;

/// A metadata value, typed as in the file.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // each variant is the type it names
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// A metadata array: all elements have one type.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // each variant is the type it names
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Strings),
    Nested(Vec<Array>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl Value {
    /// The name of the type, as messages use it: `u32`, `string`, `array`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::U8(_) => "u8",
            Value::I8(_) => "i8",
            Value::U16(_) => "u16",
            Value::I16(_) => "i16",
            Value::U32(_) => "u32",
            Value::I32(_) => "i32",
            Value::F32(_) => "f32",
            Value::Bool(_) => "bool",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::U64(_) => "u64",
            Value::I64(_) => "i64",
            Value::F64(_) => "f64",
        }
    }

    /// Any integer type, if the value fits: converters differ in the width they write.
    pub fn as_u32(&self) -> Option<u32> {
        match *self {
            Value::U8(v) => Some(v.into()),
            Value::U16(v) => Some(v.into()),
            Value::U32(v) => Some(v),
            Value::U64(v) => v.try_into().ok(),
            Value::I8(v) => v.try_into().ok(),
            Value::I16(v) => v.try_into().ok(),
            Value::I32(v) => v.try_into().ok(),
            Value::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// Either float type, rounded to `f32`.
    pub fn as_f32(&self) -> Option<f32> {
        match *self {
            Value::F32(v) => Some(v),
            Value::F64(v) => Some(v as f32),
            _ => None,
        }
    }

    /// A boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// A string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(v) => Some(v),
            _ => None,
        }
    }

    /// An array of any type.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(v) => Some(v),
            _ => None,
        }
    }

    /// An array of strings.
    pub fn as_strings(&self) -> Option<&Strings> {
        match self {
            Value::Array(Array::String(v)) => Some(v),
            _ => None,
        }
    }
}

impl Array {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Array::U8(v) => v.len(),
            Array::I8(v) => v.len(),
            Array::U16(v) => v.len(),
            Array::I16(v) => v.len(),
            Array::U32(v) => v.len(),
            Array::I32(v) => v.len(),
            Array::F32(v) => v.len(),
            Array::Bool(v) => v.len(),
            Array::String(v) => v.len(),
            Array::Nested(v) => v.len(),
            Array::U64(v) => v.len(),
            Array::I64(v) => v.len(),
            Array::F64(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Integers of any type, if all fit.
    pub fn as_u32s(&self) -> Option<Vec<u32>> {
        fn fitting<T: Copy + TryInto<u32>>(list: &[T]) -> Option<Vec<u32>> {
            list.iter().map(|&n| n.try_into().ok()).collect()
        }
        match self {
            Array::U8(v) => fitting(v),
            Array::I8(v) => fitting(v),
            Array::U16(v) => fitting(v),
            Array::I16(v) => fitting(v),
            Array::U32(v) => fitting(v),
            Array::I32(v) => fitting(v),
            Array::U64(v) => fitting(v),
            Array::I64(v) => fitting(v),
            _ => None,
        }
    }

    /// The name of the elements' type.
    pub fn element_type_name(&self) -> &'static str {
        match self {
            Array::U8(_) => "u8",
            Array::I8(_) => "i8",
            Array::U16(_) => "u16",
            Array::I16(_) => "i16",
            Array::U32(_) => "u32",
            Array::I32(_) => "i32",
            Array::F32(_) => "f32",
            Array::Bool(_) => "bool",
            Array::String(_) => "string",
            Array::Nested(_) => "array",
            Array::U64(_) => "u64",
            Array::I64(_) => "i64",
            Array::F64(_) => "f64",
        }
    }
}

/// For messages and listings: a scalar as itself, a string quoted and cut short, an array as its
/// type and length.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::U8(v) => v.fmt(f),
            Value::I8(v) => v.fmt(f),
            Value::U16(v) => v.fmt(f),
            Value::I16(v) => v.fmt(f),
            Value::U32(v) => v.fmt(f),
            Value::I32(v) => v.fmt(f),
            Value::F32(v) => v.fmt(f),
            Value::Bool(v) => v.fmt(f),
            Value::String(v) => f.write_str(&shown(v)),
            Value::Array(v) => write!(f, "[{}; {}]", v.element_type_name(), v.len()),
            Value::U64(v) => v.fmt(f),
            Value::I64(v) => v.fmt(f),
            Value::F64(v) => v.fmt(f),
        }
    }
}

/// The least bytes a key with its value takes: length and one byte of the key, the type, one byte
/// of the value.
const MIN_ENTRY_BYTES: u64 = 8 + 1 + 4 + 1;

/// Reads `count` keys with their values, in file order.
pub(super) fn read_entries(cursor: &mut Cursor, count: u64) -> Parsed<Vec<(String, Value)>> {
    let count = cursor.expect_room(count, MIN_ENTRY_BYTES, "metadata entries")?;
    let mut entries = Vec::with_capacity(count);
    for i in 0..count {
        let at = cursor.position();
        let key = cursor
            .string()
            .map_err(|e| format!("the key of metadata entry {i} (at byte {at}): {e}"))?;
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            let length = key.len();
            return Err(format!(
                "the key of metadata entry {i} (at byte {at}) has {length} bytes, allowed are 1 to \
                 {MAX_KEY_BYTES}; the file is damaged"
            ));
        }
        let value = cursor.u32().and_then(|type_id| read_value(cursor, type_id));
        let value = value.map_err(|e| format!("metadata key {}: {e}", shown(key)))?;
        entries.push((key.to_owned(), value));
    }
    Ok(entries)
}

fn read_value(cursor: &mut Cursor, type_id: u32) -> Parsed<Value> {
    Ok(match type_id {
        0 => Value::U8(u8::from_le_bytes(cursor.array()?)),
        1 => Value::I8(i8::from_le_bytes(cursor.array()?)),
        2 => Value::U16(u16::from_le_bytes(cursor.array()?)),
        3 => Value::I16(i16::from_le_bytes(cursor.array()?)),
        4 => Value::U32(cursor.u32()?),
        5 => Value::I32(i32::from_le_bytes(cursor.array()?)),
        6 => Value::F32(f32::from_le_bytes(cursor.array()?)),
        7 => Value::Bool(read_bool(cursor.array()?)?),
        // Descriptions in other encodings are no reason not to read the rest.
        8 => Value::String(String::from_utf8_lossy(cursor.string_bytes()?).into_owned()),
        9 => Value::Array(read_array(cursor, 1)?),
        10 => Value::U64(cursor.u64()?),
        11 => Value::I64(i64::from_le_bytes(cursor.array()?)),
        12 => Value::F64(f64::from_le_bytes(cursor.array()?)),
        _ => return Err(unknown_type(type_id)),
    })
}

fn read_array(cursor: &mut Cursor, depth: u32) -> Parsed<Array> {
    if depth > MAX_ARRAY_DEPTH {
        return Err(format!(
            "its arrays are nested deeper than {MAX_ARRAY_DEPTH} levels; the file is damaged"
        ));
    }
    let type_id = cursor.u32()?;
    let count = cursor.u64()?;
    Ok(match type_id {
        0 => Array::U8(numbers(cursor, count, u8::from_le_bytes)?),
        1 => Array::I8(numbers(cursor, count, i8::from_le_bytes)?),
        2 => Array::U16(numbers(cursor, count, u16::from_le_bytes)?),
        3 => Array::I16(numbers(cursor, count, i16::from_le_bytes)?),
        4 => Array::U32(numbers(cursor, count, u32::from_le_bytes)?),
        5 => Array::I32(numbers(cursor, count, i32::from_le_bytes)?),
        6 => Array::F32(numbers(cursor, count, f32::from_le_bytes)?),
        7 => {
            let bytes = numbers(cursor, count, u8::from_le_bytes)?;
            Array::Bool(bytes.into_iter().map(|byte| read_bool([byte])).collect::<Result<_, _>>()?)
        }
        8 => {
            let count = cursor.expect_room(count, 8, "strings")?;
            let mut strings = Strings::with_room(count);
            for i in 0..count {
                let bytes =
                    cursor.string_bytes().map_err(|e| format!("string {i} of {count}: {e}"))?;
                strings.push_bytes(bytes);
            }
            Array::String(strings)
        }
        9 => {
            let count = cursor.expect_room(count, 4 + 8, "arrays")?;
            Array::Nested(
                (0..count).map(|_| read_array(cursor, depth + 1)).collect::<Result<_, _>>()?,
            )
        }
        10 => Array::U64(numbers(cursor, count, u64::from_le_bytes)?),
        11 => Array::I64(numbers(cursor, count, i64::from_le_bytes)?),
        12 => Array::F64(numbers(cursor, count, f64::from_le_bytes)?),
        _ => return Err(unknown_type(type_id)),
    })
}

fn numbers<const N: usize, T>(
    cursor: &mut Cursor,
    count: u64,
    from_le_bytes: fn([u8; N]) -> T,
) -> Parsed<Vec<T>> {
    cursor.expect_room(count, N as u64, "array elements")?;
    let (elements, _) = cursor.take(count * N as u64)?.as_chunks::<N>();
    Ok(elements.iter().map(|bytes| from_le_bytes(*bytes)).collect())
}

fn read_bool([byte]: [u8; 1]) -> Parsed<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(format!("{byte} is not a boolean, allowed are 0 and 1; the file is damaged")),
    }
}

fn unknown_type(type_id: u32) -> String {
    format!(
        "its type number {type_id} is unknown, known are 0 to 12; the file is damaged or newer \
         than Kaiwu"
    )
}
