//! Arguments by place or by name, as Python's functions take them.

use minijinja::Value;
use minijinja::value::Kwargs;

use super::python::{Done, Type, error, text};

/// The arguments of one call, in the order of the function's parameters.
pub(super) struct Arguments {
    function: &'static str,
    names: &'static [&'static str],
    values: Vec<Option<Value>>,
}

impl Arguments {
    /// Sorts arguments by the parameters' names; an error for one too many, twice, or unknown.
    pub(super) fn new(
        function: &'static str,
        places: &[Value],
        named: &Kwargs,
        names: &'static [&'static str],
    ) -> Done<Self> {
        if places.len() > names.len() {
            return Err(error(format!("{function} takes at most {} arguments", names.len())));
        }
        let mut values: Vec<Option<Value>> = places.iter().cloned().map(Some).collect();
        values.resize(names.len(), None);
        for name in named.args() {
            let Some(index) = names.iter().position(|known| *known == name) else {
                return Err(error(format!("{function} has no argument {name}")));
            };
            if values[index].is_some() {
                return Err(error(format!("{function} is given {name} twice")));
            }
            values[index] = Some(named.peek::<Value>(name)?);
        }
        Ok(Self { function, names, values })
    }

    /// The arguments of a method: the last of `arguments` holds those with names.
    pub(super) fn of(
        function: &'static str,
        arguments: &[Value],
        names: &'static [&'static str],
    ) -> Done<Self> {
        let (places, named) = split(arguments)?;
        Self::new(function, places, &named, names)
    }

    /// An argument that is given, and not none.
    pub(super) fn given(&self, index: usize) -> Option<&Value> {
        self.values[index].as_ref().filter(|value| !value.is_none())
    }

    /// An argument as it is given, none included.
    pub(super) fn any(&self, index: usize) -> Option<&Value> {
        self.values[index].as_ref()
    }

    pub(super) fn needed(&self, index: usize) -> Done<&Value> {
        self.any(index)
            .ok_or_else(|| error(format!("{} needs {}", self.function, self.names[index])))
    }

    pub(super) fn text(&self, index: usize) -> Done<Option<&str>> {
        self.given(index).map(|value| text(value, self.function)).transpose()
    }

    pub(super) fn needed_text(&self, index: usize) -> Done<&str> {
        text(self.needed(index)?, self.function)
    }

    pub(super) fn is_true(&self, index: usize, otherwise: bool) -> bool {
        self.any(index).map_or(otherwise, Value::is_true)
    }

    pub(super) fn integer(&self, index: usize, otherwise: i64) -> Done<i64> {
        match self.any(index) {
            None => Ok(otherwise),
            Some(value) => integer(value, self.function),
        }
    }
}

/// A whole number; true and false count as 1 and 0.
pub(super) fn integer(value: &Value, function: &str) -> Done<i64> {
    match Type::of(value) {
        Type::Bool => Ok(i64::from(value.is_true())),
        Type::Int => i64::try_from(value.clone()),
        other => {
            Err(error(format!("{function} takes a whole number, but is given '{}'", other.name())))
        }
    }
}

/// Arguments by place, and those by name.
pub(super) fn split(arguments: &[Value]) -> Done<(&[Value], Kwargs)> {
    match arguments.split_last() {
        Some((last, rest)) if last.is_kwargs() => Ok((rest, Kwargs::try_from(last.clone())?)),
        _ => Ok((arguments, std::iter::empty::<(String, Value)>().collect())),
    }
}
