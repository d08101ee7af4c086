//! Jinja's tests, which follow the operator `is`.

use minijinja::value::ValueKind;
use minijinja::{Environment, Value};

use super::args::integer;
use super::operators::contains;
use super::python::{Done, Type, equal, error, order, str};

/// Tests that compare two values, under all their names.
const COMPARED: [(&str, &str); 12] = [
    ("lt", "<"),
    ("lessthan", "<"),
    ("<", "<"),
    ("le", "<="),
    ("<=", "<="),
    ("gt", ">"),
    ("greaterthan", ">"),
    (">", ">"),
    ("ge", ">="),
    (">=", ">="),
    ("equalto", "=="),
    ("eq", "=="),
];

pub(super) fn add_to(environment: &mut Environment) {
    for name in ["startingwith", "endingwith"] {
        environment.remove_test(name);
    }
    for (name, mark) in COMPARED {
        environment.add_test(name, move |a: &Value, b: &Value| compare(a, b, mark));
    }
    environment.add_test("==", |a: &Value, b: &Value| equal(a, b));
    environment.add_test("ne", |a: &Value, b: &Value| !equal(a, b));
    environment.add_test("!=", |a: &Value, b: &Value| !equal(a, b));
    environment.add_test("in", |a: &Value, b: &Value| contains(b, a));
    environment.add_test("iterable", |value: &Value| {
        is_iterable(value) || Type::of(value) == Type::Generator
    });
    environment.add_test("sequence", |value: &Value| is_iterable(value));
    environment.add_test("mapping", |value: &Value| Type::of(value) == Type::Dict);
    environment.add_test("number", |value: &Value| Type::of(value).is_number());
    environment.add_test("integer", |value: &Value| Type::of(value) == Type::Int);
    environment.remove_test("int");
    environment.add_test("float", |value: &Value| Type::of(value) == Type::Float);
    environment.add_test("string", |value: &Value| Type::of(value) == Type::Text);
    environment.add_test("escaped", |value: &Value| value.is_safe());
    environment.remove_test("safe");
    environment.add_test("callable", |value: &Value| is_callable(value));
    environment.add_test("odd", |value: &Value| remainder_of_two(value).map(|rest| rest == 1.0));
    environment.add_test("even", |value: &Value| remainder_of_two(value).map(|rest| rest == 0.0));
    environment.add_test("divisibleby", |value: &Value, by: &Value| {
        match integer(by, "divisibleby")? {
            0 => Err(error("divisibleby: modulo by zero")),
            by => Ok(integer(value, "divisibleby")?.checked_rem(by).unwrap_or(0) == 0),
        }
    });
    environment
        .add_test("lower", |value: &Value| case(value, char::is_lowercase, char::is_uppercase));
    environment
        .add_test("upper", |value: &Value| case(value, char::is_uppercase, char::is_lowercase));
    environment.add_test("sameas", |a: &Value, b: &Value| same(a, b));
}

fn remainder_of_two(value: &Value) -> Done<f64> {
    match Type::of(value) {
        Type::Float => Ok(f64::try_from(value.clone())?.rem_euclid(2.0)),
        _ => Ok(integer(value, "odd")?.rem_euclid(2) as f64),
    }
}

fn compare(a: &Value, b: &Value, mark: &str) -> Done<bool> {
    if mark == "==" {
        return Ok(equal(a, b));
    }
    Ok(order(a, b, mark, 0)?.is_some_and(|found| match mark {
        "<" => found.is_lt(),
        "<=" => found.is_le(),
        ">" => found.is_gt(),
        _ => found.is_ge(),
    }))
}

fn is_iterable(value: &Value) -> bool {
    matches!(Type::of(value), Type::Undefined | Type::Text | Type::List | Type::Tuple | Type::Dict)
}

/// Whether a value can be called. Undefined values can be called in Jinja, so that they fail with a
/// better message.
fn is_callable(value: &Value) -> bool {
    match Type::of(value) {
        Type::Undefined => true,
        Type::Other => {
            value.kind() == ValueKind::Plain
                || value.as_object().is_some_and(|o| o.type_name().ends_with("Macro"))
        }
        _ => false,
    }
}

fn case(value: &Value, wanted: fn(char) -> bool, other: fn(char) -> bool) -> Done<bool> {
    let text = str(value)?;
    Ok(text.chars().any(wanted) && !text.chars().any(other))
}

/// Python's `is` for values without identity: equal values of the same type are the same.
fn same(a: &Value, b: &Value) -> bool {
    Type::of(a) == Type::of(b) && equal(a, b)
}
