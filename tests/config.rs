//! What configurations say, and what they leave out: unknown keys and fields are named, absent ones are what the library that
//! wrote them takes them for.

mod common;

use common::gguf_writer::{Writer, array};
use common::{Folder, TempFile, data};
use kaiwu::format::{DType, Gguf, Source};
use kaiwu::generate::recommended;
use kaiwu::gpu::Place;
use kaiwu::model::rope::Scaling;
use kaiwu::model::{Config, Model, Runner};
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
        ("llama", vec![("attention.key_length", uint(16)), ("attention.value_length", uint(16))], None),
        ("llama", vec![("rope.scaling.type", text("none")), ("rope.scaling.finetuned", flag(false))], None),
        ("llama", of("tensor_data_layout", text("Meta AI original pth")), None),
        ("llama", of("attention.causal", flag(true)), None),
        ("qwen2", of("rope.freq_base", float(1e6)), None),
        ("qwen3", of("pooling_type", uint(3)), None),
        ("gemma3", vec![("attention.sliding_window", uint(512)), ("rope.freq_base_swa", float(1e4))], None),
        ("gemma3", of("attention.sliding_window_pattern", (9, [array(7, 6), vec![1; 6]].concat())), None),
        ("gemma3", vec![("vision.block_count", uint(27)), ("mm.tokens_per_image", uint(256))], None),
        ("gemma3", of("attention.shared_kv_layers", uint(0)), None),
        ("phi3", vec![("rope.scaling.original_context_length", uint(4096))], None),
        ("gpt2", vec![("attention.causal", flag(true))], None),
        ("llama", of("attention.head_count_kv", each(&[2; 6])), None),
        (
            "llama",
            of("attention.head_count_kv", each(&[2, 2, 2, 4, 2, 2])),
            Some("differs from layer to layer (2 to 4)"),
        ),
        ("llama", of("attention.head_count_kv", each(&[2; 5])), Some("has 5 counts, but there are 6 layers")),
        ("llama", of("attention.head_count_kv", each(&[0; 6])), Some("is zero")),
        ("llama", of("attention.head_count_kv", each(&[1 << 30; 6])), Some("which no model needs")),
        (
            "llama",
            of("attention.head_count_kv", (9, [array(6, 6), vec![0; 24]].concat())),
            Some("is an array of f32"),
        ),
        ("llama", of("logit_scale", float(0.5)), Some("llama.logit_scale = 0.5 changes the result")),
        ("llama", of("expert_count", uint(8)), Some("llama.expert_count = 8 changes")),
        ("llama", of("expert_used_count", uint(2)), Some("llama.expert_used_count = 2 changes")),
        ("llama", of("attention.scale", float(0.1)), Some("llama.attention.scale = 0.1 changes")),
        ("llama", of("attention.causal", flag(false)), Some("llama.attention.causal = false changes")),
        ("llama", of("attention.shared_kv_layers", uint(3)), Some("shared_kv_layers = 3 changes")),
        ("llama", of("rope.scaling.type", text("magic")), Some("rope.scaling.type = \"magic\" changes")),
        ("llama", of("rope.scaling.attn_factor", float(1.5)), Some("attn_factor = 1.5 changes")),
        ("llama", of("attention.key_length_mla", uint(3)), Some("attention.key_length_mla = 3 is not known")),
        ("llama", of("residual_sparkle", text("much")), Some("residual_sparkle = \"much\" is not known")),
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
    let rows = [("attention.head_count", 4), ("attention.head_count_kv", 1), ("feed_forward_length", 96)];
    for (key, count) in rows {
        let name = common::gguf_writer::string(format!("llama.{key}"));
        writer.entries.retain(|entry| !entry.starts_with(&name));
        let (type_id, bytes) = each(&[count; 6]);
        writer = writer.with(format!("llama.{key}"), type_id, bytes);
    }
    let config = config("each", &writer).unwrap();
    assert_eq!((config.heads, config.key_heads, config.hidden), (4, 1, 96));
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
        (vec![("rope.scaling.type", text("none")), ("rope.scaling.factor", float(4.0))], Scaling::None, 4096),
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
        assert_eq!((&found.ropes[0].scaling, found.context), (&scaling, context), "row {row}");
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
        let sound = self.json("config.json");
        let mut config = sound.clone();
        for (field, value) in fields {
            match value {
                Some(value) => config[*field] = value.clone(),
                None => drop(config.as_object_mut().unwrap().remove(*field)),
            }
        }
        self.write("config.json", &config);
        let found = Config::from_source(&self.source());
        self.write("config.json", &sound);
        found
    }
}

#[test]
fn absent_fields_are_what_the_library_takes_them_for() {
    // Checkpoint, a field, what is found without it, and what with null.
    type Read = fn(&Config) -> String;
    let key_heads: Read = |config| config.key_heads.to_string();
    let window: Read = |config| format!("{:?}", config.layer_types[0].window);
    let epsilon: Read = |config| config.norm_eps.to_string();
    let head: Read = |config| config.head.to_string();
    let scale: Read = |config| config.attention_scale.to_string();
    let context: Read = |config| config.context.to_string();
    let rows: [(&str, &str, Read, &str, Option<&str>); 9] = [
        ("mistral-f16", "sliding_window", window, "Some(4096)", Some("None")),
        ("mistral-f16", "num_key_value_heads", key_heads, "8", Some("8")),
        ("llama-f32", "num_key_value_heads", key_heads, "4", Some("4")),
        ("gemma3-bf16", "num_key_value_heads", key_heads, "4", None),
        ("gemma3-bf16", "query_pre_attn_scalar", scale, "0.0625", None),
        ("gemma3-bf16", "max_position_embeddings", context, "131072", None),
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
            let found = folder.config(&[&[(field, Some(Value::Null))], &more[..]].concat()).unwrap();
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
    assert_eq!(found.context, 1024);
    assert_eq!(folder.config(&[]).unwrap().context, 256);
}

/// Gemma 3 from 4 billion weights on is wrapped into a model with eyes.
#[test]
fn a_model_with_eyes_reads_and_writes() {
    let plain = Changed::new("gemma3-bf16", "eyes");
    let ids: Vec<u32> = (3..20).collect();
    let logits = |folder: &Changed| -> kaiwu::Result<Vec<f32>> {
        let model = Arc::new(Model::load(&Place::Host, folder.source(), |_| ())?);
        let mut runner = Runner::new(&Place::Host, &model, None, 32)?;
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
