//! The metadata keys of a GGUF file about its model, and a record of which were read: an unread key
//! may change the result.

use super::{HAS_AN_EFFECT, LARGEST};
use crate::error::Remedy;
use crate::format::{Gguf, Value};
use crate::{Error, Result};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Keys that follow from others or from the tensors, or that have no effect on the text.
const HARMLESS: &[&str] = &[
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "classifier.output_labels",
    "decoder_start_token_id",
    "embedding_length_out",
    "pooling_type",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "tensor_data_layout",
    "vocab_size",
];

/// Prefixes of keys about parts of a model other than the language model.
const ELSEWHERE: [&str; 3] = ["vision.", "audio.", "mm."];

/// Keys that are harmless with these values.
const ONLY: &[(&str, &[&str])] = &[
    ("attention.causal", &["true"]),
    ("attention.clamp_kqv", &["0"]),
    ("attention.max_alibi_bias", &["0"]),
    ("attention.scale", &["0"]),
    ("attention.shared_kv_layers", &["0"]),
    ("embedding_scale", &["0", "1"]),
    ("expert_count", &["0"]),
    ("expert_feed_forward_length", &["0"]),
    // 1 is the softmax.
    ("expert_gating_func", &["0", "1"]),
    ("expert_group_count", &["0", "1"]),
    ("expert_group_used_count", &["0", "1"]),
    ("expert_shared_count", &["0"]),
    ("expert_shared_feed_forward_length", &["0"]),
    ("expert_used_count", &["0"]),
    ("expert_weights_norm", &["false"]),
    ("expert_weights_scale", &["0", "1"]),
    ("interleave_moe_layer_step", &["0", "1"]),
    ("leading_dense_block_count", &["0"]),
    ("logit_scale", &["0", "1"]),
    ("nextn_predict_layers", &["0"]),
    ("residual_scale", &["0", "1"]),
    ("rope.scaling.attn_factor", &["1"]),
    ("rope.scaling.yarn_attn_factor", &["1"]),
    ("rope.scaling.yarn_ext_factor", &["1", "-1"]),
    ("rope.scaling.yarn_log_multiplier", &["0"]),
    ("use_parallel_residual", &["false"]),
];

/// Reads the keys of one architecture and remembers their names.
pub(super) struct Keys<'a> {
    pub gguf: &'a Gguf,
    architecture: &'a str,
    seen: RefCell<BTreeSet<String>>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(gguf: &'a Gguf, architecture: &'a str) -> Self {
        Self { gguf, architecture, seen: RefCell::default() }
    }

    /// The full name of a key, which counts as read from now on.
    fn key(&self, name: &str) -> String {
        self.seen.borrow_mut().insert(name.to_owned());
        format!("{}.{name}", self.architecture)
    }

    /// An error about a key.
    pub(super) fn wrong(&self, name: &str, message: impl std::fmt::Display) -> Error {
        self.gguf.path_error(format!("{}.{name} {message}", self.architecture))
    }

    /// An error about a key that changes the result and is not supported, unless the user ignores
    /// it.
    fn unsupported(&self, name: &str, message: &str) -> Error {
        let name = format!("{}.{name}", self.architecture);
        self.gguf.unsupported(format!("{name} {message}")).with_remedy(Remedy::IgnoreField(name))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.gguf.get(&self.key(name))
    }

    pub(super) fn opt_u32(&self, name: &str) -> Result<Option<u32>> {
        self.gguf.opt_u32(&self.key(name))
    }

    pub(super) fn u32(&self, name: &str) -> Result<u32> {
        self.gguf.u32(&self.key(name))
    }

    pub(super) fn opt_f32(&self, name: &str) -> Result<Option<f32>> {
        self.gguf.opt_f32(&self.key(name))
    }

    pub(super) fn f32(&self, name: &str) -> Result<f32> {
        self.gguf.f32(&self.key(name))
    }

    pub(super) fn opt_str(&self, name: &str) -> Result<Option<&'a str>> {
        self.gguf.opt_str(&self.key(name))
    }

    pub(super) fn opt_bool(&self, name: &str) -> Result<Option<bool>> {
        self.gguf.opt_bool(&self.key(name))
    }

    /// A count between 1 and the largest that any model has.
    pub(super) fn count(&self, name: &str) -> Result<usize> {
        let value = self.u32(name)?;
        self.in_range(name, value)
    }

    fn in_range(&self, name: &str, value: u32) -> Result<usize> {
        match value as usize {
            0 => Err(self.wrong(name, "is zero")),
            value @ 1..=LARGEST => Ok(value),
            value => Err(self.wrong(name, format!("is {value}, which no model needs"))),
        }
    }

    /// A count that holds for all layers, written once or for each of `layers` layers.
    pub(super) fn count_of_all(&self, name: &str, layers: usize) -> Result<usize> {
        let Some(Value::Array(list)) = self.get(name) else { return self.count(name) };
        let counts = list.as_u32s().ok_or_else(|| {
            let found = list.element_type_name();
            self.wrong(
                name,
                format!("should be one count or one for each layer, but is an array of {found}"),
            )
        })?;
        if counts.len() != layers {
            let message = format!(
                "has {} counts, but there are {layers} layers; the file is damaged",
                counts.len()
            );
            return Err(self.wrong(name, message));
        }
        let (least, most) = (counts.iter().min().copied(), counts.iter().max().copied());
        match (least, most) {
            (Some(least), Some(most)) if least == most => self.in_range(name, least),
            (least, most) => Err(self.wrong(
                name,
                format!(
                    "differs from layer to layer ({} to {}), which is not supported; layers of \
                     one shape are",
                    least.unwrap_or(0),
                    most.unwrap_or(0)
                ),
            )),
        }
    }

    /// A count, or `default` where the key is missing.
    pub(super) fn count_or(&self, name: &str, default: usize) -> Result<usize> {
        if self.get(name).is_some() { self.count(name) } else { Ok(default) }
    }

    /// Refuses keys that were not read, unless they or their values are known to be harmless.
    pub(super) fn finish(self) -> Result<()> {
        let seen = self.seen.borrow();
        for (key, value) in self.gguf.metadata() {
            let name = key.strip_prefix(self.architecture).and_then(|rest| rest.strip_prefix('.'));
            let Some(name) = name else { continue };
            let is_ignored = self.gguf.ignored().has_field(key);
            if seen.contains(name) {
                if is_ignored {
                    return Err(Error::setting(key.as_str(), HAS_AN_EFFECT));
                }
                continue;
            }
            if is_ignored
                || HARMLESS.contains(&name)
                || ELSEWHERE.iter().any(|start| name.starts_with(start))
            {
                continue;
            }
            let shown: String = name.chars().take(60).collect();
            match ONLY.iter().find(|(known, _)| *known == name) {
                Some((_, harmless)) if harmless.contains(&&*value.to_string()) => {}
                Some(_) => {
                    let message = format!("= {value} changes the result and is not supported");
                    return Err(self.unsupported(&shown, &message));
                }
                None => {
                    let message =
                        format!("= {value} is not known to this version and may change the result");
                    return Err(self.unsupported(&shown, &message));
                }
            }
        }
        Ok(())
    }
}
