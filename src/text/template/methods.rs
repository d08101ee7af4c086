//! Methods of Python's types, and which types have them.

use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Tuple};
use minijinja::{State, Value};

use super::args::{Arguments, integer};
use super::python::{Done, Type, equal, error, items};
use super::text_methods;

/// The names of methods. As in Python, an attribute with one of these names is first looked up
/// here.
pub(super) const NAMES: [&str; 62] = [
    "capitalize",
    "casefold",
    "center",
    "clear",
    "copy",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "fromkeys",
    "get",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "items",
    "join",
    "keys",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "pop",
    "popitem",
    "remove",
    "removeprefix",
    "removesuffix",
    "replace",
    "reverse",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "setdefault",
    "sort",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "update",
    "upper",
    "values",
    "zfill",
    "append",
];

const DICT: [&str; 11] = [
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];
const LIST: [&str; 9] =
    ["append", "clear", "copy", "count", "index", "pop", "remove", "reverse", "sort"];

fn has(value: &Value, name: &str) -> bool {
    match Type::of(value) {
        Type::Text => {
            NAMES.contains(&name) && !LIST.contains(&name) && !DICT.contains(&name)
                || matches!(name, "count" | "index")
        }
        Type::Dict => DICT.contains(&name),
        Type::List => LIST.contains(&name),
        Type::Tuple => matches!(name, "count" | "index"),
        _ => false,
    }
}

/// Calls `value.name(arguments)`.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Done<Value> {
    if !has(value, name) {
        if matches!(value.kind(), minijinja::value::ValueKind::Undefined) {
            return Err(error(format!("{name}() of an undefined value")));
        }
        return match Type::of(value) {
            Type::Other if name == "fromkeys" => of_dict(value, name, arguments),
            Type::Dict | Type::Namespace | Type::Other => value.call_method(state, name, arguments),
            other => Err(error(format!("'{} object' has no attribute '{name}'", other.name()))),
        };
    }
    match Type::of(value) {
        Type::Text => {
            text_methods::call(state, value.as_str().unwrap_or_default(), name, arguments)
        }
        Type::Dict => of_dict(value, name, arguments),
        _ => of_list(value, name, arguments),
    }
}

/// `value.name` without a call: a method is bound to its value.
pub(super) fn attribute(value: &Value, name: &str) -> Done<Value> {
    if has(value, name) { own_attribute(value, name) } else { value.get_attr(name) }
}

/// A method of the value; undefined if it has none of this name.
pub(super) fn own_attribute(value: &Value, name: &str) -> Done<Value> {
    if !has(value, name) {
        return Ok(Value::UNDEFINED);
    }
    Ok(Value::from_object(Bound { value: value.clone(), name: name.to_owned() }))
}

#[derive(Debug)]
struct Bound {
    value: Value,
    name: String,
}

/// The value that a bound method belongs to.
pub(super) fn held(value: &Value) -> Vec<Value> {
    value.downcast_object_ref::<Bound>().map(|bound| bound.value.clone()).into_iter().collect()
}

impl Object for Bound {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, arguments: &[Value]) -> Done<Value> {
        call(state, &self.value, &self.name, arguments)
    }
}

/// The items of a dict as tuples of key and value.
pub(super) fn pairs(value: &Value) -> Done<Vec<(Value, Value)>> {
    if Type::of(value) != Type::Dict {
        return Err(error("Can only get item pairs from a mapping."));
    }
    items(value)?.into_iter().map(|key| Ok((key.clone(), value.get_item(&key)?))).collect()
}

pub(super) fn pair(key: Value, value: Value) -> Value {
    Value::from(Tuple::from([key, value]))
}

fn of_dict(value: &Value, name: &str, arguments: &[Value]) -> Done<Value> {
    let none = |function| Arguments::of(function, arguments, &[]);
    Ok(match name {
        "items" => {
            none("items")?;
            pairs(value)?.into_iter().map(|(key, value)| pair(key, value)).collect()
        }
        "keys" => {
            none("keys")?;
            Value::from(items(value)?)
        }
        "values" => {
            none("values")?;
            pairs(value)?.into_iter().map(|(_, value)| value).collect()
        }
        "copy" => {
            none("copy")?;
            value.clone()
        }
        "get" => {
            let arguments = Arguments::of("get", arguments, &["key", "default"])?;
            let found = value.get_item(arguments.needed(0)?)?;
            let is_there = !found.is_undefined();
            if is_there {
                found
            } else {
                arguments.any(1).cloned().unwrap_or_else(|| Value::from(()))
            }
        }
        "fromkeys" => {
            let arguments = Arguments::of("fromkeys", arguments, &["iterable", "value"])?;
            let to = arguments.any(1).cloned().unwrap_or_else(|| Value::from(()));
            Value::from_pairs(items(arguments.needed(0)?)?.into_iter().map(|key| (key, to.clone())))
        }
        _ => return Err(forbidden("dict", name)),
    })
}

fn forbidden(kind: &str, name: &str) -> minijinja::Error {
    error(format!("{name} of a {kind} is not safely callable: templates cannot change values"))
}

fn of_list(value: &Value, name: &str, arguments: &[Value]) -> Done<Value> {
    let list = items(value)?;
    Ok(match name {
        "count" => {
            let arguments = Arguments::of("count", arguments, &["value"])?;
            let wanted = arguments.needed(0)?;
            Value::from(list.iter().filter(|item| equal(item, wanted)).count())
        }
        "index" => {
            let arguments = Arguments::of("index", arguments, &["value", "start", "stop"])?;
            let wanted = arguments.needed(0)?;
            let bound = |index, otherwise: usize| -> Done<usize> {
                let given =
                    arguments.any(index).map(|value| integer(value, "index")).transpose()?;
                Ok(given.map_or(otherwise, |at| place(at, list.len())))
            };
            let (start, stop) = (bound(1, 0)?, bound(2, list.len())?);
            let found = (start..stop.min(list.len())).find(|&at| equal(&list[at], wanted));
            Value::from(found.ok_or_else(|| error("index: the value is not in the list"))?)
        }
        "copy" => {
            Arguments::of("copy", arguments, &[])?;
            value.clone()
        }
        _ => return Err(forbidden("list", name)),
    })
}

/// An index into a sequence, where negative numbers count from the end.
pub(super) fn place(at: i64, length: usize) -> usize {
    let length_i = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if at < 0 { at.saturating_add(length_i).max(0) } else { at.min(length_i) };
    usize::try_from(at).unwrap_or(0)
}
