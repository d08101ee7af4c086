//! What Python's filters give lazily: it is iterated, and has neither length nor items.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Rest, ValueOrKwargs};
use minijinja::{Environment, Value, filters};

use super::python::{Done, items};

/// Items that were all made beforehand, in the place of a generator.
#[derive(Debug)]
pub(super) struct Generator(Vec<Value>);

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.clone())
    }

    /// A generator counts as true, whatever it will give.
    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

pub(super) fn of(items: Vec<Value>) -> Value {
    Value::from_object(Generator(items))
}

pub(super) fn is_one(value: &Value) -> bool {
    value.downcast_object_ref::<Generator>().is_some()
}

/// What these filters go through. For them, what is false is empty.
fn iterable(value: Value) -> Done<Value> {
    if !value.is_true() {
        Ok(Value::from(Vec::<Value>::new()))
    } else {
        items(&value).map(Value::from)
    }
}

pub(super) fn add_to(environment: &mut Environment) {
    environment.add_filter(
        "map",
        |state: &mut minijinja::State, value: Value, rest: Rest<ValueOrKwargs>| {
            let value = iterable(value)?;
            filters::map(state, value, rest).map(of)
        },
    );
    macro_rules! chosen {
        ($name:literal, $filter:path) => {
            environment.add_filter(
                $name,
                |state: &mut minijinja::State,
                 value: Value,
                 test: Option<std::borrow::Cow<'_, str>>,
                 rest: Rest<ValueOrKwargs>| {
                    let value = iterable(value)?;
                    $filter(state, value, test, rest).map(of)
                },
            );
        };
    }
    chosen!("select", filters::select);
    chosen!("reject", filters::reject);
    macro_rules! chosen_by {
        ($name:literal, $filter:path) => {
            environment.add_filter(
                $name,
                |state: &mut minijinja::State,
                 value: Value,
                 attribute: std::borrow::Cow<'_, str>,
                 test: Option<std::borrow::Cow<'_, str>>,
                 rest: Rest<ValueOrKwargs>| {
                    let value = iterable(value)?;
                    $filter(state, value, attribute, test, rest).map(of)
                },
            );
        };
    }
    chosen_by!("selectattr", filters::selectattr);
    chosen_by!("rejectattr", filters::rejectattr);
}
