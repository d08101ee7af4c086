//! Exports a trained Llama as a folder in Hugging Face's format.

use super::tensor_file::write_tensors;
use crate::files::write_whole;
use crate::train::model::config::{Feedforward, NormKind, Positions};
use crate::train::trainer::Trainer;
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// Reorders rows of queries or keys for Hugging Face folders: in each head, the first numbers of
/// all pairs come before the second ones. Here and in GGUF the two numbers of a pair are
/// neighbours.
pub(in crate::train) fn halves(values: &[f32], head: usize, columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    let from = |row: usize| {
        let (first, place) = (row / head * head, row % head);
        first + 2 * (place % (head / 2)) + place / (head / 2)
    };
    (0..rows).flat_map(|row| &values[from(row) * columns..][..columns]).copied().collect()
}

/// Name, shape and numbers of a tensor.
pub(in crate::train) type Named = (String, Vec<usize>, Vec<f32>);

/// The weights under the names and in the order of Hugging Face folders.
pub(in crate::train) fn llama_tensors(trainer: &Trainer) -> Result<Vec<Named>> {
    let shape = &trainer.shape;
    let (width, head, hidden) = (shape.hidden_size, shape.head(), shape.intermediate_size);
    let keys = shape.n_kv_heads * head;
    let read = |name: &str| trainer.parameters.get(name).read_f32(trainer.gpu());
    let mut all = vec![];
    let mut matrix = |name: String, values: &[f32], columns: usize| {
        all.push((name, vec![values.len() / columns, columns], values.to_vec()));
    };
    let embedding = read("token_embd")?;
    matrix("model.embed_tokens.weight".into(), &embedding[..shape.vocab_size * width], width);
    if !shape.tie_word_embeddings {
        matrix("lm_head.weight".into(), &read("output")?[..shape.vocab_size * width], width);
    }
    let mut norms = vec![("model.norm.weight".to_string(), read("output_norm")?)];
    for layer in 0..shape.n_layers {
        let theirs = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let ours = |part: &str| read(&format!("blk.{layer}.{part}"));
        norms.push((theirs("input_layernorm"), ours("attn_norm")?));
        norms.push((theirs("post_attention_layernorm"), ours("ffn_norm")?));
        let (key_value, gate_up) = (ours("attn_kv")?, ours("ffn_up")?);
        let (key, value) = key_value.split_at(keys * width);
        let (gate, up) = gate_up.split_at(hidden * width);
        matrix(theirs("self_attn.q_proj"), &halves(&ours("attn_q")?, head, width), width);
        matrix(theirs("self_attn.k_proj"), &halves(key, head, width), width);
        matrix(theirs("self_attn.v_proj"), value, width);
        matrix(theirs("self_attn.o_proj"), &ours("attn_output")?, width);
        matrix(theirs("mlp.gate_proj"), gate, width);
        matrix(theirs("mlp.up_proj"), up, width);
        matrix(theirs("mlp.down_proj"), &ours("ffn_down")?, hidden);
    }
    all.extend(norms.into_iter().map(|(name, values)| (name, vec![values.len()], values)));
    Ok(all)
}

/// Writes `model.safetensors` and `config.json` into `folder`; the caller writes `tokenizer.json`.
///
/// # Errors
/// When the model is not a Llama, or the device or a file fails.
pub fn export_llama(trainer: &Trainer, folder: &Path) -> Result<()> {
    let shape = &trainer.shape;
    let kinds = (shape.norm, shape.feedforward, shape.positions);
    if kinds != (NormKind::RmsNorm, Feedforward::Swiglu, Positions::Rotary) {
        let message = "only models with RMSNorm, SwiGLU and rotary positions are Llamas".into();
        return Err(Error::Unsupported { path: None, message, remedy: None });
    }
    let (width, hidden) = (shape.hidden_size, shape.intermediate_size);
    let metadata = [("format".to_string(), "pt".to_string())].into();
    write_tensors(&folder.join("model.safetensors"), &llama_tensors(trainer)?, Some(metadata))?;

    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "vocab_size": shape.vocab_size,
        "max_position_embeddings": shape.context,
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "num_key_value_heads": shape.n_kv_heads,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": shape.tie_word_embeddings,
        "torch_dtype": "float32",
    });
    let path = folder.join("config.json");
    let text =
        serde_json::to_string_pretty(&config).map_err(|e| Error::damaged(&path, e.to_string()))?;
    write_whole(&path, text + "\n")
}

#[cfg(test)]
mod tests {
    use super::halves;

    #[test]
    fn pairs_are_parted() {
        // Two heads of four rows, one column.
        let rows: Vec<f32> = (0u8..8).map(f32::from).collect();
        assert_eq!(halves(&rows, 4, 1), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }
}
