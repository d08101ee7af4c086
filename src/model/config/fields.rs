//! The fields of a `config.json`, and which of them were read: what nobody read may change the result.

use super::LARGEST;
use crate::format::Folder;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::HashSet;

/// Fields that describe training, other tasks, or the file itself.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "attn_pdrop",
    "auto_map",
    "bos_token_id",
    "cache_implementation",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "id2label",
    "initializer_range",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "max_window_layers",
    "model_type",
    "n_ctx",
    "original_max_position_embeddings",
    "output_router_logits",
    "pad_token_id",
    "pretraining_tp",
    "reorder_and_upcast_attn",
    "resid_pdrop",
    "router_aux_loss_coef",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
    "vocab_size_per_layer_input",
];

/// A reader of fields that remembers their names.
pub(super) struct Fields<'a> {
    folder: &'a Folder,
    /// Where in the file, for messages: "" or "rope_parameters.".
    within: String,
    map: &'a Map<String, Value>,
    seen: RefCell<HashSet<String>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(folder: &'a Folder, within: &str, map: &'a Map<String, Value>) -> Self {
        Self { folder, within: within.into(), map, seen: RefCell::default() }
    }

    /// An error about a field.
    pub(super) fn wrong(&self, name: &str, message: impl std::fmt::Display) -> Error {
        self.folder.path_error(format!("config.json: {}{name} {message}", self.within))
    }

    /// The value of a field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.seen.borrow_mut().insert(name.to_owned());
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether the file says nothing of a field, not even null.
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
        as_type(value).map(Some).ok_or_else(|| {
            let shown: String = value.to_string().chars().take(60).collect();
            self.wrong(name, format!("should be {wanted}, but is {shown}"))
        })
    }

    fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.wrong(name, "is missing; choose a complete model"))
    }

    /// A count of 1 to what models have, if it is there.
    pub(super) fn opt_count(&self, name: &str) -> Result<Option<usize>> {
        let in_range = |value: &Value| {
            value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=LARGEST).contains(n))
        };
        self.typed(name, "a count that models have", in_range)
    }

    pub(super) fn count(&self, name: &str) -> Result<usize> {
        let value = self.opt_count(name)?;
        self.required(name, value)
    }

    /// A count as the library that wrote the file has it: one that is not written is `default`, and null is none.
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

    /// Numbers, `count` of them.
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

    /// Refuses a field with another value than the one that is supported.
    pub(super) fn only(&self, name: &str, supported: &Value) -> Result<()> {
        match self.get(name) {
            Some(value) if value != supported => {
                let shown: String = value.to_string().chars().take(60).collect();
                Err(self.wrong(name, format!("= {shown} changes the result; only {supported} is supported")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what nobody has read, unless it is known to be harmless, or says nothing.
    pub(super) fn finish(self) -> Result<()> {
        let seen = self.seen.borrow();
        let says_nothing = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        let strange = self.map.iter().find(|(name, value)| {
            !seen.contains(*name) && !HARMLESS.contains(&name.as_str()) && !says_nothing(value)
        });
        match strange {
            None => Ok(()),
            Some((name, value)) => {
                let shown: String = value.to_string().chars().take(60).collect();
                let name: String = name.chars().take(60).collect();
                Err(self.wrong(
                    &name,
                    format!("= {shown} is not known to this version and may change the result"),
                ))
            }
        }
    }
}
