//! Adapters as Hugging Face's PEFT stores them: `adapter_config.json` and
//! `adapter_model.safetensors`.

use super::cursor::shown;
use super::lora::{Halves, LowRank};
use super::names;
use crate::error::{Error, Result};
use regex::Regex;
use serde_json::{Map, Value};
use std::path::Path;

/// Settings that describe training or the file, and those that the tensors say themselves.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
];

/// What the tensors of `weights` add to a model of a family, by what its configuration `config`
/// says.
pub(super) fn read(
    weights: &Path,
    config: &Path,
    map: &Map<String, Value>,
    architecture: &str,
) -> Result<Vec<LowRank>> {
    let peft = PeftConfig::read(config, map)?;
    let mut halves = Halves::open(weights)?;
    let mut adapter: Option<Option<String>> = None;
    for tensor in halves.take_tensors() {
        let Some(Named { module, half, adapter: own }) = named(&tensor.name) else {
            return Err(halves.wrong(format!(
                "tensor {} is no lora_A or lora_B of a matrix; others change the result and are \
                 not supported",
                shown(&tensor.name)
            )));
        };
        let first = adapter.get_or_insert(own.clone());
        if *first != own {
            let name = |adapter: &Option<String>| shown(adapter.as_deref().unwrap_or_default());
            return Err(halves.wrong(format!(
                "holds several adapters, {} and {}; save one, with PEFT's save_pretrained(…, \
                 selected_adapters=[…])",
                name(first),
                name(&own)
            )));
        }
        halves.put(module, half, tensor)?;
    }
    halves.join(|module, rank| {
        let name = names::gguf_name(architecture, &format!("{module}.weight"));
        (name.strip_suffix(".weight").unwrap_or(&name).to_owned(), peft.scale(module, rank))
    })
}

/// What the name of a tensor says.
#[derive(Debug, PartialEq)]
struct Named {
    module: String,
    /// A (0) or B (1).
    half: usize,
    /// The adapter's own name, which some tools leave in.
    adapter: Option<String>,
}

fn named(tensor: &str) -> Option<Named> {
    let name = tensor.strip_prefix("base_model.model.").unwrap_or(tensor);
    let name = name.strip_suffix(".weight").unwrap_or(name);
    let (before, last) = name.rsplit_once('.')?;
    let half = |part: &str| ["lora_A", "lora_B"].iter().position(|half| *half == part);
    if let Some(half) = half(last) {
        return Some(Named { module: before.into(), half, adapter: None });
    }
    let (module, part) = before.rsplit_once('.')?;
    half(part).map(|half| Named { module: module.into(), half, adapter: Some(last.into()) })
}

/// The settings that change the result, by PEFT's names.
struct PeftConfig {
    /// What is added is multiplied by this over the rank.
    lora_alpha: f64,
    /// Those of modules whose names match, the first that does.
    alpha_pattern: Vec<(Regex, f64)>,
    /// Divides by the root of the rank (Kalajdzievski 2023, arXiv:2312.03732).
    use_rslora: bool,
}

impl PeftConfig {
    fn read(path: &Path, map: &Map<String, Value>) -> Result<Self> {
        let wrong = |name: &str, message: &str| {
            let shown: String =
                map.get(name).map(Value::to_string).unwrap_or_default().chars().take(60).collect();
            Error::damaged(path, format!("{name} = {shown} {message}"))
        };
        if map.get("peft_type").and_then(Value::as_str) != Some("LORA") {
            return Err(wrong("peft_type", "is not supported; LORA is"));
        }
        if map.get("bias").is_some_and(|bias| bias != "none") {
            return Err(wrong("bias", "adds to biases, which is not supported; \"none\" is"));
        }
        if map.get("use_dora") == Some(&Value::Bool(true)) {
            return Err(wrong(
                "use_dora",
                "changes the lengths of rows, which is not supported; merge it into the model",
            ));
        }
        // Others take away from the base model what they begin with.
        let begins = map.get("init_lora_weights").unwrap_or(&Value::Null);
        let plain = match begins {
            Value::Null | Value::Bool(_) => true,
            other => ["gaussian", "orthogonal", "eva"].iter().any(|known| other == known),
        };
        if !plain {
            return Err(wrong(
                "init_lora_weights",
                "changes the base model, which is not supported",
            ));
        }
        let read = [
            "peft_type",
            "bias",
            "init_lora_weights",
            "r",
            "lora_alpha",
            "alpha_pattern",
            "rank_pattern",
            "use_rslora",
        ];
        for (name, value) in map {
            let says_nothing = match value {
                Value::Null | Value::Bool(false) => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            if !says_nothing && !read.contains(&&**name) && !HARMLESS.contains(&&**name) {
                return Err(wrong(name, "is not known to this version and may change the result"));
            }
        }
        let lora_alpha = map.get("lora_alpha").and_then(Value::as_f64);
        let lora_alpha = lora_alpha.ok_or_else(|| wrong("lora_alpha", "should be a number"))?;
        let empty = Map::new();
        let patterns = map.get("alpha_pattern").and_then(Value::as_object).unwrap_or(&empty);
        let mut alpha_pattern = vec![];
        for (pattern, alpha) in patterns {
            let alpha = alpha
                .as_f64()
                .ok_or_else(|| wrong("alpha_pattern", "has something else than numbers"))?;
            // As PEFT holds an expression against the name of a module: all of it, or what follows
            // a dot.
            let expression =
                Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).map_err(|error| {
                    let reason = error.to_string();
                    let reason = reason
                        .lines()
                        .last()
                        .unwrap_or_default()
                        .trim_start_matches("error: ")
                        .to_owned();
                    wrong(
                        "alpha_pattern",
                        &format!(
                            "has {}, which is not read as an expression: {reason}",
                            shown(pattern)
                        ),
                    )
                })?;
            alpha_pattern.push((expression, alpha));
        }
        let use_rslora = map.get("use_rslora") == Some(&Value::Bool(true));
        Ok(Self { lora_alpha, alpha_pattern, use_rslora })
    }

    fn scale(&self, module: &str, rank: usize) -> f32 {
        let own = self.alpha_pattern.iter().find(|(pattern, _)| pattern.is_match(module));
        let (alpha, rank) = (own.map_or(self.lora_alpha, |(_, alpha)| *alpha), rank as f64);
        (alpha / if self.use_rslora { rank.sqrt() } else { rank }) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tensors_are_read_with_and_without_an_adapters_own() {
        let rows = [
            (
                "base_model.model.model.layers.0.q_proj.lora_A.weight",
                Some(("model.layers.0.q_proj", 0, None)),
            ),
            ("base_model.model.a.lora_B.default.weight", Some(("a", 1, Some("default")))),
            ("a.b.lora_A.my-own.weight", Some(("a.b", 0, Some("my-own")))),
            ("a.lora_B", Some(("a", 1, None))),
            ("a.lora_A.x.y.weight", None),
            ("a.lora_embedding_A.default", None),
            ("a.lora_magnitude_vector.weight", None),
            ("lora_A", None),
            ("", None),
        ];
        for (tensor, wanted) in rows {
            let wanted = wanted.map(|(module, half, adapter)| Named {
                module: module.into(),
                half,
                adapter: adapter.map(str::to_owned),
            });
            assert_eq!(named(tensor), wanted, "{tensor}");
        }
    }
}
