//! The global functions of templates: `dict`, `cycler`, `joiner`, `raise_exception`,
//! `strftime_now`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Kwargs, Object, ObjectRepr, Rest};
use minijinja::{Environment, Error, State, Value};

use super::methods;
use super::python::{Done, error, items, str};
use crate::text::strftime;

pub(super) fn add_to(environment: &mut Environment) {
    environment.remove_global("debug");
    environment.add_function("cycler", |items: Rest<Value>| {
        if items.is_empty() {
            return Err(error("at least one item has to be provided"));
        }
        Ok(Value::from_object(Cycler { items: items.to_vec(), at: AtomicUsize::new(0) }))
    });
    environment.add_function("joiner", |between: Option<Value>| {
        Value::from_object(Joiner {
            between: between.unwrap_or_else(|| Value::from(", ")),
            calls: AtomicUsize::new(0),
        })
    });
    environment.add_function("dict", dict);
    // Templates refuse conversations with this; the message is written for users.
    environment.add_function("raise_exception", |message: Value| -> Done<Value> {
        Err(error(str(&message)?))
    });
    environment.add_function("strftime_now", strftime::strftime_now);
}

/// Python's `dict`, from a dict or pairs, and named arguments.
fn dict(places: Rest<Value>, named: Kwargs) -> Done<Value> {
    let mut pairs = vec![];
    if let Some(given) = places.first() {
        pairs = match methods::pairs(given) {
            Ok(pairs) => pairs,
            Err(_) => items(given)?
                .iter()
                .map(|pair| match &items(pair)?[..] {
                    [key, value] => Ok((key.clone(), value.clone())),
                    _ => Err(error("dict takes pairs")),
                })
                .collect::<Result<_, Error>>()?,
        };
    }
    for name in named.args() {
        pairs.push((Value::from(name), named.peek(name)?));
    }
    Ok(Value::from_pairs(pairs))
}

/// The values inside a cycler or a joiner.
pub(super) fn held(value: &Value) -> Vec<Value> {
    let cycler = value.downcast_object_ref::<Cycler>().map(|cycler| cycler.items.clone());
    let joiner = value.downcast_object_ref::<Joiner>().map(|joiner| vec![joiner.between.clone()]);
    cycler.or(joiner).unwrap_or_default()
}

/// Cycles through its items: `next`, `current`, `reset`.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current"))
            .then(|| self.items[self.at.load(Ordering::Relaxed)].clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        name: &str,
        _: &[Value],
    ) -> Done<Value> {
        match name {
            "next" => {
                let at = self.at.load(Ordering::Relaxed);
                self.at.store((at + 1) % self.items.len(), Ordering::Relaxed);
                Ok(self.items[at].clone())
            }
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(error(format!("a cycler has no method {name}"))),
        }
    }
}

/// Returns an empty text at the first call, and the separator afterwards.
#[derive(Debug)]
struct Joiner {
    between: Value,
    calls: AtomicUsize,
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Done<Value> {
        let first = self.calls.swap(1, Ordering::Relaxed) == 0;
        Ok(if first { Value::from("") } else { self.between.clone() })
    }
}
