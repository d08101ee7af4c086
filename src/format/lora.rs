//! Low-rank additions to a model's matrices (Hu et al. 2021, arXiv:2106.09685), as Hugging Face's PEFT stores them: a folder
//! with `adapter_config.json` and `adapter_model.safetensors`.

use super::blocks;
use super::cursor::shown;
use super::json::read_object;
use super::mapped::Mapped;
use super::names;
use super::shard::{self, Entry};
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

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

/// What is added to one matrix: y += scale · B (A x).
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// The matrix in GGUF's words, such as "blk.3.attn_q".
    pub name: String,
    /// Rows of A, columns of B.
    pub rank: usize,
    /// Columns of A.
    pub inputs: usize,
    /// Rows of B.
    pub outputs: usize,
    /// lora_alpha over the rank or its root.
    pub scale: f32,
    /// [rank, inputs].
    pub a: Vec<f32>,
    /// [outputs, rank].
    pub b: Vec<f32>,
}

/// An adapter's file, read.
#[derive(Debug, Clone)]
pub struct Lora {
    path: PathBuf,
    additions: Vec<LowRank>,
}

impl Lora {
    /// Reads a folder, or its file of weights, for a model of the family that GGUF calls `architecture`.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or asks for more than low-rank additions to matrices.
    pub fn open(path: &Path, architecture: &str) -> Result<Self> {
        let is_folder = std::fs::metadata(path).map_err(Error::io("open", path))?.is_dir();
        let (folder, weights) = match is_folder {
            true => (path.to_owned(), path.join(WEIGHTS)),
            false => (path.parent().map(Path::to_owned).unwrap_or_default(), path.to_owned()),
        };
        let settings = Settings::read(&folder.join(CONFIG))?;
        let (file, entries) = shard::open(&weights)?;
        let mut halves: BTreeMap<String, [Option<Entry>; 2]> = BTreeMap::new();
        for entry in entries {
            let (module, half) = module(&entry.name).ok_or_else(|| {
                let message = format!(
                    "tensor {} is no lora_A or lora_B of a matrix; others change the result and are not supported",
                    shown(&entry.name)
                );
                Error::format(&weights, message)
            })?;
            halves.entry(module).or_default()[half] = Some(entry);
        }
        let mut additions = vec![];
        for (module, halves) in halves {
            let wrong = |message: &str| {
                Error::format(&weights, format!("the addition to {} {message}", shown(&module)))
            };
            let [Some(a), Some(b)] = halves else { return Err(wrong("lacks its lora_A or lora_B")) };
            let (&[rank, inputs], &[outputs, columns]) = (&a.shape[..], &b.shape[..]) else {
                return Err(wrong("is not made of matrices"));
            };
            if rank != columns || rank == 0 {
                return Err(wrong(&format!("has a lora_A of {rank} rows and a lora_B of {columns} columns")));
            }
            let name = names::gguf_name(architecture, &format!("{module}.weight"));
            let name = name.strip_suffix(".weight").unwrap_or(&name).to_owned();
            let (a, b) = (floats(&file, &a)?, floats(&file, &b)?);
            let rank = rank as usize;
            let scale = settings.scale(&module, rank);
            if !scale.is_finite() || a.iter().chain(&b).any(|number| !number.is_finite()) {
                return Err(wrong("holds what is no number"));
            }
            let (inputs, outputs) = (inputs as usize, outputs as usize);
            additions.push(LowRank { name, rank, inputs, outputs, scale, a, b });
        }
        if additions.is_empty() {
            return Err(Error::format(&weights, "adds nothing"));
        }
        Ok(Self { path: path.to_owned(), additions })
    }

    /// What is added, by name.
    pub fn additions(&self) -> &[LowRank] {
        &self.additions
    }

    /// An error about this adapter.
    pub fn path_error(&self, message: impl Into<String>) -> Error {
        Error::format(&self.path, message)
    }
}

/// The module that a tensor belongs to, and whether it is A (0) or B (1).
fn module(tensor: &str) -> Option<(String, usize)> {
    let name = tensor.strip_prefix("base_model.model.").unwrap_or(tensor).strip_suffix(".weight")?;
    // Some tools leave the adapter's name in.
    let name = name.strip_suffix(".default").unwrap_or(name);
    let half = |end: &str, half: usize| name.strip_suffix(end).map(|module| (module.to_owned(), half));
    half(".lora_A", 0).or_else(|| half(".lora_B", 1))
}

fn floats(file: &Mapped, entry: &Entry) -> Result<Vec<f32>> {
    let wrong =
        |message: String| Error::format(file.path(), format!("tensor {}: {message}", shown(&entry.name)));
    let dtype = entry
        .dtype
        .clone()
        .map_err(|other| wrong(format!("it has type {other}; f32, f16 and bf16 are read")))?;
    // The header was checked: elements and bytes agree, and the bytes are there.
    let bytes = &file.bytes()[entry.bytes.start as usize..entry.bytes.end as usize];
    let mut values = vec![0.0; bytes.len() / dtype.block_bytes() * dtype.block_len()];
    blocks::dequantise(dtype, bytes, &mut values).map_err(wrong)?;
    Ok(values)
}

/// What of the configuration changes the result.
struct Settings {
    alpha: f64,
    alphas: Vec<(String, f64)>,
    /// Divides by the root of the rank (Kalajdzievski 2023, arXiv:2312.03732).
    root: bool,
}

impl Settings {
    fn read(path: &Path) -> Result<Self> {
        let map = read_object(path)?;
        let wrong = |name: &str, message: &str| {
            let shown: String =
                map.get(name).map(Value::to_string).unwrap_or_default().chars().take(60).collect();
            Error::format(path, format!("{name} = {shown} {message}"))
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
            return Err(wrong("init_lora_weights", "changes the base model, which is not supported"));
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
        for (name, value) in &map {
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
        let alpha = map.get("lora_alpha").and_then(Value::as_f64);
        let alpha = alpha.ok_or_else(|| wrong("lora_alpha", "should be a number"))?;
        let empty = Map::new();
        let patterns = map.get("alpha_pattern").and_then(Value::as_object).unwrap_or(&empty);
        let mut alphas = vec![];
        for (pattern, alpha) in patterns {
            let plain = pattern.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
            let alpha = alpha.as_f64().filter(|_| plain);
            let alpha = alpha.ok_or_else(|| wrong("alpha_pattern", "has more than names and numbers"))?;
            alphas.push((pattern.clone(), alpha));
        }
        Ok(Self { alpha, alphas, root: map.get("use_rslora") == Some(&Value::Bool(true)) })
    }

    fn scale(&self, module: &str, rank: usize) -> f32 {
        // A pattern is a module's whole name or its last parts.
        let fits = |pattern: &str| {
            module.strip_suffix(pattern).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        let alpha =
            self.alphas.iter().find(|(pattern, _)| fits(pattern)).map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = rank as f64;
        (alpha / if self.root { rank.sqrt() } else { rank }) as f32
    }
}
