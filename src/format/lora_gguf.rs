//! Adapters in GGUF files, as llama.cpp's `convert_lora_to_gguf.py` writes them: to the matrix `X`
//! belong `X.lora_a` and `X.lora_b`.

use super::blocks;
use super::cursor::shown;
use super::gguf::Gguf;
use super::lora::{LowRank, low_rank};
use super::tensor_table::TensorInfo;
use crate::error::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// Keys of an adapter that are read, or that say nothing of the result.
const KNOWN: [&str; 4] =
    ["adapter.type", "adapter.lora.alpha", "adapter.lora.task_name", "adapter.lora.prompt_prefix"];

/// What a file adds to a model of a family.
pub(super) fn read(path: &Path, architecture: &str) -> Result<Vec<LowRank>> {
    let gguf = Gguf::open(path)?;
    let kind = gguf.opt_str("general.type")?.unwrap_or("model");
    if kind != "adapter" {
        return Err(gguf.path_error(format!(
            "is a GGUF file of type {}, not an adapter; give one that llama.cpp's \
             convert_lora_to_gguf.py wrote",
            shown(kind)
        )));
    }
    let adapter = gguf.str("adapter.type")?;
    if adapter != "lora" {
        let message =
            format!("is an adapter of type {}; only \"lora\" is supported", shown(adapter));
        return Err(gguf.path_error(message));
    }
    let of = gguf.str("general.architecture")?;
    if of != architecture {
        let message = format!(
            "is for models of the family {}, but the model is of {architecture}",
            shown(of)
        );
        return Err(gguf.path_error(message));
    }
    let strange = |key: &str| key.starts_with("adapter.") && !KNOWN.contains(&key);
    if let Some((key, _)) = gguf.metadata().iter().find(|(key, _)| strange(key)) {
        let message = format!(
            "metadata key {} is not known to this version and may change the result",
            shown(key)
        );
        return Err(gguf.path_error(message));
    }
    let alpha = gguf.opt_f32("adapter.lora.alpha")?.filter(|&alpha| alpha != 0.0);

    let mut matrices: BTreeMap<&str, [Option<&TensorInfo>; 2]> = BTreeMap::new();
    for tensor in gguf.tensors() {
        let part = |half: usize| {
            let ending = [".weight.lora_a", ".weight.lora_b"][half];
            tensor.name.strip_suffix(ending).map(|name| (name, half))
        };
        let Some((name, half)) = part(0).or_else(|| part(1)) else {
            return Err(gguf.path_error(format!(
                "tensor {} is no lora_a or lora_b of a matrix; others change the result and are \
                 not supported",
                shown(&tensor.name)
            )));
        };
        matrices.entry(name).or_default()[half] = Some(tensor);
    }
    let mut additions = vec![];
    for (name, halves) in matrices {
        let wrong =
            |message: &str| gguf.path_error(format!("the addition to {} {message}", shown(name)));
        let [Some(a), Some(b)] = halves else { return Err(wrong("lacks one of its two matrices")) };
        let ([rank, inputs], [outputs, columns]) = match (sizes(a), sizes(b)) {
            (Some(a), Some(b)) => (a, b),
            _ => return Err(wrong("is not made of matrices")),
        };
        let scale = alpha.map_or(1.0, |alpha| alpha / rank as f32);
        let values = [floats(&gguf, a)?, floats(&gguf, b)?];
        let addition =
            low_rank(name.to_owned(), scale, [rank, inputs, outputs, columns], values, true);
        additions.push(addition.map_err(|message| wrong(&message))?);
    }
    Ok(additions)
}

/// Rows and columns; a single axis is a row.
fn sizes(tensor: &TensorInfo) -> Option<[u64; 2]> {
    match tensor.shape[..] {
        [columns] => Some([1, columns]),
        [rows, columns] => Some([rows, columns]),
        _ => None,
    }
}

fn floats(gguf: &Gguf, tensor: &TensorInfo) -> Result<Vec<f32>> {
    let mut values = vec![0.0; tensor.elements() as usize];
    blocks::dequantise(tensor.dtype, gguf.data(tensor), &mut values)
        .map_err(|message| gguf.tensor_error(&shown(&tensor.name), message))?;
    Ok(values)
}
