//! Values as Python has them: their names of types, how they print, what is equal and what is less.

use std::cmp::Ordering;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

/// How deep a value that is printed may be nested.
pub(super) const DEEPEST: usize = 100;

/// The longest list, and the longest text, that one operation makes.
const MOST: u64 = 100_000_000;

pub(super) type Done<T> = Result<T, Error>;

/// An error of a template, in words of Python's.
pub(super) fn error(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// Pays for `bytes` of text before they are made.
pub(super) fn pay(state: &State, bytes: usize) -> Done<()> {
    if bytes as u64 > MOST {
        return Err(error("a text would be too long"));
    }
    state.consume_fuel(bytes as u64 / 64)
}

/// The kinds of value that Python distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Undefined,
    None,
    Bool,
    Int,
    Float,
    Text,
    List,
    Tuple,
    Dict,
    Generator,
    Namespace,
    /// Functions, macros, loops, and the like.
    Other,
}

impl Type {
    pub(super) fn of(value: &Value) -> Self {
        match value.kind() {
            ValueKind::Undefined => Self::Undefined,
            ValueKind::None => Self::None,
            ValueKind::Bool => Self::Bool,
            ValueKind::Number if value.is_integer() => Self::Int,
            ValueKind::Number => Self::Float,
            ValueKind::String | ValueKind::Bytes => Self::Text,
            ValueKind::Seq | ValueKind::Iterable if value.is_tuple() => Self::Tuple,
            ValueKind::Iterable if super::generator::is_one(value) => Self::Generator,
            ValueKind::Seq | ValueKind::Iterable => Self::List,
            ValueKind::Map => {
                let name = value.as_object().map_or("", |object| object.type_name());
                match name.rsplit("::").next() {
                    Some("Namespace") => Self::Namespace,
                    Some("Loop" | "Macro" | "Module") => Self::Other,
                    _ => Self::Dict,
                }
            }
            _ => Self::Other,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Undefined => "Undefined",
            Self::None => "NoneType",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "str",
            Self::List => "list",
            Self::Tuple => "tuple",
            Self::Dict => "dict",
            Self::Generator => "generator",
            Self::Namespace => "Namespace",
            Self::Other => "object",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Bool | Self::Int | Self::Float)
    }
}

/// The items that Python's `iter` gives: characters, keys, elements.
pub(super) fn items(value: &Value) -> Done<Vec<Value>> {
    match Type::of(value) {
        Type::Undefined => Ok(vec![]),
        Type::Text | Type::List | Type::Tuple | Type::Dict | Type::Generator => {
            if value.len().is_some_and(|length| length as u64 > MOST / 16) {
                return Err(error("a list would be too long"));
            }
            value.try_iter()?.checked().collect()
        }
        other => Err(error(format!("'{}' object is not iterable", other.name()))),
    }
}

/// The text of `value` if it is text; otherwise an error that names `what` wants it.
pub(super) fn text<'a>(value: &'a Value, what: &str) -> Done<&'a str> {
    value.as_str().ok_or_else(|| {
        error(format!("{what} takes a text, but is given '{}'", Type::of(value).name()))
    })
}

/// Python's `str`.
pub(super) fn str(value: &Value) -> Done<String> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_undefined() => Ok(String::new()),
        None => {
            let mut out = String::new();
            write(value, &mut out, 0)?;
            Ok(out)
        }
    }
}

/// Python's `repr`.
pub(super) fn repr(value: &Value) -> Done<String> {
    let mut out = String::new();
    write(value, &mut out, 0)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String, depth: usize) -> Done<()> {
    if depth > DEEPEST {
        return Err(error("a value is nested too deeply to be printed"));
    }
    let list = |out: &mut String, close: &str| -> Done<usize> {
        let mut count = 0;
        for item in value.try_iter()?.checked() {
            if count > 0 {
                *out += ", ";
            }
            count += 1;
            write(&item?, out, depth + 1)?;
            if out.len() as u64 > MOST {
                return Err(error("a text would be too long"));
            }
        }
        if count == 1 && close == ")" {
            out.push(',');
        }
        *out += close;
        Ok(count)
    };
    match Type::of(value) {
        Type::Undefined => *out += "Undefined",
        Type::Float => *out += &float(f64::try_from(value.clone())?),
        Type::Text => quote(value.as_str().unwrap_or_default(), out),
        Type::List => {
            out.push('[');
            list(out, "]")?;
        }
        Type::Tuple => {
            out.push('(');
            list(out, ")")?;
        }
        Type::Dict => {
            out.push('{');
            for (index, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                *out += if index > 0 { ", " } else { "" };
                write(&key, out, depth + 1)?;
                *out += ": ";
                write(&value.get_item(&key)?, out, depth + 1)?;
                if out.len() as u64 > MOST {
                    return Err(error("a text would be too long"));
                }
            }
            out.push('}');
        }
        Type::Generator => *out += "<generator object>",
        Type::Namespace => {
            let mut pairs = String::new();
            let fields: Vec<Value> = value.try_iter()?.collect();
            for (index, key) in fields.iter().enumerate() {
                pairs += if index > 0 { ", " } else { "" };
                write(key, &mut pairs, depth + 1)?;
                pairs += ": ";
                write(&value.get_item(key)?, &mut pairs, depth + 1)?;
            }
            *out += &format!("<Namespace {{{pairs}}}>");
        }
        _ => *out += &value.to_string(),
    }
    Ok(())
}

/// Python's `repr` of a text.
fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for c in text.chars() {
        match c {
            '\\' => *out += "\\\\",
            '\n' => *out += "\\n",
            '\r' => *out += "\\r",
            '\t' => *out += "\\t",
            c if c == mark => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x100 => *out += &format!("\\x{:02x}", c as u32),
            c if (c as u32) < 0x10000 => *out += &format!("\\u{:04x}", c as u32),
            c => *out += &format!("\\U{:08x}", c as u32),
        }
    }
    out.push(mark);
}

/// Whether Python prints a character as it is; of spaces only the plain one, of marks without a
/// picture none.
fn is_printable(c: char) -> bool {
    let hidden = matches!(c as u32, 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e
        | 0x2060..=0x206f | 0xd800..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff | 0xe0000..=0xe0fff | 0xf0000..);
    c == ' ' || !(c.is_control() || c.is_whitespace() || hidden)
}

/// Python's `repr` of a float.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        format!("{value:?}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

/// Python's `==`.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    let kinds = (Type::of(a), Type::of(b));
    match kinds {
        (Type::Undefined, Type::Undefined) | (Type::None, Type::None) => true,
        (Type::Undefined | Type::None, _) | (_, Type::Undefined | Type::None) => false,
        (x, y) if x.is_number() && y.is_number() => a == b,
        (x, y) => x == y && a == b,
    }
}

/// Python's order of two values, an error where it has none. `None` is for numbers that are not.
pub(super) fn order(a: &Value, b: &Value, mark: &str, depth: usize) -> Done<Option<Ordering>> {
    let kinds = (Type::of(a), Type::of(b));
    match kinds {
        (Type::Undefined, _) | (_, Type::Undefined) => {
            Err(error("an undefined value cannot be compared"))
        }
        (x, y) if x.is_number() && y.is_number() => {
            let is_nan = |value: &Value| f64::try_from(value.clone()).is_ok_and(f64::is_nan);
            Ok(if is_nan(a) || is_nan(b) { None } else { Some(a.cmp(b)) })
        }
        (Type::Text, Type::Text) => Ok(Some(a.as_str().cmp(&b.as_str()))),
        (Type::List, Type::List) | (Type::Tuple, Type::Tuple) if depth < DEEPEST => {
            let (left, right) = (items(a)?, items(b)?);
            for (x, y) in left.iter().zip(&right) {
                if !equal(x, y) {
                    return order(x, y, mark, depth + 1);
                }
            }
            Ok(Some(left.len().cmp(&right.len())))
        }
        (x, y) => Err(error(format!(
            "'{mark}' not supported between instances of '{}' and '{}'",
            x.name(),
            y.name()
        ))),
    }
}

/// Sorts as Python does: it keeps the order of what is equal, and fails where two cannot be
/// compared.
pub(super) fn sort<T>(values: &mut [T], key: impl Fn(&T) -> &Value, reverse: bool) -> Done<()> {
    let mut failed = None;
    values.sort_by(|a, b| {
        let ordering = match order(key(a), key(b), "<", 0) {
            Ok(ordering) => ordering.unwrap_or(Ordering::Equal),
            Err(why) => {
                failed.get_or_insert(why);
                Ordering::Equal
            }
        };
        if reverse { ordering.reverse() } else { ordering }
    });
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        let rows = [
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1e-7, "1e-07"),
            (0.0001, "0.0001"),
            (1.5e300, "1.5e+300"),
            (-0.0, "-0.0"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
            (0.1 + 0.2, "0.30000000000000004"),
        ];
        for (value, want) in rows {
            assert_eq!(float(value), want);
        }
    }
}
