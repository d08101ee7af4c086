//! Adapters as mlx-lm stores them: `adapter_config.json` and `adapters.safetensors`, with y +=
//! scale · (x A) B, so that A is stored as [inputs, rank] and B as [rank, outputs].

use super::cursor::shown;
use super::lora::{Halves, LowRank};
use super::names;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// Whether a configuration is one of mlx-lm's, by what PEFT's do not have.
pub(super) fn is_mlx_config(map: &Map<String, Value>) -> bool {
    !map.contains_key("peft_type")
        && (map.contains_key("lora_parameters") || map.contains_key("fine_tune_type"))
}

/// What the tensors of `weights` add to a model of a family, by what its configuration `config`
/// says.
pub(super) fn read(
    weights: &Path,
    config: &Path,
    map: &Map<String, Value>,
    architecture: &str,
) -> Result<Vec<LowRank>> {
    let wrong = |message: String| Error::damaged(config, message);
    let kind = map.get("fine_tune_type").and_then(Value::as_str).unwrap_or("lora");
    if kind != "lora" {
        return Err(wrong(format!(
            "fine_tune_type = {} is not supported, \"lora\" is; fuse it into the model with \
             mlx_lm.fuse",
            shown(kind)
        )));
    }
    let parameters = map.get("lora_parameters").and_then(Value::as_object);
    let scale = parameters.and_then(|parameters| parameters.get("scale")).and_then(Value::as_f64);
    let scale = scale.ok_or_else(|| wrong("lora_parameters.scale should be a number".into()))?;
    if parameters.is_some_and(|parameters| parameters.contains_key("alpha")) {
        // Its first versions multiplied the scale with alpha over the rank; later ones read their
        // files without that.
        log::warn!(
            "{}: lora_parameters.alpha is left out of account, as mlx-lm does by now",
            config.display()
        );
    }
    let mut halves = Halves::open(weights)?;
    halves.transposed = true;
    for tensor in halves.take_tensors() {
        let part = |half: usize| {
            let ending = [".lora_a", ".lora_b"][half];
            tensor.name.strip_suffix(ending).map(|module| (module.to_owned(), half))
        };
        let Some((module, half)) = part(0).or_else(|| part(1)) else {
            return Err(halves.wrong(format!(
                "tensor {} is no lora_a or lora_b of a matrix; others change the result and are \
                 not supported",
                shown(&tensor.name)
            )));
        };
        halves.put(module, half, tensor)?;
    }
    halves.join(|module, _| {
        let name = names::gguf_name(architecture, &format!("{module}.weight"));
        (name.strip_suffix(".weight").unwrap_or(&name).to_owned(), scale as f32)
    })
}
