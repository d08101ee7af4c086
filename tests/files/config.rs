//! What configurations say, and what they leave out: unknown keys and fields are named, absent ones
//! are what the library that wrote them takes them for.

use crate::common;
use crate::common::gguf_writer::{Writer, array};
use crate::common::program::run;
use crate::common::{Folder, TempFile, data};
use kaiwu::error::Remedy;
use kaiwu::format::{DType, Gguf, Ignored, Source};
use kaiwu::generate::recommended;
use kaiwu::gpu::Device;
use kaiwu::model::rope::Scaling;
use kaiwu::model::{Config, Runner, Weights};
use kaiwu::text::Tokenizer;
use safetensors::tensor::TensorView;
use safetensors::{SafeTensors, serialize_to_file};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What every converter writes for every family here.
fn sound(architecture: &str) -> Writer {
    let key = |name: &str| format!("{architecture}.{name}");
    Writer::new()
        .with_str("general.architecture", architecture)
        .with_u32(&key("block_count"), 6)
        .with_u32(&key("context_length"), 4096)
        .with_u32(&key("embedding_length"), 64)
        .with_u32(&key("feed_forward_length"), 128)
        .with_u32(&key("attention.head_count"), 4)
        .with_u32(&key("attention.head_count_kv"), 2)
        .with_f32(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .with_f32(&key("attention.layer_norm_epsilon"), 1e-5)
        .with_u32(&key("vocab_size"), 8)
        .with_tensor("token_embd.weight", &[8, 64], DType::F32, vec![0; 8 * 64 * 4])
}

fn config(name: &str, writer: &Writer) -> Result<Config, String> {
    let file = TempFile::new(&format!("config-{name}.gguf"), &writer.bytes());
    let gguf = Gguf::open(&file.0).expect("a sound file");
    Config::from_gguf(&gguf).map_err(|error| error.to_string())
}

/// Type number and bytes of a value.
type Typed = (u32, Vec<u8>);

fn uint(n: u32) -> Typed {
    (4, n.to_le_bytes().into())
}

/// A number for each layer.
fn each(numbers: &[u32]) -> Typed {
    let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    (9, [array(4, numbers.len() as u64), bytes].concat())
}

fn float(n: f32) -> Typed {
    (6, n.to_le_bytes().into())
}

fn flag(yes: bool) -> Typed {
    (7, vec![yes.into()])
}

fn text(text: &str) -> Typed {
    (8, common::gguf_writer::string(text))
}

#[test]
fn keys_that_converters_write_are_taken_and_others_are_named() {
    // Architecture, keys with their values, and what an error says.
    type Row = (&'static str, Vec<(&'static str, Typed)>, Option<&'static str>);
    let of = |key, value| vec![(key, value)];
    let rows: Vec<Row> = vec![
        ("llama", vec![], None),
        ("llama", of("rope.dimension_count", uint(16)), None),
        ("llama", vec![("expert_count", uint(0)), ("expert_used_count", uint(0))], None),
        (
            "llama",
            vec![("attention.key_length", uint(16)), ("attention.value_length", uint(16))],
            None,
        ),
        (
            "llama",
            vec![("rope.scaling.type", text("none")), ("rope.scaling.finetuned", flag(false))],
            None,
        ),
        ("llama", of("tensor_data_layout", text("Meta AI original pth")), None),
        ("llama", of("attention.causal", flag(true)), None),
        ("qwen2", of("rope.freq_base", float(1e6)), None),
        ("qwen3", of("pooling_type", uint(3)), None),
        (
            "gemma3",
            vec![("attention.sliding_window", uint(512)), ("rope.freq_base_swa", float(1e4))],
            None,
        ),
        (
            "gemma3",
            of("attention.sliding_window_pattern", (9, [array(7, 6), vec![1; 6]].concat())),
            None,
        ),
        (
            "gemma3",
            vec![("vision.block_count", uint(27)), ("mm.tokens_per_image", uint(256))],
            None,
        ),
        ("gemma3", of("attention.shared_kv_layers", uint(0)), None),
        ("phi3", vec![("rope.scaling.original_context_length", uint(4096))], None),
        ("gpt2", vec![("attention.causal", flag(true))], None),
        ("llama", of("attention.head_count_kv", each(&[2; 6])), None),
        (
            "llama",
            of("attention.head_count_kv", each(&[2, 2, 2, 4, 2, 2])),
            Some("differs from layer to layer (2 to 4)"),
        ),
        (
            "llama",
            of("attention.head_count_kv", each(&[2; 5])),
            Some("has 5 counts, but there are 6 layers"),
        ),
        ("llama", of("attention.head_count_kv", each(&[0; 6])), Some("is zero")),
        ("llama", of("attention.head_count_kv", each(&[1 << 30; 6])), Some("which no model needs")),
        (
            "llama",
            of("attention.head_count_kv", (9, [array(6, 6), vec![0; 24]].concat())),
            Some("is an array of f32"),
        ),
        (
            "llama",
            of("logit_scale", float(0.5)),
            Some("llama.logit_scale = 0.5 changes the result"),
        ),
        ("llama", of("expert_count", uint(8)), Some("llama.expert_count = 8 changes")),
        ("llama", of("expert_used_count", uint(2)), Some("llama.expert_used_count = 2 changes")),
        ("llama", of("attention.scale", float(0.1)), Some("llama.attention.scale = 0.1 changes")),
        (
            "llama",
            of("attention.causal", flag(false)),
            Some("llama.attention.causal = false changes"),
        ),
        ("llama", of("attention.shared_kv_layers", uint(3)), Some("shared_kv_layers = 3 changes")),
        (
            "llama",
            of("rope.scaling.type", text("magic")),
            Some("rope.scaling.type = \"magic\" changes"),
        ),
        ("llama", of("rope.scaling.attn_factor", float(1.5)), Some("attn_factor = 1.5 changes")),
        (
            "llama",
            of("attention.key_length_mla", uint(3)),
            Some("attention.key_length_mla = 3 is not known"),
        ),
        (
            "llama",
            of("residual_sparkle", text("much")),
            Some("residual_sparkle = \"much\" is not known"),
        ),
        ("gemma3", of("rope.global.freq_base", float(1e6)), Some("gemma3.rope.global.freq_base")),
        (
            "gemma3",
            of("attention.sliding_window_pattern", (9, [array(7, 1), vec![1]].concat())),
            Some("1 entries"),
        ),
    ];
    for (row, (architecture, keys, message)) in rows.into_iter().enumerate() {
        let named = keys.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ");
        let mut writer = sound(architecture);
        for (key, (type_id, bytes)) in &keys {
            let name = common::gguf_writer::string(format!("{architecture}.{key}"));
            writer.entries.retain(|entry| !entry.starts_with(&name));
            writer = writer.with(format!("{architecture}.{key}"), *type_id, bytes);
        }
        // Of other architectures and of the file itself nothing is asked.
        writer = writer.with_u32("mamba.ssm.state_size", 3).with_u32("general.sparkle", 7);
        match (config(&row.to_string(), &writer), message) {
            (Ok(_), None) => {}
            (Err(error), Some(message)) => {
                assert!(error.contains(message), "{architecture} {named}: {error}")
            }
            (found, _) => panic!("{architecture} {named}: {found:?}, expected {message:?}"),
        }
    }
}

#[test]
fn counts_of_each_layer_are_those_of_all_where_they_are_the_same() {
    let mut writer = sound("llama");
    let rows =
        [("attention.head_count", 4), ("attention.head_count_kv", 1), ("feed_forward_length", 96)];
    for (key, count) in rows {
        let name = common::gguf_writer::string(format!("llama.{key}"));
        writer.entries.retain(|entry| !entry.starts_with(&name));
        let (type_id, bytes) = each(&[count; 6]);
        writer = writer.with(format!("llama.{key}"), type_id, bytes);
    }
    let config = config("each", &writer).unwrap();
    assert_eq!((config.n_heads, config.n_kv_heads, config.intermediate_size), (4, 1, 96));
}

#[test]
fn a_rope_is_stretched_as_old_and_new_files_say() {
    type Row = (Vec<(&'static str, Typed)>, Scaling, usize);
    let rows: Vec<Row> = vec![
        (vec![("rope.scaling.factor", float(4.0))], Scaling::Linear(4.0), 4096),
        (vec![("rope.scale_linear", float(2.0))], Scaling::Linear(2.0), 4096),
        (vec![("rope.scale_linear", float(1.0))], Scaling::None, 4096),
        (
            vec![("rope.scaling.type", text("linear")), ("rope.scaling.factor", float(0.0))],
            Scaling::None,
            4096,
        ),
        (
            vec![("rope.scaling.type", text("none")), ("rope.scaling.factor", float(4.0))],
            Scaling::None,
            4096,
        ),
        (
            vec![
                ("rope.scaling.type", text("yarn")),
                ("rope.scaling.factor", float(4.0)),
                ("rope.scaling.original_context_length", uint(4096)),
            ],
            Scaling::Yarn {
                factor: 4.0,
                fast: 32.0,
                slow: 1.0,
                original: 4096.0,
                magnitude: 1.0 + 0.1 * 4f64.ln(),
                truncate: true,
            },
            // The context in the file is that before stretching.
            16384,
        ),
    ];
    for (row, (keys, scaling, context)) in rows.into_iter().enumerate() {
        let writer = keys.iter().fold(sound("llama"), |writer, (key, (type_id, bytes))| {
            writer.with(format!("llama.{key}"), *type_id, bytes)
        });
        let found = config(&format!("rope-{row}"), &writer).unwrap();
        assert_eq!((&found.ropes[0].scaling, found.max_context), (&scaling, context), "row {row}");
    }
}

/// A tiny checkpoint whose files a test changes.
struct Changed(Folder);

impl Changed {
    fn new(of: &str, test: &str) -> Self {
        let folder = Folder::new(&format!("config-{test}-{of}"));
        for file in std::fs::read_dir(data("tiny").join(of)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.0.join(file.file_name())).unwrap();
        }
        Self(folder)
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.0.join(file)).unwrap()).unwrap()
    }

    fn write(&self, file: &str, value: &Value) {
        self.0.write(file, &value.to_string());
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.0.join(file)
    }

    fn source(&self) -> Source {
        Source::open(&self.0.0).unwrap()
    }

    /// With these fields of `config.json`, those that are `None` taken out.
    fn config(&self, fields: &[(&str, Option<Value>)]) -> kaiwu::Result<Config> {
        self.config_ignoring(fields, &[])
    }

    /// The same with fields that are let pass.
    fn config_ignoring(
        &self,
        fields: &[(&str, Option<Value>)],
        ignored: &[&str],
    ) -> kaiwu::Result<Config> {
        let sound = self.json("config.json");
        let mut config = sound.clone();
        for (field, value) in fields {
            match value {
                Some(value) => config[*field] = value.clone(),
                None => drop(config.as_object_mut().unwrap().remove(*field)),
            }
        }
        self.write("config.json", &config);
        let fields = ignored.iter().map(|&name| name.to_owned()).collect();
        let ignored = Ignored { fields, ..Ignored::default() };
        let found = Source::open_ignoring(&self.0.0, &ignored)
            .and_then(|source| Config::from_source(&source));
        self.write("config.json", &sound);
        found
    }
}

#[test]
fn absent_fields_are_what_the_library_takes_them_for() {
    // Checkpoint, a field, what is found without it, and what with null.
    type Read = fn(&Config) -> String;
    let key_heads: Read = |config| config.n_kv_heads.to_string();
    let window: Read = |config| format!("{:?}", config.layer_types[0].window);
    let epsilon: Read = |config| config.norm_eps.to_string();
    let head: Read = |config| config.head_dim.to_string();
    let scale: Read = |config| config.attention_scale.to_string();
    let context: Read = |config| config.max_context.to_string();
    let rows: [(&str, &str, Read, &str, Option<&str>); 14] = [
        ("mistral-f16", "sliding_window", window, "Some(4096)", Some("None")),
        ("mistral-f16", "num_key_value_heads", key_heads, "8", Some("8")),
        ("llama-f32", "num_key_value_heads", key_heads, "4", Some("4")),
        ("gemma3-bf16", "num_key_value_heads", key_heads, "4", None),
        ("gemma3-bf16", "query_pre_attn_scalar", scale, "0.0625", None),
        ("gemma3-bf16", "max_position_embeddings", context, "131072", None),
        ("llama-f32", "max_position_embeddings", context, "2048", None),
        ("mistral-f16", "max_position_embeddings", context, "131072", None),
        ("qwen2-bf16", "max_position_embeddings", context, "32768", None),
        ("phi3-bf16", "max_position_embeddings", context, "4096", None),
        ("gpt2-f32", "n_positions", context, "1024", None),
        ("phi3-bf16", "rms_norm_eps", epsilon, "0.00001", None),
        ("llama-f32", "rms_norm_eps", epsilon, "0.000001", None),
        ("qwen3-bf16", "head_dim", head, "128", Some("16")),
    ];
    for (of, field, read, absent, null) in rows {
        let folder = Changed::new(of, field);
        // Mistral's default does not divide four heads.
        let more = match field {
            "num_key_value_heads" if of == "mistral-f16" => {
                vec![("num_attention_heads", Some(json!(8))), ("head_dim", Some(json!(8)))]
            }
            _ => vec![],
        };
        let found = folder.config(&[&[(field, None)], &more[..]].concat()).unwrap();
        assert_eq!(read(&found), absent, "{of} without {field}");
        if let Some(null) = null {
            let found =
                folder.config(&[&[(field, Some(Value::Null))], &more[..]].concat()).unwrap();
            assert_eq!(read(&found), null, "{of} with {field} null");
        }
    }
}

/// As Qwen's model cards have people do it: `max_position_embeddings` stays what it was.
#[test]
fn yarn_raises_the_context() {
    let folder = Changed::new("qwen2-bf16", "yarn");
    let yarn = json!({ "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256 });
    let found = folder.config(&[("rope_parameters", None), ("rope_scaling", Some(yarn))]).unwrap();
    assert_eq!(found.max_context, 1024);
    assert_eq!(folder.config(&[]).unwrap().max_context, 256);
}

/// Gemma 3 from 4 billion weights on is wrapped into a model with eyes.
#[test]
fn a_model_with_eyes_reads_and_writes() {
    let plain = Changed::new("gemma3-bf16", "eyes");
    let ids: Vec<u32> = (3..20).collect();
    let logits = |folder: &Changed| -> kaiwu::Result<Vec<f32>> {
        let model = Arc::new(Weights::load(&Device::Reference, folder.source(), |_| ())?);
        let mut runner = Runner::new(&Device::Reference, &model, None, 32)?;
        runner.prefill(&ids, |_| ())?;
        runner.last_logits()
    };
    let expected = logits(&plain).unwrap();

    let mut text = plain.json("config.json");
    text["model_type"] = json!("gemma3_text");
    let bytes = std::fs::read(plain.path("model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    for wrapping in ["language_model.", "model.language_model."] {
        let named = |name: &str| match wrapping {
            "language_model." => format!("language_model.{name}"),
            _ => name.replacen("model.", "model.language_model.", 1),
        };
        let mut tensors: HashMap<String, TensorView> =
            stored.iter().map(|(name, tensor)| (named(name), tensor)).collect();
        let eye = stored.iter().next().unwrap().1;
        let beginning = wrapping.strip_suffix("language_model.").unwrap();
        tensors.insert(
            format!("{beginning}vision_tower.vision_model.embeddings.patch_embedding.weight"),
            eye.clone(),
        );
        tensors.insert(format!("{beginning}multi_modal_projector.mm_input_projection_weight"), eye);
        serialize_to_file(&tensors, None, &plain.path("model.safetensors")).unwrap();
        let whole = json!({
            "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text,
            "vision_config": { "hidden_size": 1152, "model_type": "siglip_vision_model" },
            "boi_token_index": 255999, "eoi_token_index": 256000, "image_token_index": 262144,
            "mm_tokens_per_image": 256, "initializer_range": 0.02, "eos_token_id": [1, 106],
        });
        plain.write("config.json", &whole);
        assert_eq!(logits(&plain).unwrap(), expected, "{wrapping}");

        // What is strange is still named, within and without.
        for (pointer, name) in [("", "sparkle"), ("/text_config", "text_config.sparkle")] {
            let mut strange = whole.clone();
            strange.pointer_mut(pointer).unwrap()["sparkle"] = json!(3);
            plain.write("config.json", &strange);
            let error = logits(&plain).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} = 3 is not known")), "{error}");
        }
    }
    plain.write("config.json", &json!({ "model_type": "gemma3" }));
    assert!(logits(&plain).unwrap_err().to_string().contains("text_config is missing"));
}

#[test]
fn a_post_processor_says_how_texts_begin() {
    let folder = Changed::new("llama-f32", "template");
    let tokenizer = || Tokenizer::from_source(&folder.source());
    assert_eq!(tokenizer().unwrap().first(), None);
    let plain = tokenizer().unwrap().encode("one", true).unwrap();

    let sound = folder.json("tokenizer.json");
    let template = |id: &str| {
        let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        let special = json!({ "SpecialToken": { "id": id, "type_id": 0 } });
        let known = json!({ "id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"] });
        json!({ "type": "TemplateProcessing", "single": [special, text], "pair": [text, text],
            "special_tokens": { "<|endoftext|>": known } })
    };
    for nested in [false, true] {
        let mut changed = sound.clone();
        let one = template("<|endoftext|>");
        changed["post_processor"] = match nested {
            false => one,
            true => json!({ "type": "Sequence", "processors": [sound["post_processor"], one] }),
        };
        folder.write("tokenizer.json", &changed);
        let found = tokenizer().unwrap();
        assert_eq!(found.first(), Some(0));
        assert_eq!(found.encode("one", true).unwrap(), [&[0], &plain[..]].concat());
        assert_eq!(found.encode("one", false).unwrap(), plain);

        // A token that is not there once ended the program, at the first text.
        let damaged = template("<|beginning|>");
        changed["post_processor"] = match nested {
            false => damaged,
            true => json!({ "type": "Sequence", "processors": [damaged] }),
        };
        folder.write("tokenizer.json", &changed);
        let error = tokenizer().unwrap_err().to_string();
        assert!(error.contains("tokenizer.json") && error.contains("\"<|beginning|>\""), "{error}");
    }
}

#[test]
fn what_the_makers_recommend_is_read() {
    let folder = Changed::new("llama-f32", "recommended");
    let found = |value: Value| {
        folder.write("generation_config.json", &value);
        recommended(&folder.source())
    };
    assert_eq!(found(json!({})).unwrap(), None);
    assert_eq!(found(json!({ "temperature": 0.6, "do_sample": false })).unwrap(), None);
    let qwen = json!({ "do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95 });
    let settings = found(qwen).unwrap().unwrap();
    assert_eq!((settings.temperature, settings.top_k, settings.top_p), (0.6, 20, 0.95));
    let settings = found(json!({ "do_sample": true })).unwrap().unwrap();
    assert_eq!((settings.temperature, settings.top_k, settings.top_p), (1.0, 50, 1.0));
    let settings = found(json!({ "repetition_penalty": 1.1 })).unwrap().unwrap();
    assert!(settings.is_greedy() && settings.repetition_penalty == 1.1);
    let error = found(json!({ "do_sample": true, "top_p": "much" })).unwrap_err().to_string();
    assert!(error.contains("generation_config.json: top_p should be a number"), "{error}");
}

/// Each with the value that a published model has, or that the library once wrote by default.
#[test]
fn fields_without_effect_pass() {
    let rows = [
        ("gpt2-f32", json!({ "n_special": 0, "predict_special_tokens": true })),
        (
            "gpt2-f32",
            json!({ "output_past": true, "_num_labels": 1, "num_labels": 1, "n_ctx": 1024 }),
        ),
        (
            "gpt2-f32",
            json!({ "task_specific_params": { "text-generation": { "max_length": 50 } }, "pruned_heads": {} }),
        ),
        (
            "gpt2-f32",
            json!({ "activation_function": "gelu_pytorch_tanh", "gradient_checkpointing": false }),
        ),
        (
            "gpt2-f32",
            json!({ "activation_function": "gelu_fast", "use_bidirectional_attention": false }),
        ),
        (
            "phi3-bf16",
            json!({ "full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": false }),
        ),
        ("llama-f32", json!({ "max_sequence_length": 2048, "hidden_act": "swish" })),
        (
            "llama-f32",
            json!({ "tokenizer_class": "LlamaTokenizer", "model_max_length": 4096, "seq_length": 2048 }),
        ),
        (
            "llama-f32",
            json!({ "max_length": 20, "temperature": 0.6, "do_sample": true, "num_beams": 1, "top_p": 0.9 }),
        ),
        (
            "llama-f32",
            json!({ "chunk_size_feed_forward": 0, "torchscript": false, "return_dict": true, "is_decoder": false }),
        ),
        (
            "llama-f32",
            json!({ "cross_attention_hidden_size": null, "tie_encoder_decoder": false, "is_encoder_decoder": false }),
        ),
        (
            "llama-f32",
            json!({ "unk_token_id": 0, "_flash_attn_2_enabled": true, "use_flash_attention_2": true }),
        ),
        (
            "llama-f32",
            json!({ "hidden_dropout_prob": 0.1, "classifier_dropout": null, "embedding_dropout": 0.0 }),
        ),
        (
            "llama-f32",
            json!({ "logit_scale": 1.0, "num_experts_per_tok": 0, "num_local_experts": 0 }),
        ),
        (
            "llama-f32",
            json!({ "is_causal": true, "quantization_config": null, "unsloth_fixed": true }),
        ),
        (
            "llama-f32",
            json!({ "rope_scaling": null, "rope_interleaved": false, "use_mrope": false }),
        ),
        (
            "qwen2-bf16",
            json!({ "attention_bias": true, "dual_chunk_attention_config": { "chunk_size": 262144 } }),
        ),
        ("mistral-f16", json!({ "attention_bias": true })),
    ];
    for (row, (of, fields)) in rows.into_iter().enumerate() {
        let folder = Changed::new(of, &format!("pass-{row}"));
        let plain = folder.config(&[]).unwrap();
        let fields: Vec<_> = fields
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (&**name, Some(value.clone())))
            .collect();
        let found =
            folder.config(&fields).unwrap_or_else(|error| panic!("{of} {fields:?}: {error}"));
        assert_eq!(found, plain, "{of} {fields:?}");
    }
    // Where the tensors are there, the flag means them.
    let biased = Changed::new("llama-linear-bias", "pass");
    assert!(biased.config(&[("model_type", Some(json!("mistral")))]).unwrap().output_bias);
    let yarn = json!({ "type": "yarn", "factor": 4.0, "finetuned": true, "attn_factor": 1.0 });
    let folder = Changed::new("llama-f32", "finetuned");
    assert_eq!(
        folder
            .config(&[("rope_parameters", None), ("rope_scaling", Some(yarn))])
            .unwrap()
            .max_context,
        1024
    );
    // It grows the base beyond the context alone.
    let dynamic = json!({ "type": "dynamic", "factor": 2.0 });
    let found =
        folder.config(&[("rope_parameters", None), ("rope_scaling", Some(dynamic))]).unwrap();
    assert_eq!(found, folder.config(&[]).unwrap());
    // Before there was the name of now.
    let fields = [("max_position_embeddings", None), ("max_sequence_length", Some(json!(512)))];
    assert_eq!(folder.config(&fields).unwrap().max_context, 512);
}

/// False, nothing or empty says something of a field whose default is another.
#[test]
fn fields_that_may_change_the_result_are_refused_and_can_be_let_pass() {
    let folder = Changed::new("llama-f32", "refused");
    let plain = folder.config(&[]).unwrap();
    let rows = [
        ("is_causal", json!(false), "is_causal = false changes the result and is not"),
        ("is_causal", json!(null), "is_causal = null changes"),
        ("attends_backwards", json!(false), "attends_backwards = false is not known"),
        ("sparkles", json!([]), "sparkles = [] is not known"),
        ("logit_scale", json!(0.0625), "logit_scale = 0.0625 changes"),
        ("use_bidirectional_attention", json!(true), "use_bidirectional_attention = true changes"),
        ("quantization_config", json!({ "bits": 4 }), "quantization_config = {\"bits\":4} changes"),
        (
            "hidden_act",
            json!("gelu"),
            "hidden_act = \"gelu\" changes the result; only \"silu\" or \"swish\" is",
        ),
        ("full_attn_mod", json!(2), "full_attn_mod = 2 changes"),
    ];
    for (name, value, message) in rows {
        let fields = [(name, Some(value))];
        let error = folder.config(&fields).unwrap_err();
        assert_eq!(error.remedy(), Some(Remedy::IgnoreField(name.into())), "{error}");
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(folder.config_ignoring(&fields, &[name]).unwrap(), plain, "{name}");
        assert!(folder.config_ignoring(&fields, &["another"]).is_err(), "{name}");
    }
    // Within an object, by its name too.
    let rope = json!({ "rope_type": "default", "rope_theta": 10000.0, "sparkle": 3 });
    let fields = [("rope_parameters", Some(rope))];
    let error = folder.config(&fields).unwrap_err();
    let way = Remedy::IgnoreField("rope_parameters.sparkle".into());
    assert_eq!(error.remedy(), Some(way), "{error}");
    assert_eq!(folder.config_ignoring(&fields, &["rope_parameters.sparkle"]).unwrap(), plain);
    // What has an effect here is not ignored by accident; what is not there need not be.
    for name in ["hidden_size", "rope_parameters", "rope_parameters.rope_theta", "attention_bias"] {
        let error = folder.config_ignoring(&[], &[name]).unwrap_err();
        let kaiwu::Error::InvalidSetting { name: named, why } = error else { panic!("{error}") };
        assert!(named == name && why.starts_with("is known to this version"), "{named} {why}");
    }
    assert_eq!(folder.config_ignoring(&[], &["sparkle", "transformers_version"]).unwrap(), plain);
}

#[test]
fn keys_of_a_gguf_file_can_be_let_pass() {
    let writer =
        sound("llama").with_u32("llama.sparkle", 3).with_bool("llama.attention.causal", false);
    let file = TempFile::new("config-ignored.gguf", &writer.bytes());
    let open = |fields: &[&str]| {
        let fields = fields.iter().map(|&name| name.to_owned()).collect();
        let source =
            Source::open_ignoring(&file.0, &Ignored { fields, ..Ignored::default() }).unwrap();
        Config::from_source(&source)
    };
    let error = open(&["llama.sparkle"]).unwrap_err();
    let way = Remedy::IgnoreField("llama.attention.causal".into());
    assert_eq!(error.remedy(), Some(way), "{error}");
    open(&["llama.sparkle", "llama.attention.causal"]).unwrap();
    let error =
        open(&["llama.sparkle", "llama.attention.causal", "llama.block_count"]).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("llama.block_count is known to this version"), "{error}");
}

/// Logits of some tokens by the references.
fn logits(source: Source) -> kaiwu::Result<Vec<f32>> {
    let model = Arc::new(Weights::load(&Device::Reference, source, |_| ())?);
    let mut runner = Runner::new(&Device::Reference, &model, None, 32)?;
    runner.prefill(&(3..20).collect::<Vec<u32>>(), |_| ())?;
    runner.last_logits()
}

/// The library uses the head that is stored, whatever the flag says, and one table where they are
/// the same.
#[test]
fn a_stored_head_counts_before_the_flag() {
    let folder = Changed::new("llama-f32", "head");
    let expected = logits(folder.source()).unwrap();
    let tie = |tied: bool| {
        let mut config = folder.json("config.json");
        config["tie_word_embeddings"] = json!(tied);
        folder.write("config.json", &config);
    };
    tie(true);
    assert_eq!(logits(folder.source()).unwrap(), expected);
    assert_eq!(Config::from_source(&folder.source()).unwrap().tied, Some(false));
    let notices = kaiwu::model::notices(&folder.source());
    assert!(
        notices.len() == 1 && notices[0].contains("the weights have another one"),
        "{notices:?}"
    );

    let bytes = std::fs::read(folder.path("model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let table = stored.tensor("model.embed_tokens.weight").unwrap();
    let same = stored.iter().map(|(name, tensor)| {
        (name, if name == "lm_head.weight" { table.clone() } else { tensor })
    });
    let same: HashMap<&str, TensorView> = same.collect();
    serialize_to_file(&same, None, &folder.path("model.safetensors")).unwrap();
    tie(false);
    let expected = logits(folder.source()).unwrap();
    tie(true);
    assert_eq!(Config::from_source(&folder.source()).unwrap().tied, Some(true));
    assert_eq!(logits(folder.source()).unwrap(), expected);
    assert!(kaiwu::model::notices(&folder.source()).is_empty());
}

/// Python writes numbers that JSON has no words for.
#[test]
fn numbers_that_are_none_are_read_where_they_do_not_matter() {
    let folder = Changed::new("llama-f32", "none");
    let expected = logits(folder.source()).unwrap();
    let with = |file: &str, more: &str| {
        let text = std::fs::read_to_string(data("tiny/llama-f32").join(file)).unwrap();
        folder.0.write(file, &text.replacen('{', &format!("{{{more},"), 1));
    };
    with("config.json", "\"initializer_range\": NaN, \"length_penalty\": -Infinity");
    with("generation_config.json", "\"x\": Infinity");
    with("tokenizer_config.json", "\"model_max_length\": Infinity");
    assert_eq!(logits(folder.source()).unwrap(), expected);
    assert!(
        Tokenizer::from_source(&folder.source()).is_ok() && recommended(&folder.source()).is_ok()
    );
    with("config.json", "\"rope_theta\": Infinity");
    let error = logits(folder.source()).unwrap_err().to_string();
    assert!(error.contains("rope_theta should be a number, but is \"Infinity\""), "{error}");
}

/// Ids need no tokenizer, and what is written as text does.
#[test]
fn ids_need_no_tokenizer() {
    let folder = Changed::new("llama-f32", "ids");
    let model = folder.0.0.to_str().unwrap().to_owned();
    let ids = ["logits", "-m", &model, "--ids", "5,9,17"];
    let expected = run(&ids);
    assert_eq!(expected.code, 0, "{}", expected.err);
    let file = TempFile::new("config-no-tokenizer.gguf", b"");
    let gguf = file.0.to_str().unwrap();
    let ran = run(&["convert", "-m", &model, "--no-tokenizer", "-o", gguf]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    std::fs::remove_file(folder.path("tokenizer.json")).unwrap();
    folder.0.write("tokenizer.model", "");
    for (model, missing) in [
        (
            &*model,
            "has no tokenizer.json, so that texts cannot be read or written; tokenizer.model cannot be read",
        ),
        (gguf, "has no tokenizer (tokenizer.ggml.model is \"no_vocab\")"),
    ] {
        let ran = run(&["logits", "-m", model, "--ids", "5,9,17"]);
        assert_eq!(
            (ran.code, &*ran.err, ran.json()["ids"].clone()),
            (0, "", expected.json()["ids"].clone())
        );
        for text in [
            &["logits", "a"][..],
            &["generate", "-n", "1", "a"],
            &["embed", "a"],
            &["tokenize", "a"],
        ] {
            let ran = run(&[text, &["-m", model]].concat());
            assert_eq!((ran.code, &*ran.out), (1, ""), "{text:?}");
            let has_way = ran.err.contains("`kaiwu logits --ids` needs none");
            assert!(ran.err.contains(missing) && has_way, "{text:?}: {}", ran.err);
        }
    }
}

/// The command line hands the names on, for each kind of command that opens a model.
#[test]
fn the_command_line_lets_fields_and_tensors_pass() {
    let folder = Changed::new("llama-f32", "options");
    let model = folder.0.0.to_str().unwrap().to_owned();
    let mut config = folder.json("config.json");
    config["sparkle"] = json!(3);
    folder.write("config.json", &config);
    let bytes = std::fs::read(folder.path("model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let norm = stored.tensor("model.norm.weight").unwrap();
    let tensors: HashMap<&str, TensorView> = stored.iter().chain([("model.sinks", norm)]).collect();
    serialize_to_file(&tensors, None, &folder.path("model.safetensors")).unwrap();
    let out = TempFile::new("config-options.gguf", b"");
    let text = TempFile::new("config-options.txt", &b"one two three four five six ".repeat(20));
    let (out, text) = (out.0.to_str().unwrap(), text.0.to_str().unwrap());
    let (field, tensor) = (["--ignore-config", "sparkle"], ["--ignore-tensor", "sinks"]);
    for command in [
        &["logits", "-m", &model, "--ids", "5,9"][..],
        &["generate", "-m", &model, "-n", "1", "one"],
        &["embed", "-m", &model, "one"],
        &["explain", "-m", &model, "--host"],
        &["convert", "-m", &model, "-o", out],
        &["perplexity", "-m", &model, text],
        &["compare", "-m", &model, "-m", &model, text],
    ] {
        let refused = run(&[command, &tensor].concat());
        assert!(
            refused.code == 1 && refused.err.contains("--ignore-config sparkle goes on"),
            "{}",
            refused.err
        );
        let refused = run(&[command, &field].concat());
        assert!(
            refused.code == 1 && refused.err.contains("--ignore-tensor model.sinks goes"),
            "{}",
            refused.err
        );
        let ran = run(&[command, &field, &tensor].concat());
        assert_eq!(ran.code, 0, "{command:?}: {}", ran.err);
    }
    let known = run(&["logits", "-m", &model, "--ids", "5", "--ignore-config", "hidden_size"]);
    assert!(
        known.code == 2 && known.err.contains("hidden_size is known to this version"),
        "{}",
        known.err
    );
}

/// The device computes what the weights say, and is not to blame.
#[test]
fn a_check_does_not_blame_the_device_for_weights_that_are_no_numbers() {
    let folder = Changed::new("llama-f32", "nan");
    let mut bytes = std::fs::read(folder.path("model.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let gate = stored.tensor("model.layers.0.mlp.up_proj.weight").unwrap().data().as_ptr() as usize;
    let at = gate - bytes.as_ptr() as usize;
    assert!(at > header);
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(folder.path("model.safetensors"), bytes).unwrap();
    let model = folder.0.0.to_str().unwrap();
    for command in [&["logits", "--ids", "5,9"][..], &["generate", "-n", "2", "one"]] {
        let ran = run(&[command, &["-m", model, "--check"]].concat());
        let is_right = ran
            .err
            .contains("(kernel gate_up) is NaN by its reference, too: the weights are no numbers");
        assert!(ran.code == 1 && is_right, "{}", ran.err);
    }
}
