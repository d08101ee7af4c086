//! Exports a fine-tuned model: an adapter in PEFT's format, or the model in the format that it was
//! loaded from.

use super::export::{halves, llama_tensors};
use super::tensor_file::write_tensors;
use crate::files::write_whole;
use crate::format::{DType, Gguf, NewTensor, Source, Value, is_there, write_gguf};
use crate::train::model::config::Shape;
use crate::train::model::low_rank::{LoraSettings, Pair, Target};
use crate::train::trainer::Trainer;
use crate::train::tuning::Tuning;
use crate::{Error, Result};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of a folder that are copied: configuration, tokenizer, chat template, and generation
/// settings.
const KEPT: [&str; 8] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// Writes `adapter_model.safetensors` and `adapter_config.json`.
pub(in crate::train) fn export_adapter(
    settings: &LoraSettings,
    shape: &Shape,
    pairs: Vec<Pair>,
    base: &str,
    folder: &Path,
) -> Result<PathBuf> {
    let rank = settings.rank;
    let mut all = vec![];
    for Pair { layer, target, columns, a, b } in pairs {
        let name = format!("base_model.model.model.layers.{layer}.{}", target.module());
        let b = match target {
            Target::Q | Target::K => halves(&b, shape.head(), rank),
            _ => b,
        };
        all.push((format!("{name}.lora_A.weight"), vec![rank, columns], a));
        all.push((format!("{name}.lora_B.weight"), vec![b.len() / rank, rank], b));
    }
    let metadata = [("format".to_string(), "pt".to_string())].into();
    write_tensors(&folder.join("adapter_model.safetensors"), &all, Some(metadata))?;
    let modules = settings.targets.iter().filter_map(|target| target.module().split('.').nth(1));
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "target_modules": modules.collect::<Vec<_>>(),
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "use_rslora": false,
        "use_dora": false,
    });
    let path = folder.join("adapter_config.json");
    let text =
        serde_json::to_string_pretty(&config).map_err(|e| Error::damaged(&path, e.to_string()))?;
    write_whole(&path, text + "\n")?;
    Ok(folder.to_owned())
}

/// Writes the model in the format that it was loaded from: a folder with a copy of its tokenizer,
/// or `model.gguf` with the same metadata.
pub(in crate::train) fn export_model(
    trainer: &Trainer,
    tuning: &Tuning,
    folder: &Path,
) -> Result<PathBuf> {
    let Tuning { model, ignored, .. } = tuning;
    match Source::open_ignoring(model, ignored)? {
        Source::Gguf(gguf) => {
            let path = folder.join("model.gguf");
            export_gguf(trainer, &gguf, &path)?;
            Ok(path)
        }
        Source::Folder(_) => {
            let metadata = [("format".to_string(), "pt".to_string())].into();
            write_tensors(
                &folder.join("model.safetensors"),
                &llama_tensors(trainer)?,
                Some(metadata),
            )?;
            for name in KEPT {
                let (from, to) = (model.join(name), folder.join(name));
                if is_there(&from)? {
                    write_whole(&to, fs::read(&from).map_err(Error::io("read", &from))?)?;
                }
            }
            Ok(folder.to_owned())
        }
    }
}

fn export_gguf(trainer: &Trainer, gguf: &Gguf, path: &Path) -> Result<()> {
    let (shape, keys) = (&trainer.shape, trainer.shape.n_kv_heads * trainer.shape.head());
    // The parameter, and which of its rows make up the tensor of the file.
    let place = |name: &str| -> Option<(String, usize)> {
        let stem = name.strip_suffix(".weight")?;
        let (block, part) = stem.rsplit_once('.').unwrap_or(("", stem));
        let ours = |part: &str| format!("{block}.{part}");
        Some(match part {
            "attn_k" => (ours("attn_kv"), 0),
            "attn_v" => (ours("attn_kv"), keys),
            "ffn_gate" => (ours("ffn_up"), 0),
            "ffn_up" => (ours("ffn_up"), shape.intermediate_size),
            _ => (stem.to_owned(), 0),
        })
    };
    let trained = |name: &str| {
        let (ours, row) = place(name)?;
        trainer.parameters.find(&ours).map(|tensor| (tensor, row))
    };
    let new = |info: &crate::format::TensorInfo| NewTensor {
        name: info.name.clone(),
        shape: info.shape.clone(),
        dtype: if trained(&info.name).is_some() { DType::F32 } else { info.dtype },
    };
    let tensors: Vec<NewTensor> = gguf.tensors().iter().map(new).collect();
    let mut metadata: Vec<(String, Value)> = gguf.metadata().to_vec();
    for (key, value) in &mut metadata {
        if key == "general.file_type" {
            // All tensors are f32, which is 0 in ggml's `enum llama_ftype`.
            *value = Value::U32(0);
        }
    }
    write_gguf(path, &metadata, &tensors, |index| {
        let info = &gguf.tensors()[index];
        let Some((tensor, row)) = trained(&info.name) else { return Ok(gguf.data(info).to_vec()) };
        let (values, count) = (tensor.read_f32(trainer.gpu())?, info.elements() as usize);
        let first = row * tensor.shape().last().copied().unwrap_or(0);
        Ok(bytemuck::cast_slice(&values[first..first + count]).to_vec())
    })
}
