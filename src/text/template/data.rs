//! Jinja's filters of numbers, lists and dicts.

use minijinja::{Environment, State, Value};

use super::args::{Arguments, integer};
use super::filters_text::{Filter, add};
use super::generator;
use super::methods::{self, pair, pairs};
use super::operators::{added, item};
use super::python::{Done, Type, equal, error, items, order, sort};

const FILTERS: [(&str, Filter); 24] = [
    ("abs", abs),
    ("int", int),
    ("float", float),
    ("round", round),
    ("length", length),
    ("count", length),
    ("first", |_, value, _| Ok(items(value)?.into_iter().next().unwrap_or(Value::UNDEFINED))),
    ("last", |_, value, _| Ok(items(value)?.into_iter().next_back().unwrap_or(Value::UNDEFINED))),
    // Prompts should be reproducible, so the filter always chooses the first item.
    ("random", |_, value, _| Ok(items(value)?.into_iter().next().unwrap_or(Value::UNDEFINED))),
    ("list", |_, value, _| items(value).map(Value::from)),
    ("items", |_, value, _| match Type::of(value) {
        Type::Undefined => Ok(generator::of(vec![])),
        _ => Ok(generator::of(
            pairs(value)?.into_iter().map(|(key, value)| pair(key, value)).collect(),
        )),
    }),
    ("reverse", |_, value, _| match value.as_str() {
        Some(text) => Ok(Value::from(text.chars().rev().collect::<String>())),
        None => Ok(generator::of(items(value)?.into_iter().rev().collect())),
    }),
    ("min", |_, value, arguments| extreme(value, arguments, false)),
    ("max", |_, value, arguments| extreme(value, arguments, true)),
    ("sum", sum),
    ("sort", sorted),
    ("dictsort", dictsort),
    ("unique", unique),
    ("batch", batch),
    ("slice", slice),
    ("attr", |_, value, arguments| {
        let arguments = Arguments::of("attr", arguments, &["name"])?;
        match Type::of(value) {
            Type::Namespace | Type::Other => value.get_attr(arguments.needed_text(0)?),
            Type::Undefined => Err(error("an attribute of an undefined value")),
            _ => methods::own_attribute(value, arguments.needed_text(0)?),
        }
    }),
    ("default", default),
    ("d", default),
    ("groupby", groupby),
];

pub(super) fn add_to(environment: &mut Environment) {
    for name in ["lines", "split", "bool", "chain", "zip"] {
        environment.remove_filter(name);
    }
    add(environment, &FILTERS);
}

/// Python's `float(value)`; `None` if it cannot be converted.
pub(super) fn to_float(value: &Value) -> Option<f64> {
    match Type::of(value) {
        Type::Bool => Some(f64::from(u8::from(value.is_true()))),
        Type::Int | Type::Float => f64::try_from(value.clone())
            .ok()
            .or_else(|| Some(i128::try_from(value.clone()).ok()? as f64)),
        Type::Text => {
            let text = value.as_str()?.trim();
            let is_number = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
            let plain = text.replace('_', "");
            plain
                .parse()
                .ok()
                .filter(|_| is_number && !text.starts_with('_') && !text.ends_with('_'))
        }
        _ => None,
    }
}

fn no_undefined(value: &Value) -> Done<()> {
    if value.is_undefined() {
        Err(error("a number is needed, but the value is undefined"))
    } else {
        Ok(())
    }
}

fn abs(_: &mut State, value: &Value, _: &[Value]) -> Done<Value> {
    match Type::of(value) {
        Type::Float => Ok(Value::from(f64::try_from(value.clone())?.abs())),
        kind if kind.is_number() => {
            let number = i128::try_from(value.clone())?.checked_abs();
            number.map(Value::from).ok_or_else(|| error("abs: the number is too large"))
        }
        other => Err(error(format!("bad operand type for abs(): '{}'", other.name()))),
    }
}

fn int(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("int", arguments, &["default", "base"])?;
    no_undefined(value)?;
    let base = u32::try_from(arguments.integer(1, 10)?)
        .ok()
        .filter(|base| *base == 0 || (2..=36).contains(base));
    let from_text = |text: &str| -> Option<i128> {
        let text = text.trim();
        let (minus, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut base = base?;
        let mut digits = digits.to_ascii_lowercase();
        for (prefix, of) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if (base == of || base == 0) && digits.starts_with(prefix) {
                digits.drain(..2);
                base = of;
            }
        }
        if digits.starts_with(['+', '-', '_']) || digits.ends_with('_') || digits.contains("__") {
            return None;
        }
        let number =
            i128::from_str_radix(&digits.replace('_', ""), if base == 0 { 10 } else { base })
                .ok()?;
        if minus { number.checked_neg() } else { Some(number) }
    };
    let number = match value.as_str() {
        Some(text) => from_text(text),
        None if matches!(Type::of(value), Type::Int | Type::Bool) => {
            return Ok(Value::from(i128::try_from(value.clone())?));
        }
        None => None,
    };
    let truncated = || {
        to_float(value)
            .filter(|float| float.is_finite() && float.abs() < 1e38)
            .map(|float| float.trunc() as i128)
    };
    Ok(match number.or_else(truncated) {
        Some(number) => Value::from(number),
        None => arguments.any(0).cloned().unwrap_or_else(|| Value::from(0)),
    })
}

fn float(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("float", arguments, &["default"])?;
    no_undefined(value)?;
    Ok(to_float(value)
        .map(Value::from)
        .unwrap_or_else(|| arguments.any(0).cloned().unwrap_or_else(|| Value::from(0.0))))
}

fn round(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("round", arguments, &["precision", "method"])?;
    let precision = i32::try_from(arguments.integer(0, 0)?.clamp(-400, 400)).unwrap_or(0);
    let method = arguments.text(1)?.unwrap_or("common");
    let kind = Type::of(value);
    if !kind.is_number() {
        return Err(error(format!("type {} doesn't define __round__ method", kind.name())));
    }
    let number = to_float(value).unwrap_or_default();
    let scale = 10f64.powi(precision);
    Ok(match method {
        "common" if kind != Type::Float && precision >= 0 => {
            Value::from(i128::try_from(value.clone())?)
        }
        "common" if kind != Type::Float => {
            Value::from(((number * scale).round_ties_even() / scale) as i128)
        }
        // The exact decimal value is rounded, with halves to even.
        "common" if precision >= 0 && number.is_finite() => {
            let digits = usize::try_from(precision).unwrap_or(0);
            Value::from(format!("{number:.digits$}").parse::<f64>().unwrap_or(number))
        }
        "common" => Value::from((number * scale).round_ties_even() / scale),
        "ceil" => Value::from((number * scale).ceil() / scale),
        "floor" => Value::from((number * scale).floor() / scale),
        _ => return Err(error("method must be common, ceil or floor")),
    })
}

fn length(_: &mut State, value: &Value, _: &[Value]) -> Done<Value> {
    match (Type::of(value), value.len()) {
        (Type::Undefined, _) => Ok(Value::from(0)),
        (Type::Text | Type::List | Type::Tuple | Type::Dict, Some(length)) => {
            Ok(Value::from(length))
        }
        (Type::List, None) => Ok(Value::from(items(value)?.len())),
        (other, _) => Err(error(format!("object of type '{}' has no len()", other.name()))),
    }
}

/// An attribute by a path with dots, as filters take it: names, and numbers for indices.
pub(super) fn attribute_of(value: &Value, path: &Value) -> Done<Value> {
    let Some(names) = path.as_str() else { return item(value.clone(), path.clone()) };
    names.split('.').try_fold(value.clone(), |value, name| {
        let key = name.parse::<u32>().map_or_else(|_| Value::from(name), Value::from);
        item(value, key)
    })
}

/// The key that a value is compared by: an attribute, and text without case unless `case` is set.
fn key(value: &Value, path: Option<&Value>, case: bool) -> Done<Value> {
    let value = path.map_or_else(|| Ok(value.clone()), |path| attribute_of(value, path))?;
    Ok(match value.as_str() {
        Some(text) if !case => Value::from(text.to_lowercase()),
        _ => value,
    })
}

fn extreme(value: &Value, arguments: &[Value], largest: bool) -> Done<Value> {
    let arguments = Arguments::of("min", arguments, &["case_sensitive", "attribute"])?;
    let mut best: Option<(Value, Value)> = None;
    for item in items(value)? {
        let key = key(&item, arguments.given(1), arguments.is_true(0, false))?;
        let is_better = match &best {
            None => true,
            Some((known, _)) => {
                let found = order(&key, known, if largest { ">" } else { "<" }, 0)?;
                found.is_some_and(|found| if largest { found.is_gt() } else { found.is_lt() })
            }
        };
        if is_better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Value::UNDEFINED, |(_, item)| item))
}

fn sum(state: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("sum", arguments, &["attribute", "start"])?;
    let mut total = arguments.any(1).cloned().unwrap_or_else(|| Value::from(0));
    for item in items(value)? {
        let item = arguments
            .given(0)
            .map_or_else(|| Ok(item.clone()), |path| attribute_of(&item, path))?;
        if total.as_str().is_some() || item.as_str().is_some() {
            return Err(error("sum adds numbers and lists, not texts"));
        }
        total = added(state, &total, &item)?;
    }
    Ok(total)
}

fn sorted(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("sort", arguments, &["reverse", "case_sensitive", "attribute"])?;
    let case = arguments.is_true(1, false);
    let paths: Vec<Value> = match arguments.given(2) {
        Some(path) if path.as_str().is_some() => {
            path.as_str().unwrap_or_default().split(',').map(Value::from).collect()
        }
        Some(path) => vec![path.clone()],
        None => vec![],
    };
    let mut keyed = items(value)?
        .into_iter()
        .map(|item| {
            let by = match &paths[..] {
                [] => key(&item, None, case)?,
                [path] => key(&item, Some(path), case)?,
                several => several
                    .iter()
                    .map(|path| key(&item, Some(path), case))
                    .collect::<Done<Vec<_>>>()?
                    .into(),
            };
            Ok((by, item))
        })
        .collect::<Done<Vec<_>>>()?;
    sort(&mut keyed, |(by, _)| by, arguments.is_true(0, false))?;
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

fn dictsort(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("dictsort", arguments, &["case_sensitive", "by", "reverse"])?;
    let by_value = match arguments.text(1)?.unwrap_or("key") {
        "key" => false,
        "value" => true,
        _ => return Err(error("You can only sort by either \"key\" or \"value\"")),
    };
    let mut keyed = pairs(value)?
        .into_iter()
        .map(|(name, value)| {
            let by = key(if by_value { &value } else { &name }, None, arguments.is_true(0, false))?;
            Ok((by, pair(name, value)))
        })
        .collect::<Done<Vec<_>>>()?;
    sort(&mut keyed, |(by, _)| by, arguments.is_true(2, false))?;
    Ok(keyed.into_iter().map(|(_, pair)| pair).collect())
}

fn unique(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("unique", arguments, &["case_sensitive", "attribute"])?;
    let (mut seen, mut found) = (std::collections::BTreeSet::new(), vec![]);
    for item in items(value)? {
        if seen.insert(key(&item, arguments.given(1), arguments.is_true(0, false))?) {
            found.push(item);
        }
    }
    Ok(generator::of(found))
}

/// A number of parts: at least one, and no more than a list can have.
fn parts(arguments: &Arguments) -> Done<usize> {
    let count = usize::try_from(integer(arguments.needed(0)?, "the count")?).ok();
    count
        .filter(|count| (1..=1 << 20).contains(count))
        .ok_or_else(|| error("a count of parts is not positive, or too large"))
}

fn batch(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("batch", arguments, &["linecount", "fill_with"])?;
    let count = parts(&arguments)?;
    let list = items(value)?;
    let fill = |part: &[Value]| {
        let mut part = part.to_vec();
        if let Some(fill) = arguments.given(1) {
            part.resize(count, fill.clone());
        }
        Value::from(part)
    };
    Ok(generator::of(list.chunks(count).map(fill).collect()))
}

fn slice(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("slice", arguments, &["slices", "fill_with"])?;
    let count = parts(&arguments)?;
    let list = items(value)?;
    let (each, longer) = (list.len() / count, list.len() % count);
    let mut rest = &list[..];
    Ok(generator::of(
        (0..count)
            .map(|index| {
                let (part, after) = rest.split_at(each + usize::from(index < longer));
                rest = after;
                let fill = arguments.given(1).filter(|_| index >= longer).into_iter();
                part.iter().chain(fill).cloned().collect::<Value>()
            })
            .collect(),
    ))
}

fn default(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("default", arguments, &["default_value", "boolean"])?;
    let is_missing = value.is_undefined() || (arguments.is_true(1, false) && !value.is_true());
    Ok(if is_missing {
        arguments.any(0).cloned().unwrap_or_else(|| Value::from(""))
    } else {
        value.clone()
    })
}

fn groupby(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments =
        Arguments::of("groupby", arguments, &["attribute", "default", "case_sensitive"])?;
    let (path, case) = (arguments.needed(0)?, arguments.is_true(2, false));
    let mut keyed = vec![];
    for item in items(value)? {
        let found = attribute_of(&item, path)?;
        let found =
            if found.is_undefined() { arguments.any(1).cloned().unwrap_or(found) } else { found };
        keyed.push((key(&found, None, case)?, found, item));
    }
    sort(&mut keyed, |(by, ..)| by, false)?;
    let mut groups: Vec<(Value, Value, Vec<Value>)> = vec![];
    for (by, found, item) in keyed {
        match groups.last_mut() {
            Some((last, _, list)) if equal(last, &by) => list.push(item),
            _ => groups.push((by, found, vec![item])),
        }
    }
    Ok(groups
        .into_iter()
        .map(|(_, grouper, list)| Value::from_object(Group { grouper, list: Value::from(list) }))
        .collect())
}

/// A pair whose elements also have names.
#[derive(Debug)]
struct Group {
    grouper: Value,
    list: Value,
}

impl minijinja::value::Object for Group {
    fn repr(self: &std::sync::Arc<Self>) -> minijinja::value::ObjectRepr {
        minijinja::value::ObjectRepr::Seq
    }

    fn get_value(self: &std::sync::Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_str(), key.as_usize()) {
            (Some("grouper"), _) | (_, Some(0)) => Some(self.grouper.clone()),
            (Some("list"), _) | (_, Some(1)) => Some(self.list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &std::sync::Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Seq(2)
    }
}
