//! Exports a trained network as a folder in Hugging Face's format: a GPT-2 with ReLU and zero
//! biases.

use super::grok::{Grok, GrokSettings};
use super::table::QUESTION;
use crate::files::write_whole;
use crate::train::write_tensors;
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Name, shape and numbers of a tensor.
type Named = (String, Vec<usize>, Vec<f32>);

/// Transposes numbers [rows, columns].
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
}

/// Writes `model.safetensors`, `config.json` and `tokenizer.json` into `folder`.
///
/// # Errors
/// When the device or a file fails.
pub fn export(run: &Grok, folder: &Path) -> Result<()> {
    let write_json = |name: &str, value: &Value| {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::damaged(&path, e.to_string()))?;
        write_whole(&path, text + "\n")
    };
    let shape = &run.trainer.shape;
    let width = shape.hidden_size;
    let read = |name: &str| run.trainer.parameters.get(name).read_f32(run.trainer.gpu());
    let mut all: Vec<Named> = vec![];
    let mut vector = |name: String, values: Vec<f32>| all.push((name, vec![values.len()], values));

    for layer in 0..shape.n_layers {
        let part = |name: &str| format!("transformer.h.{layer}.{name}");
        for (theirs, ours) in [("ln_1", "attn_norm"), ("ln_2", "ffn_norm")] {
            vector(part(&format!("{theirs}.weight")), read(&format!("blk.{layer}.{ours}"))?);
            vector(part(&format!("{theirs}.bias")), read(&format!("blk.{layer}.{ours}.bias"))?);
        }
        // GPT-2 has biases in its matrices, which this network lacks.
        let biases = [
            ("attn.c_attn", 3 * width),
            ("attn.c_proj", width),
            ("mlp.c_fc", shape.intermediate_size),
        ];
        for (name, count) in biases.into_iter().chain([("mlp.c_proj", width)]) {
            vector(part(&format!("{name}.bias")), vec![0.0; count]);
        }
    }
    vector("transformer.ln_f.weight".into(), read("output_norm")?);
    vector("transformer.ln_f.bias".into(), read("output_norm.bias")?);

    for layer in 0..shape.n_layers {
        let stacked =
            [read(&format!("blk.{layer}.attn_q"))?, read(&format!("blk.{layer}.attn_kv"))?]
                .concat();
        let matrices = [
            ("attn.c_attn", 3 * width, width, stacked),
            ("attn.c_proj", width, width, read(&format!("blk.{layer}.attn_output"))?),
            ("mlp.c_fc", shape.intermediate_size, width, read(&format!("blk.{layer}.ffn_up"))?),
            ("mlp.c_proj", width, shape.intermediate_size, read(&format!("blk.{layer}.ffn_down"))?),
        ];
        for (name, rows, columns, values) in matrices {
            let name = format!("transformer.h.{layer}.{name}.weight");
            all.push((name, vec![columns, rows], transposed(&values, rows, columns)));
        }
    }
    let rows = |mut values: Vec<f32>, rows: usize| {
        values.resize(rows * width, 0.0);
        (vec![rows, width], values)
    };
    // The context ends with the question: the answer is a single token, after which the context is
    // full.
    let tables = [
        ("transformer.wte.weight", "token_embd", shape.vocab_size),
        ("transformer.wpe.weight", "position_embd", QUESTION),
        ("lm_head.weight", "output", shape.vocab_size),
    ];
    for (theirs, ours, count) in tables {
        let (shape, values) = rows(read(ours)?, count);
        all.push((theirs.into(), shape, values));
    }
    let metadata = [("format".to_string(), "pt".to_string())].into();
    write_tensors(&folder.join("model.safetensors"), &all, Some(metadata))?;

    let config = json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "relu",
        "vocab_size": shape.vocab_size,
        "n_positions": QUESTION,
        "n_embd": width,
        "n_layer": shape.n_layers,
        "n_head": shape.n_heads,
        "n_inner": shape.intermediate_size,
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": false,
        "torch_dtype": "float32",
    });
    write_json("config.json", &config)?;

    let GrokSettings { operation, modulus, .. } = run.settings;
    let signs = [operation.sign().to_string(), "=".into()];
    let words = operation.elements(modulus).into_iter().chain(signs);
    let vocabulary: Map<String, Value> =
        words.zip(0..).map(|(word, id)| (word, json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        // Numbers and signs are separated whether or not there are spaces between them.
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Split", "pattern": {"Regex": "[0-9]+|="}, "behavior": "Isolated", "invert": false},
        ]},
        "post_processor": null,
        "decoder": null,
        // Words outside the vocabulary are an error rather than an unknown token.
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "unknown"},
    });
    write_json("tokenizer.json", &tokenizer)
}
