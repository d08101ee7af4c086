//! The functions that the rewritten source calls instead of operators, items and methods.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Environment, State, Value};

use super::args::{integer, split};
use super::data::to_float;
use super::filters_text::escaped;
use super::percent::percent;
use super::python::{DEEPEST, Done, Type, equal, error, items, order, pay, str};
use super::{functions, methods};

pub(super) fn add_to(environment: &mut Environment) {
    environment.add_function("__eq", |a: Value, b: Value| equal(&a, &b));
    environment.add_function("__ne", |a: Value, b: Value| !equal(&a, &b));
    environment.add_function("__lt", |a: Value, b: Value| compared(&a, &b, "<", Ordering::is_lt));
    environment.add_function("__le", |a: Value, b: Value| compared(&a, &b, "<=", Ordering::is_le));
    environment.add_function("__gt", |a: Value, b: Value| compared(&a, &b, ">", Ordering::is_gt));
    environment.add_function("__ge", |a: Value, b: Value| compared(&a, &b, ">=", Ordering::is_ge));
    environment.add_function("__in", |a: Value, b: Value| contains(&b, &a));
    environment.add_function("__not_in", |a: Value, b: Value| contains(&b, &a).map(|found| !found));
    environment.add_function("__add", |state: &State, first: Value, rest: Rest<Value>| {
        rest.iter().try_fold(first, |sum, next| added(state, &sum, next))
    });
    environment.add_function("__mod", modulo);
    environment.add_function("__concat", concatenated);
    environment.add_function("__item", item);
    environment.add_function("__iterate", iterated);
    environment
        .add_function("__attribute", |value: Value, name: &str| methods::attribute(&value, name));
    environment.add_function(
        "__call",
        |state: &mut State, value: Value, name: &str, rest: Rest<ValueOrKwargs>| {
            methods::call(state, &value, name, &values(rest))
        },
    );
    environment.add_function("__bounded", |state: &State, value: Value| {
        bounded(state, &value, 0, &mut 0)?;
        Done::Ok(value)
    });
    environment.add_function("__field", |state: &State, value: Value| {
        // A loop refers to its items, so loops in a namespace could refer to each other endlessly.
        if value.as_object().is_some_and(|object| object.type_name().ends_with("Loop")) {
            return Err(error("a loop cannot be kept in a namespace"));
        }
        bounded(state, &value, 0, &mut 0)?;
        Ok(value)
    });
    environment.add_function(
        "__apply",
        |state: &mut State, value: Value, rest: Rest<ValueOrKwargs>| {
            value.call(state, &values(rest))
        },
    );
    environment.add_function("__spread", spread);
}

/// Arguments, the last of which may hold the named ones.
fn values(rest: Rest<ValueOrKwargs>) -> Vec<Value> {
    rest.0.into_iter().map(Value::from).collect()
}

/// Refuses values that are nested so deeply that walking or freeing them would overflow the stack.
fn bounded(state: &State, value: &Value, depth: usize, seen: &mut u64) -> Done<()> {
    if depth > DEEPEST {
        return Err(error("a value is nested too deeply"));
    }
    *seen += 1;
    if (*seen).is_multiple_of(16) {
        state.consume_fuel(1)?;
    }
    let inner: Vec<Value> = match Type::of(value) {
        Type::List | Type::Tuple | Type::Generator => {
            value.try_iter()?.checked().collect::<Done<_>>()?
        }
        Type::Dict | Type::Namespace => {
            let keys: Vec<Value> = value.try_iter()?.checked().collect::<Done<_>>()?;
            let values = keys.iter().map(|key| value.get_item(key)).collect::<Done<Vec<_>>>()?;
            keys.into_iter().chain(values).collect()
        }
        Type::Other => methods::held(value).into_iter().chain(functions::held(value)).collect(),
        _ => return Ok(()),
    };
    inner.iter().try_for_each(|item| bounded(state, item, depth + 1, seen))
}

fn compared(a: &Value, b: &Value, mark: &str, holds: fn(Ordering) -> bool) -> Done<bool> {
    Ok(order(a, b, mark, 0)?.is_some_and(holds))
}

/// Python's `item in value`.
pub(super) fn contains(value: &Value, item: &Value) -> Done<bool> {
    match (Type::of(value), item.as_str()) {
        (Type::Text, Some(part)) => Ok(value.as_str().unwrap_or_default().contains(part)),
        (Type::Text, None) => {
            let name = Type::of(item).name();
            Err(error(format!("'in <string>' requires string as left operand, not {name}")))
        }
        (Type::Dict, _) => Ok(!value.get_item(item)?.is_undefined()),
        (Type::Undefined | Type::List | Type::Tuple | Type::Generator, _) => {
            Ok(items(value)?.iter().any(|found| equal(found, item)))
        }
        (other, _) => Err(error(format!("argument of type '{}' is not iterable", other.name()))),
    }
}

/// `a + b`. If one text is marked as safe, the other one becomes safe as well.
pub(super) fn added(state: &State, a: &Value, b: &Value) -> Done<Value> {
    let too_large = || error("a number is too large");
    Ok(match (Type::of(a), Type::of(b)) {
        (Type::Text, Type::Text) => {
            let (left, right) = (a.as_str().unwrap_or_default(), b.as_str().unwrap_or_default());
            pay(state, left.len() + right.len())?;
            if !a.is_safe() && !b.is_safe() {
                return Ok(Value::from([left, right].concat()));
            }
            let safe = |value: &Value, text: &str| {
                if value.is_safe() { text.to_owned() } else { escaped(text) }
            };
            Value::from_safe_string(safe(a, left) + &safe(b, right))
        }
        (Type::List, Type::List) | (Type::Tuple, Type::Tuple) => {
            let mut all = items(a)?;
            all.extend(items(b)?);
            state.consume_fuel(all.len() as u64 / 8)?;
            if a.is_tuple() {
                Value::from(minijinja::value::Tuple::from(all))
            } else {
                Value::from(all)
            }
        }
        (x, y) if !x.is_number() || !y.is_number() => {
            let (x, y) = (x.name(), y.name());
            return Err(error(format!("unsupported operand type(s) for +: '{x}' and '{y}'")));
        }
        (Type::Float, _) | (_, Type::Float) => {
            Value::from(to_float(a).unwrap_or_default() + to_float(b).unwrap_or_default())
        }
        _ => {
            let (a, b) = (i128::try_from(a.clone())?, i128::try_from(b.clone())?);
            Value::from(a.checked_add(b).ok_or_else(too_large)?)
        }
    })
}

fn modulo(state: &State, a: Value, b: Value) -> Done<Value> {
    if let Some(template) = a.as_str() {
        return percent(state, template, &b);
    }
    let (x, y) = (Type::of(&a), Type::of(&b));
    if !x.is_number() || !y.is_number() {
        return Err(error(format!(
            "unsupported operand type(s) for %: '{}' and '{}'",
            x.name(),
            y.name()
        )));
    }
    if x != Type::Float && y != Type::Float {
        let (a, b) = (i128::try_from(a)?, i128::try_from(b)?);
        let remainder = a.checked_rem(b).ok_or_else(|| error("modulo by zero"))?;
        return Ok(Value::from(if remainder != 0 && (remainder < 0) != (b < 0) {
            remainder + b
        } else {
            remainder
        }));
    }
    let (a, b) = (f64::try_from(a)?, f64::try_from(b)?);
    if b == 0.0 {
        return Err(error("float modulo"));
    }
    let remainder = a % b;
    Ok(Value::from(if remainder == 0.0 {
        remainder.copysign(b)
    } else if (remainder < 0.0) != (b < 0.0) {
        remainder + b
    } else {
        remainder
    }))
}

fn concatenated(state: &State, parts: Rest<Value>) -> Done<Value> {
    let mut out = String::new();
    for part in parts.iter() {
        let text = str(part)?;
        pay(state, out.len() + text.len())?;
        out += &text;
    }
    Ok(Value::from(out))
}

/// `value[key]`.
pub(super) fn item(value: Value, key: Value) -> Done<Value> {
    let from_sequence = |length: usize| -> Done<Option<usize>> {
        let at = integer(&key, "an index")?;
        let length_i = i64::try_from(length).unwrap_or(i64::MAX);
        let at = if at < 0 { at + length_i } else { at };
        Ok(usize::try_from(at).ok().filter(|at| *at < length))
    };
    let is_index = matches!(Type::of(&key), Type::Int | Type::Bool);
    match Type::of(&value) {
        Type::Undefined => Err(error("an item of an undefined value")),
        Type::Text if is_index => {
            let text = value.as_str().unwrap_or_default();
            let found = from_sequence(text.chars().count())?.and_then(|at| text.chars().nth(at));
            Ok(found.map_or(Value::UNDEFINED, |c| Value::from(c.to_string())))
        }
        Type::List | Type::Tuple if is_index => {
            let list = match value.len() {
                Some(length) => {
                    return match from_sequence(length)? {
                        Some(at) if value.kind() == minijinja::value::ValueKind::Seq => {
                            value.get_item_by_index(at)
                        }
                        Some(at) => value
                            .try_iter()?
                            .nth(at)
                            .ok_or_else(|| error("a list changed its length")),
                        None => Ok(Value::UNDEFINED),
                    };
                }
                None => items(&value)?,
            };
            Ok(from_sequence(list.len())?.map_or(Value::UNDEFINED, |at| list[at].clone()))
        }
        Type::Dict | Type::Namespace | Type::Other => match key.as_str() {
            Some(name)
                if Type::of(&value) == Type::Dict && value.get_item(&key)?.is_undefined() =>
            {
                methods::attribute(&value, name)
            }
            _ => value.get_item(&key),
        },
        _ => match key.as_str() {
            Some(name) => methods::attribute(&value, name),
            None => Ok(Value::UNDEFINED),
        },
    }
}

/// The items of a loop. Values that Python cannot iterate are an error rather than an empty list.
fn iterated(value: Value) -> Done<Value> {
    match Type::of(&value) {
        Type::Undefined | Type::List | Type::Tuple | Type::Dict | Type::Text | Type::Generator => {
            Ok(value)
        }
        other => Err(error(format!("'{}' object is not iterable", other.name()))),
    }
}

/// Calls a macro that takes any arguments: those that match no parameter become `varargs` and
/// `kwargs`.
fn spread(state: &mut State, function: Value, rest: Rest<ValueOrKwargs>) -> Done<Value> {
    let arguments = values(rest);
    let parameters = match function.get_attr("arguments") {
        Ok(list) if !list.is_undefined() => items(&list)?,
        _ => return function.call(state, &arguments),
    };
    let Some(declared) = parameters.iter().position(|name| name.as_str() == Some("varargs")) else {
        return function.call(state, &arguments);
    };
    let (places, named) = split(&arguments)?;
    let (own, more) = places.split_at(places.len().min(declared));
    let is_own = |name: &str| {
        name == "caller" || parameters[..declared].iter().any(|known| known.as_str() == Some(name))
    };
    let mut given =
        vec![("varargs".to_owned(), Value::from(minijinja::value::Tuple::from(more.to_vec())))];
    let mut others = vec![];
    for name in named.args() {
        let value = named.peek::<Value>(name)?;
        if is_own(name) {
            given.push((name.to_owned(), value))
        } else {
            others.push((name.to_owned(), value))
        }
    }
    given.push(("kwargs".to_owned(), Value::from_pairs(others)));
    let mut arguments = own.to_vec();
    arguments.push(Value::from(given.into_iter().collect::<Kwargs>()));
    function.call(state, &arguments)
}
