//! The fields of a `config.json`, and a record of which were read: an unread field may change the
//! result.

use super::harmless::{Effect, effect};
use super::{HAS_AN_EFFECT, LARGEST};
use crate::error::Remedy;
use crate::format::Folder;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::HashSet;

/// Reads fields and remembers their names.
pub(super) struct Fields<'a> {
    folder: &'a Folder,
    /// Where in the file, for messages: "" or "rope_parameters.".
    within: String,
    map: &'a Map<String, Value>,
    /// Names of the fields that were read.
    seen: RefCell<HashSet<String>>,
    /// Names of the fields that were checked to have the only supported value.
    checked: RefCell<HashSet<String>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(folder: &'a Folder, within: &str, map: &'a Map<String, Value>) -> Self {
        Self {
            folder,
            within: within.into(),
            map,
            seen: RefCell::default(),
            checked: RefCell::default(),
        }
    }

    /// An error about a field.
    pub(super) fn wrong(&self, name: &str, message: impl std::fmt::Display) -> Error {
        self.folder.path_error(format!("config.json: {}{name} {message}", self.within))
    }

    /// An error about a field that changes the result and is not supported, unless the user ignores
    /// it.
    fn unsupported(&self, name: &str, message: &str) -> Error {
        let name = self.path_of(name);
        self.folder
            .unsupported(format!("config.json: {name} {message}"))
            .with_remedy(Remedy::IgnoreField(name))
    }

    /// The full name of the field, for messages and for the list of ignored fields.
    fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.within)
    }

    /// Whether the user asked to ignore the field.
    fn is_ignored(&self, name: &str) -> bool {
        self.folder.ignored().has_field(&self.path_of(name))
    }

    /// Whether the folder has a tensor of this name.
    pub(super) fn has_tensor(&self, name: &str) -> bool {
        self.folder.opt_tensor(name).is_some()
    }

    /// Whether the embedding table is also the output matrix when the configuration ties them:
    /// `transformers` uses a separate output matrix if one is stored nevertheless.
    pub(super) fn repeats_embedding(&self) -> bool {
        !self.has_tensor("output.weight") || self.folder.output_repeats()
    }

    /// The value of a field that is present and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.seen.borrow_mut().insert(name.to_owned());
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether the file lacks a field; a null counts as present.
    pub(super) fn is_absent(&self, name: &str) -> bool {
        !self.map.contains_key(name)
    }

    fn typed<T>(
        &self,
        name: &str,
        wanted: &str,
        as_type: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        as_type(value)
            .map(Some)
            .ok_or_else(|| self.wrong(name, format!("should be {wanted}, but is {}", shown(value))))
    }

    fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.wrong(name, "is missing; choose a complete model"))
    }

    /// A count between 1 and the largest that any model has, if the field is present.
    pub(super) fn opt_count(&self, name: &str) -> Result<Option<usize>> {
        let in_range = |value: &Value| {
            value
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| (1..=LARGEST).contains(n))
        };
        self.typed(name, "a count that models have", in_range)
    }

    pub(super) fn count(&self, name: &str) -> Result<usize> {
        let value = self.opt_count(name)?;
        self.required(name, value)
    }

    /// A count by the rules of `transformers`: a missing field is `default`, and null means none.
    pub(super) fn count_or(&self, name: &str, default: Option<usize>) -> Result<Option<usize>> {
        if self.is_absent(name) { Ok(default) } else { self.opt_count(name) }
    }

    pub(super) fn opt_number(&self, name: &str) -> Result<Option<f64>> {
        self.typed(name, "a number", |value| value.as_f64().filter(|n| n.is_finite()))
    }

    pub(super) fn number(&self, name: &str) -> Result<f64> {
        let value = self.opt_number(name)?;
        self.required(name, value)
    }

    pub(super) fn opt_flag(&self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.opt_flag(name)?.unwrap_or(default))
    }

    pub(super) fn opt_text(&self, name: &str) -> Result<Option<&'a str>> {
        self.typed(name, "a text", Value::as_str)
    }

    pub(super) fn opt_object(&self, name: &str) -> Result<Option<Fields<'a>>> {
        let object = self.typed(name, "an object", Value::as_object)?;
        Ok(object.map(|map| Fields::new(self.folder, &format!("{}{name}.", self.within), map)))
    }

    pub(super) fn opt_list(&self, name: &str) -> Result<Option<&'a [Value]>> {
        self.typed(name, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// A list of exactly `count` numbers.
    pub(super) fn numbers(&self, name: &str, count: usize) -> Result<Vec<f32>> {
        let list = self.opt_list(name)?;
        let list = self.required(name, list)?;
        if list.len() != count {
            return Err(self.wrong(name, format!("has {} numbers instead of {count}", list.len())));
        }
        let number = |value: &Value| value.as_f64().map(|n| n as f32);
        let numbers: Option<Vec<f32>> = list.iter().map(number).collect();
        numbers.ok_or_else(|| self.wrong(name, "should be a list of numbers"))
    }

    /// Refuses a field whose value is not one of the supported ones, all of which mean the same.
    pub(super) fn only(&self, name: &str, supported: &[Value]) -> Result<()> {
        self.checked.borrow_mut().insert(name.to_owned());
        match self.map.get(name).filter(|value| !value.is_null()) {
            Some(value) if !supported.contains(value) && !self.is_ignored(name) => {
                let names: Vec<String> = supported.iter().map(Value::to_string).collect();
                let message = format!(
                    "= {} changes the result; only {} is supported",
                    shown(value),
                    names.join(" or ")
                );
                Err(self.unsupported(name, &message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses fields that were not read, unless they are known to be harmless or the user ignores
    /// them.
    pub(super) fn finish(self) -> Result<()> {
        let (seen, checked) = (self.seen.borrow(), self.checked.borrow());
        for (name, value) in self.map {
            let is_ignored = self.is_ignored(name);
            if seen.contains(name) {
                if is_ignored {
                    return Err(Error::setting(self.path_of(name), HAS_AN_EFFECT));
                }
                continue;
            }
            if is_ignored || checked.contains(name) {
                continue;
            }
            let what = match effect(&self.within, name, value) {
                Effect::None => continue,
                Effect::Other => "changes the result and is not supported",
                Effect::Unknown => "is not known to this version and may change the result",
            };
            let name: String = name.chars().take(60).collect();
            return Err(self.unsupported(&name, &format!("= {} {what}", shown(value))));
        }
        Ok(())
    }
}

/// The beginning of a value, for messages.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}
