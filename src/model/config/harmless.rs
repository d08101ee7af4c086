//! Fields of `config.json` that have no effect on a text's logits: some with any value, others only
//! with the value that matches what is computed here.

use serde_json::Value;

/// Fields that are harmless with any value: they describe training, other tasks, how `transformers`
/// computes or samples, or the file itself.
const ANY: &[&str] = &[
    // The file, its tokenizer, and the library that wrote it.
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "auto_map",
    "bos_token_id",
    "cls_token_id",
    "custom_pipelines",
    "decoder_start_token_id",
    "dtype",
    "eos_token_id",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "mask_token_id",
    "model_max_length",
    "model_type",
    "n_ctx",
    "n_special",
    "original_max_position_embeddings",
    "pad_token_id",
    "predict_special_tokens",
    "prefix",
    "sep_token_id",
    "seq_length",
    "tokenizer_class",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "vocab_size_per_layer_input",
    // How `transformers` computes: the same numbers, faster or slower.
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_experts_implementation",
    "_flash_attn_2_enabled",
    "attn_implementation",
    "cache_implementation",
    "chunk_size_feed_forward",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "pretraining_tp",
    "reorder_and_upcast_attn",
    "return_dict",
    "torchscript",
    "use_bfloat16",
    "use_cache",
    "use_flash_attention",
    "use_flash_attention_2",
    "use_flash_attn",
    // Only for texts beyond the context, for which `transformers` skips it too.
    "dual_chunk_attention_config",
    // Says where windows begin, and is read only where windows are in use.
    "max_window_layers",
    // Training.
    "gradient_checkpointing",
    "initializer_factor",
    "initializer_range",
    "label_smoothing",
    "output_router_logits",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "router_z_loss_coef",
    "tf_legacy_loss",
    // Other tasks.
    "_num_labels",
    "finetuning_task",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    // How tokens are sampled, in files older than generation_config.json.
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "min_p",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_scores",
    "penalty_alpha",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict_in_generate",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// Fields that are harmless with these values, because the models here behave so anyway.
const ONLY: &[(&str, &[&str])] = &[
    ("add_bias_linear", &["false", "null"]),
    ("add_cross_attention", &["false", "null"]),
    ("alibi", &["false", "null"]),
    ("attention_chunk_size", &["null"]),
    ("attention_multiplier", &["null"]),
    ("attention_out_bias", &["false", "null"]),
    ("attn_logit_softcapping", &["null"]),
    ("bias", &["false", "null"]),
    ("clip_qkv", &["null"]),
    ("cross_attention_hidden_size", &["null"]),
    ("embedding_multiplier", &["1", "1.0", "null"]),
    ("final_logit_softcapping", &["null"]),
    ("full_attn_mod", &["1", "null"]),
    ("hidden_size_per_layer_input", &["0", "null"]),
    ("interpolate_factor", &["1", "1.0", "null"]),
    ("is_causal", &["true"]),
    ("is_decoder", &["false", "true", "null"]),
    ("is_encoder_decoder", &["false", "null"]),
    ("lm_head_bias", &["false", "null"]),
    ("logit_scale", &["1", "1.0", "null"]),
    ("logits_scaling", &["1", "1.0", "null"]),
    ("mlp_bias", &["false", "null"]),
    ("mlp_only_layers", &["[]", "null"]),
    ("moe_intermediate_size", &["0", "null"]),
    ("n_shared_experts", &["0", "null"]),
    ("no_rope_layers", &["[]", "null"]),
    ("norm_topk_prob", &["false", "null"]),
    ("num_experts", &["0", "null"]),
    ("num_experts_per_tok", &["0", "null"]),
    ("num_kv_shared_layers", &["0", "null"]),
    ("num_local_experts", &["0", "null"]),
    ("num_nextn_predict_layers", &["0", "null"]),
    ("num_shared_experts", &["0", "null"]),
    ("pruned_heads", &["{}", "[]", "null"]),
    ("qk_layernorm", &["false", "null"]),
    ("qkv_bias", &["false", "null"]),
    ("quantization", &["null"]),
    ("quantization_config", &["null"]),
    ("residual_multiplier", &["1", "1.0", "null"]),
    ("rope_interleave", &["false", "null"]),
    ("rope_interleaved", &["false", "null"]),
    ("rope_traditional", &["false", "null"]),
    ("shared_expert_intermediate_size", &["0", "null"]),
    ("sub_configs", &["{}", "null"]),
    ("tie_encoder_decoder", &["false", "null"]),
    ("use_bias", &["false", "null"]),
    ("use_bidirectional_attention", &["false", "null"]),
    ("use_mrope", &["false", "null"]),
    ("use_parallel_residual", &["false", "null"]),
    ("use_qk_norm", &["false", "null"]),
    ("vision_config", &["null"]),
];

/// Fields of a rotary embedding that are harmless with these values.
const OF_ROPE: &[(&str, &[&str])] = &[
    ("attn_factor", &["1", "1.0", "null"]),
    ("extrapolation_factor", &["1", "1.0", "null"]),
    ("finetuned", &["true", "false", "null"]),
];

/// What effect a field has that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It has no effect.
    None,
    /// It changes the result, in a way that is not supported.
    Other,
    /// It is unknown.
    Unknown,
}

/// The effect of an unread field with this name and value. `within` is the prefix of its path:
/// empty, or the name of an object and a dot.
pub(super) fn effect(within: &str, name: &str, value: &Value) -> Effect {
    let is_of_rope = within.contains("rope");
    // Dropout is active in training only.
    let is_dropout = name.contains("dropout") || name.ends_with("pdrop");
    if !is_of_rope && (is_dropout || name.starts_with("unsloth_") || ANY.contains(&name)) {
        return Effect::None;
    }
    let table = if is_of_rope { OF_ROPE } else { ONLY };
    match table.iter().find(|(known, _)| *known == name) {
        Some((_, values)) if values.contains(&&*value.to_string()) => Effect::None,
        Some(_) => Effect::Other,
        None => Effect::Unknown,
    }
}
