//! What Hugging Face calls the tensors of a model, in the words of GGUF: one table for each family.
//!
//! Names of `transformers`' modeling files, and those of llama.cpp's
//! `gguf-py/gguf/tensor_mapping.py`.

/// A family's names: those of the whole model, and those of a block.
struct Names {
    /// `model_type`s begin with this.
    model_type: &'static str,
    whole: &'static [(&'static str, &'static str)],
    block: &'static [(&'static str, &'static str)],
    /// What is for pictures, which a text goes without: beginnings of names.
    pictures: &'static [&'static str],
}

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The text that comes out, as far as can be told from its name.
    Text,
    /// Nothing: it is computed here. Masks, positions, tables of sines.
    Nothing,
    /// Another task, which begins where the language model ends: judging a text, or seeing.
    OtherTask,
    /// What a cache of eight-bit floats is scaled with.
    CacheScale,
}

/// What checkpoints of any family carry along for no use: ends of names.
const UNNEEDED: [&str; 10] = [
    "rotary_emb.inv_freq",
    "rotary_emb.original_inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
    ".attn.bias",
    ".attn.masked_bias",
    ".attn.causal_mask",
    ".position_ids",
    ".num_batches_tracked",
    "._float_tensor",
];

/// Parts that are added behind a model to judge texts: beginnings of names.
const JUDGES: [&str; 6] =
    ["v_head.", "score.", "classifier.", "value_head.", "reward_head.", "regression_head."];

/// Scales of cached values and keys, as vLLM and its kin name them: ends of names.
const CACHE_SCALES: [&str; 4] =
    [".k_scale", ".v_scale", ".k_proj.output_scale", ".v_proj.output_scale"];

const LLAMA: Names = Names {
    model_type: "",
    whole: &[("embed_tokens", "token_embd"), ("norm", "output_norm"), ("lm_head", "output")],
    block: &[
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.qkv_proj", "attn_qkv"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.gate_up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("mlp.gate", "ffn_gate_inp"),
    ],
    pictures: &[],
};

const GEMMA: Names = Names {
    model_type: "gemma",
    block: &[
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("post_attention_layernorm", "post_attention_norm"),
        ("pre_feedforward_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("post_feedforward_layernorm", "post_ffw_norm"),
    ],
    pictures: &["vision_tower.", "multi_modal_projector."],
    ..LLAMA
};

const GPT2: Names = Names {
    model_type: "gpt2",
    whole: &[
        ("wte", "token_embd"),
        ("wpe", "position_embd"),
        ("ln_f", "output_norm"),
        ("lm_head", "output"),
    ],
    block: &[
        ("ln_1", "attn_norm"),
        ("attn.c_attn", "attn_qkv"),
        ("attn.c_proj", "attn_output"),
        ("ln_2", "ffn_norm"),
        ("mlp.c_fc", "ffn_up"),
        ("mlp.c_proj", "ffn_down"),
    ],
    pictures: &[],
};

fn family(model_type: &str) -> &'static Names {
    let known = [&GEMMA, &GPT2];
    known.into_iter().find(|names| model_type.starts_with(names.model_type)).unwrap_or(&LLAMA)
}

/// What a tensor of a model of this type is for.
pub(super) fn purpose(model_type: &str, name: &str) -> Purpose {
    let part = name.strip_prefix("model.").unwrap_or(name);
    let begins = |starts: &[&str]| starts.iter().any(|start| part.starts_with(start));
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    match () {
        () if begins(family(model_type).pictures) || ends(&UNNEEDED) => Purpose::Nothing,
        () if begins(&JUDGES) => Purpose::OtherTask,
        () if ends(&CACHE_SCALES) => Purpose::CacheScale,
        () => Purpose::Text,
    }
}

/// Whether GGUF has a name for a tensor of a model of this type.
pub(super) fn is_known(model_type: &str, name: &str) -> bool {
    translated(family(model_type), name).is_some()
}

/// GGUF's name for a tensor of a model of this type; the same name where the table has none.
pub(super) fn gguf_name(model_type: &str, name: &str) -> String {
    translated(family(model_type), name).unwrap_or_else(|| name.to_owned())
}

fn translated(family: &Names, name: &str) -> Option<String> {
    let (stem, kind) =
        name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
    // What the model is wrapped in, which differs between releases of one library.
    let mut stem = stem;
    for wrapping in ["model.", "language_model.", "model.", "transformer."] {
        stem = stem.strip_prefix(wrapping).unwrap_or(stem);
    }
    let look_up = |table: &[(&str, &'static str)], stem: &str| {
        table.iter().find(|(theirs, _)| *theirs == stem).map(|(_, ours)| *ours)
    };
    let Some(rest) = stem.strip_prefix("layers.").or_else(|| stem.strip_prefix("h.")) else {
        return look_up(family.whole, stem).map(|ours| format!("{ours}.{kind}"));
    };
    let (index, rest) = rest.split_once('.')?;
    let index: u32 = index.parse().ok()?;
    if let Some((expert, part)) =
        rest.strip_prefix("mlp.experts.").and_then(|rest| rest.split_once('.'))
    {
        let expert: u32 = expert.parse().ok()?;
        let ours = look_up(
            &[("gate_proj", "ffn_gate"), ("up_proj", "ffn_up"), ("down_proj", "ffn_down")],
            part,
        )?;
        return Some(format!("blk.{index}.{ours}.{expert}.{kind}"));
    }
    look_up(family.block, rest).map(|ours| format!("blk.{index}.{ours}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated() {
        let rows = [
            ("llama", "model.embed_tokens.weight", "token_embd.weight"),
            ("llama", "lm_head.weight", "output.weight"),
            ("qwen2", "model.layers.11.self_attn.q_proj.bias", "blk.11.attn_q.bias"),
            ("llama", "model.layers.0.post_attention_layernorm.weight", "blk.0.ffn_norm.weight"),
            (
                "gemma3_text",
                "model.layers.0.post_attention_layernorm.weight",
                "blk.0.post_attention_norm.weight",
            ),
            ("gemma3", "language_model.model.norm.weight", "output_norm.weight"),
            ("gemma3", "model.language_model.norm.weight", "output_norm.weight"),
            ("gpt2", "transformer.h.3.attn.c_attn.bias", "blk.3.attn_qkv.bias"),
            ("gpt2", "h.3.ln_1.weight", "blk.3.attn_norm.weight"),
            ("gpt2", "wpe.weight", "position_embd.weight"),
            ("qwen3_moe", "model.layers.2.mlp.gate.weight", "blk.2.ffn_gate_inp.weight"),
            ("qwen3_moe", "model.layers.2.mlp.experts.17.up_proj.weight", "blk.2.ffn_up.17.weight"),
            // Strange to the table: left as they are.
            ("llama", "model.layers.0.self_attn.sinks", "model.layers.0.self_attn.sinks"),
            (
                "llama",
                "model.layers.x.self_attn.q_proj.weight",
                "model.layers.x.self_attn.q_proj.weight",
            ),
            ("gpt2", "model.embed_tokens.weight", "model.embed_tokens.weight"),
        ];
        for (model_type, theirs, ours) in rows {
            assert_eq!(gguf_name(model_type, theirs), ours, "{model_type}: {theirs}");
        }
        let rows = [
            ("gpt2", "h.0.attn.bias", Purpose::Nothing),
            ("gpt2", "h.0.attn.c_attn.bias", Purpose::Text),
            ("gemma3", "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias", Purpose::Nothing),
            ("gemma3", "model.multi_modal_projector.mm_input_projection_weight", Purpose::Nothing),
            ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", Purpose::Nothing),
            ("llama", "model.layers.0.self_attn.rotary_emb.cos_cached", Purpose::Nothing),
            ("llama", "model.layers.0.self_attn.q_proj.bias", Purpose::Text),
            ("llama", "v_head.summary.weight", Purpose::OtherTask),
            ("llama", "score.weight", Purpose::OtherTask),
            ("llama", "model.layers.0.self_attn.k_scale", Purpose::CacheScale),
            ("llama", "model.layers.0.self_attn.k_proj.weight_scale", Purpose::Text),
            ("llama", "model.layers.0.mlp.score.weight", Purpose::Text),
        ];
        for (model_type, name, expected) in rows {
            assert_eq!(purpose(model_type, name), expected, "{model_type}: {name}");
        }
    }
}
