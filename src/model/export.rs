//! Converts the model of a Hugging Face folder to the names and the order of GGUF, as llama.cpp
//! reads it (`docs/gguf.md` of ggml-org/ggml).
//!
//! Numbers of a head that are rotated together become neighbours for the family `llama`; gains
//! include their offset; vectors are f32; matrices of the family `gpt2` are transposed; experts are
//! stacked.

use super::architecture::{Architecture, Norm, Pairs};
use super::config::{Config, LayerType};
use super::pooling::Pooling;
use super::rope::{RopeParameters, Scaling};
use super::rows::{transposed, unpaired};
use super::weights::Weights;
use crate::format::{DType, Folder, NewTensor, Source, TensorInfo, Value, blocks, quantize};
use crate::gpu::Device;
use crate::kernels::Function;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How the numbers of a tensor change.
enum Change {
    /// They stay as they are.
    None,
    /// Each head has this many rows, of which the second number are rotated; pairs become
    /// neighbours.
    Paired(usize, usize),
    /// This number is added to each.
    Offset(f32),
    /// The matrix is transposed.
    Transposed,
}

/// Where the numbers of a tensor come from.
enum From {
    /// Tensors of the folder, concatenated.
    Folder(Vec<TensorInfo>),
    /// Computed from the configuration.
    Made(Vec<f32>),
}

struct Planned {
    new: NewTensor,
    from: From,
    change: Change,
}

/// A model that is ready to be written as a GGUF file.
pub struct Export {
    source: Source,
    /// The model's name.
    pub name: String,
    /// Metadata about the model's shape; its name and its tokenizer are not included.
    pub metadata: Vec<(String, Value)>,
    planned: Vec<Planned>,
    vocabulary: usize,
}

impl Export {
    /// Plans the GGUF file for a folder.
    ///
    /// # Errors
    /// When the folder is incomplete, or has a setting that GGUF cannot express.
    pub fn new(folder: &Arc<Folder>) -> Result<Self> {
        let source = Source::Folder(Arc::clone(folder));
        // The reference device only validates the names and shapes of all tensors; nothing is
        // copied.
        let model = Weights::load(&Device::Reference, &source, |_| ())?;
        let config = &model.config;
        let cannot =
            |message: String| source.path_error(format!("{message}; a GGUF file cannot say so"));
        let mut metadata = metadata(config).map_err(cannot)?;
        // A pooling that GGUF cannot express does not prevent a text model from being written.
        let pooling = Pooling::declared(&source)
            .ok()
            .flatten()
            .and_then(|declared| declared.pooling.gguf_number());
        if let Some(number) = pooling {
            metadata
                .push((format!("{}.pooling_type", config.architecture.name), Value::U32(number)));
        }
        let name = name(folder.path());
        let mut planned = vec![];
        let mut stacks: BTreeMap<String, Vec<(u32, TensorInfo)>> = BTreeMap::new();
        for tensor in source.tensors() {
            if tensor.name == "output.weight" && config.tied == Some(true) {
                continue;
            }
            match expert(&tensor.name) {
                Some((name, expert)) => {
                    stacks.entry(name).or_default().push((expert, tensor.clone()))
                }
                None => planned.push(plan(config, tensor)),
            }
        }
        for (name, mut experts) in stacks {
            experts.sort_by_key(|(expert, _)| *expert);
            let (shape, dtype) = (experts[0].1.shape.clone(), experts[0].1.dtype);
            if experts.iter().any(|(_, tensor)| tensor.dtype != dtype) {
                return Err(
                    source.path_error(format!("the experts of {name} are of several types"))
                );
            }
            let shape = [vec![experts.len() as u64], shape].concat();
            let from = From::Folder(experts.into_iter().map(|(_, tensor)| tensor).collect());
            planned.push(Planned {
                new: NewTensor { name, shape, dtype },
                from,
                change: Change::None,
            });
        }
        for (name, numbers) in divisors(&config.ropes[0], config.max_context) {
            let new = NewTensor {
                name: name.into(),
                shape: vec![numbers.len() as u64],
                dtype: DType::F32,
            };
            planned.push(Planned { new, from: From::Made(numbers), change: Change::None });
        }
        let vocabulary = config.vocab_size;
        Ok(Self { source, name, metadata, planned, vocabulary })
    }

    /// Number of token ids that have embeddings.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tensors in their stored types.
    pub fn tensors(&self) -> Vec<TensorInfo> {
        let info = |Planned { new, .. }: &Planned| TensorInfo {
            name: new.name.clone(),
            shape: new.shape.clone(),
            dtype: new.dtype,
            offset: 0,
            file: 0,
            bytes: new.bytes().unwrap_or(0),
        };
        self.planned.iter().map(info).collect()
    }

    /// The bytes of tensor `index`, converted to `dtype`.
    ///
    /// # Errors
    /// When a weight is not a finite number.
    pub fn data(&self, index: usize, dtype: DType) -> Result<Vec<u8>> {
        let Planned { new, from, change } = &self.planned[index];
        let (tensors, stored) = match from {
            From::Made(numbers) => return Ok(bytemuck::cast_slice(numbers).to_vec()),
            From::Folder(tensors) => (tensors, tensors[0].dtype),
        };
        let bytes: Vec<u8> =
            tensors.iter().flat_map(|tensor| self.source.data(tensor)).copied().collect();
        let columns = new.shape.last().map_or(1, |&n| n as usize);
        let bytes = match *change {
            Change::None => bytes,
            Change::Transposed => transposed(stored, &bytes, new.shape[0] as usize, columns),
            Change::Paired(head, width) => {
                // Each element of a bias is a row of its own.
                let row = if new.shape.len() == 1 { 1 } else { columns } * stored.block_bytes();
                let order = (0..bytes.len() / row)
                    .map(|at| at - at % head + unpaired(Pairs::Halves, at % head, width));
                order.flat_map(|from| bytes[from * row..][..row].iter().copied()).collect()
            }
            Change::Offset(offset) => {
                let mut numbers = vec![0.0f32; columns];
                blocks::dequantise(stored, &bytes, &mut numbers)
                    .map_err(|message| self.wrong(index, &message))?;
                numbers.iter_mut().for_each(|number| *number += offset);
                return Ok(bytemuck::cast_slice(&numbers).to_vec());
            }
        };
        tensors.iter().for_each(|tensor| self.source.release(tensor));
        quantize::convert(stored, &bytes, dtype).map_err(|message| self.wrong(index, &message))
    }

    fn wrong(&self, index: usize, message: &str) -> Error {
        self.source.tensor_error(&self.planned[index].new.name, message)
    }
}

/// "blk.0.ffn_up.17.weight" is expert 17 of "blk.0.ffn_up_exps.weight".
fn expert(name: &str) -> Option<(String, u32)> {
    let (stem, number) = name.strip_suffix(".weight")?.rsplit_once('.')?;
    let number = number.parse().ok()?;
    stem.contains(".ffn_").then(|| (format!("{stem}_exps.weight"), number))
}

fn plan(config: &Config, tensor: &TensorInfo) -> Planned {
    let Architecture { gguf_pairs, gain_offset, transposed, .. } = *config.architecture;
    let part = tensor.name.strip_prefix("blk.").and_then(|rest| rest.split('.').nth(1));
    let is_vector = tensor.shape.len() == 1;
    let change = match part {
        Some("attn_q" | "attn_k") if gguf_pairs == Pairs::Neighbours => {
            Change::Paired(config.head_dim, config.ropes[0].width)
        }
        Some(_) if transposed && !is_vector => Change::Transposed,
        _ if is_vector && gain_offset != 0.0 && tensor.name.ends_with("norm.weight") => {
            Change::Offset(gain_offset)
        }
        _ => Change::None,
    };
    let mut shape = tensor.shape.clone();
    if matches!(change, Change::Transposed) {
        shape.reverse();
    }
    // llama.cpp requires it: it adds vectors and positions to f32.
    let as_floats =
        is_vector || tensor.name == "position_embd.weight" || tensor.name.contains("ffn_gate_inp");
    let dtype = if as_floats { DType::F32 } else { tensor.dtype };
    let new = NewTensor { name: tensor.name.clone(), shape, dtype };
    Planned { new, from: From::Folder(vec![tensor.clone()]), change }
}

/// Tensors of numbers that the rotary frequencies are divided by.
fn divisors(rope: &RopeParameters, context: usize) -> Vec<(&'static str, Vec<f32>)> {
    match &rope.scaling {
        Scaling::None | Scaling::Linear(_) | Scaling::Yarn { .. } => vec![],
        Scaling::Factors(factors) => vec![("rope_freqs.weight", factors.clone())],
        Scaling::Llama3 { .. } => {
            let plain =
                RopeParameters { scaling: Scaling::None, ..rope.clone() }.frequencies(context);
            let divided = rope.frequencies(context);
            vec![(
                "rope_freqs.weight",
                plain.iter().zip(divided).map(|(p, d)| (p / d) as f32).collect(),
            )]
        }
        Scaling::Long { short, long, .. } => {
            vec![
                ("rope_factors_short.weight", short.clone()),
                ("rope_factors_long.weight", long.clone()),
            ]
        }
    }
}

/// The name of a folder's model: the folder's name, or the repository's where the folder is a
/// commit in the hub's cache.
fn name(folder: &Path) -> String {
    let path = match folder.file_name() {
        Some(_) => folder.to_owned(),
        None => std::fs::canonicalize(folder).unwrap_or_default(),
    };
    let mut names = path.iter().rev().map(|part| part.to_string_lossy());
    let own = names.next().unwrap_or_default();
    match (names.next(), names.next()) {
        (Some(above), Some(repository))
            if above == "snapshots" && repository.starts_with("models--") =>
        {
            repository.rsplit("--").next().unwrap_or_default().to_owned()
        }
        _ => own.into_owned(),
    }
}

/// Metadata about the model's shape, or a message about what GGUF cannot express.
fn metadata(config: &Config) -> std::result::Result<Vec<(String, Value)>, String> {
    let architecture = config.architecture;
    let mut all =
        vec![("general.architecture".to_owned(), Value::String(architecture.name.into()))];
    let mut add =
        |name: &str, value: Value| all.push((format!("{}.{name}", architecture.name), value));
    // Counts in configurations are at most 2^24, so they fit.
    let count = |n: usize| Value::U32(n as u32);

    // Readers of other families reject these tensors as unknown.
    if !architecture.gguf_may_have_biases
        && (config.qkv_bias != architecture.qkv_bias || config.output_bias != architecture.bias)
    {
        return Err(format!(
            "attention has biases, which readers of {} files do not look for",
            architecture.name
        ));
    }
    if config.ffn_bias != architecture.bias {
        return Err(format!(
            "feed-forward parts have biases, which models called {} have not",
            architecture.name
        ));
    }
    if config.scores_by_layer {
        return Err("attention is scaled by the layer's number".into());
    }
    if architecture.learned_positions && config.activation != Function::Gelu {
        return Err(format!("the activation is {:?}", config.activation));
    }
    let scale = 1.0 / (config.head_dim as f32).sqrt();
    if (config.attention_scale / scale - 1.0).abs() > 1e-5 {
        return Err(format!(
            "attention is scaled by {} instead of {scale}",
            config.attention_scale
        ));
    }
    add("block_count", count(config.n_layers));
    add("context_length", count(config.max_context));
    add("embedding_length", count(config.hidden_size));
    add("feed_forward_length", count(config.intermediate_size));
    add("vocab_size", count(config.vocab_size));
    add("attention.head_count", count(config.n_heads));
    add("attention.head_count_kv", count(config.n_kv_heads));
    let epsilon = match architecture.norm {
        Norm::Rms => "attention.layer_norm_rms_epsilon",
        Norm::Layer => "attention.layer_norm_epsilon",
    };
    add(epsilon, Value::F32(config.norm_eps));
    for (name, cap) in [
        ("attn_logit_softcapping", config.attention_cap),
        ("final_logit_softcapping", config.logits_cap),
    ] {
        cap.into_iter().for_each(|cap| add(name, Value::F32(cap)));
    }
    if let Some(experts) = &config.experts {
        if !experts.among_chosen {
            return Err("the shares of the chosen experts do not add up to 1".into());
        }
        add("expert_count", count(experts.n_experts));
        add("expert_used_count", count(experts.n_experts_used));
        add("expert_feed_forward_length", count(experts.intermediate_size));
    }
    if !architecture.learned_positions {
        let rope = &config.ropes[0];
        add("attention.key_length", count(config.head_dim));
        add("attention.value_length", count(config.head_dim));
        add("rope.dimension_count", count(rope.width));
        add("rope.freq_base", Value::F32(rope.base as f32));
        for (name, value) in scaling(rope)? {
            add(&format!("rope.scaling.{name}"), value);
        }
        if architecture.gguf_original_context && !matches!(rope.scaling, Scaling::Long { .. }) {
            add("rope.scaling.original_context_length", count(config.max_context));
        }
        for (name, value) in windows(config)? {
            add(name, value);
        }
    }
    Ok(all)
}

fn scaling(rope: &RopeParameters) -> std::result::Result<Vec<(&'static str, Value)>, String> {
    let number = |n: f64| Value::F32(n as f32);
    Ok(match &rope.scaling {
        Scaling::None | Scaling::Factors(_) | Scaling::Llama3 { .. } => vec![],
        Scaling::Linear(factor) => {
            vec![("type", Value::String("linear".into())), ("factor", number(*factor))]
        }
        Scaling::Yarn { truncate: false, .. } => {
            return Err("YaRN's ramp does not begin at a whole pair".into());
        }
        &Scaling::Yarn { factor, fast, slow, original, magnitude, .. } => vec![
            ("type", Value::String("yarn".into())),
            ("factor", number(factor)),
            ("original_context_length", Value::U32(original as u32)),
            ("yarn_beta_fast", number(fast)),
            ("yarn_beta_slow", number(slow)),
            // Readers multiply this by their own factor, so it has to be divided by it.
            ("attn_factor", number(magnitude / (1.0 + 0.1 * factor.max(1.0).ln()))),
        ],
        &Scaling::Long { original, magnitude, .. } => {
            vec![
                ("original_context_length", Value::U32(original as u32)),
                ("attn_factor", number(magnitude)),
            ]
        }
    })
}

/// Metadata about which layers see only a window.
fn windows(config: &Config) -> std::result::Result<Vec<(&'static str, Value)>, String> {
    let types = &config.layer_types;
    let Some(window) = types.iter().find_map(|layer| layer.window) else { return Ok(vec![]) };
    let mut all = vec![("attention.sliding_window", Value::U32(window as u32))];
    if config.ropes.len() == 1 {
        return if types.iter().all(|layer| *layer == types[0]) {
            Ok(all)
        } else {
            Err("some layers see a window only, and others do not".into())
        };
    }
    // The last layer of each group of this many sees all tokens.
    let is_local = |layer: &LayerType| layer.window.is_some();
    let fits = |pattern: &usize| {
        types
            .iter()
            .enumerate()
            .all(|(at, layer)| is_local(layer) != (at + 1).is_multiple_of(*pattern))
    };
    let Some(pattern) = (1..=types.len() + 1).rev().find(fits) else {
        return Err("the layers that see a window are in no regular order".into());
    };
    let local = &config.ropes[1];
    if local.scaling != Scaling::None || local.width != config.ropes[0].width {
        return Err("layers that see a window have a stretched rotation".into());
    }
    all.push(("attention.sliding_window_pattern", Value::U32(pattern as u32)));
    all.push(("rope.freq_base_swa", Value::F32(local.base as f32)));
    Ok(all)
}
