//! A family whose steps are known is a row and a checkpoint: here a row that the crate has not.

use kaiwu::format::Source;
use kaiwu::gpu::Device;
use kaiwu::model::architecture::{Architecture, FeedForward, LocalLayers, ModelType};
use kaiwu::model::{Config, Runner, SessionOptions, Weights};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A Llama by another name, as checkpoints of many makers are.
static TOY: Architecture = Architecture {
    name: "toy",
    model_types: &[ModelType { name: "toy_text", mlp_bias: true, ..ModelType::DECODER }],
    ..Architecture::LLAMA
};

/// A family with quirks, none of which is named anywhere but in its row.
static QUIRKS: Architecture = Architecture {
    name: "quirks",
    model_types: &[ModelType {
        name: "quirks_text",
        mlp_bias: true,
        head_dim: Some(8),
        window: Some(100),
        query_scale: Some(64.0),
        tied: true,
        ..ModelType::DECODER
    }],
    feed_forward: FeedForward::GeGlu,
    scaled_embedding: true,
    local_layers: Some(LocalLayers { rope_theta: 500.0, full_every: 2 }),
    ..Architecture::LLAMA
};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/llama-f32")
}

/// The tiny Llama with another configuration.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str, config: impl Fn(&str) -> String) -> Self {
        let path = std::env::temp_dir().join(format!("kaiwu-guides-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the directory for temporary files is writable");
        std::fs::copy(tiny().join("model.safetensors"), path.join("model.safetensors"))
            .expect("a checkpoint");
        let text = std::fs::read_to_string(tiny().join("config.json")).expect("its configuration");
        std::fs::write(path.join("config.json"), config(&text)).expect("it is writable");
        Self(path)
    }

    fn source(&self) -> Source {
        Source::open(&self.0).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The logits after a few tokens, by the references.
fn logits(source: &Source) -> Vec<f32> {
    let device = Device::Reference;
    let model =
        Arc::new(Weights::load(&device, source, |_| ()).unwrap_or_else(|error| panic!("{error}")));
    let room = SessionOptions { expected: 16, ..SessionOptions::default() };
    let mut runner = Runner::with_room(&device, &model, room).expect("room for a tiny model");
    runner.prefill(&[1, 5, 9, 70], |_| ()).expect("a prompt");
    runner.last_logits().expect("logits")
}

#[test]
fn a_family_is_a_row() {
    let copy = Copy::new("toy", |text| text.replace("\"llama\"", "\"toy_text\""));
    let error = Config::from_source(&copy.source()).expect_err("nobody knows it").to_string();
    assert!(error.contains("\"toy_text\" is not supported"), "{error}");
    TOY.register().expect("its names are free");
    assert_eq!(Config::from_source(&copy.source()).expect("known now").architecture, &TOY);
    assert_eq!(logits(&copy.source()), logits(&Source::open(&tiny()).expect("a folder")));
    let error = TOY.register().expect_err("it is known").to_string();
    assert!(error.contains("\"toy\""), "{error}");
}

#[test]
fn what_files_leave_out_is_in_the_row() {
    let left_out = ["head_dim", "hidden_act", "tie_word_embeddings", "rope_parameters"];
    let copy = Copy::new("quirks", |text| {
        let mut config: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let fields = config.as_object_mut().expect("an object");
        left_out.iter().for_each(|name| drop(fields.remove(*name)));
        fields.insert("model_type".into(), "quirks_text".into());
        config.to_string()
    });
    QUIRKS.register().expect("its names are free");
    let config = Config::from_source(&copy.source()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((config.head_dim, config.embedding_scale), (8, 8.0));
    assert_eq!(config.attention_scale, 1.0 / 8.0);
    let windows: Vec<_> =
        config.layer_types.iter().map(|layer| (layer.window, layer.rope)).collect();
    assert_eq!(windows, [(Some(100), 1), (None, 0), (Some(100), 1)]);
    assert_eq!(config.ropes.iter().map(|rope| rope.base).collect::<Vec<_>>(), [10_000.0, 500.0]);
    // Its activation is the feed-forward part's: what another says is an error.
    let text = std::fs::read_to_string(copy.0.join("config.json")).expect("it was written");
    let silu = text.replacen('{', "{\"hidden_act\": \"silu\",", 1);
    std::fs::write(copy.0.join("config.json"), silu).expect("it is writable");
    let error = Config::from_source(&copy.source()).expect_err("not its activation").to_string();
    assert!(error.contains("hidden_act"), "{error}");
}

/// What no file of `src/model` but the table says: names of families.
const NAMES: [&str; 6] = ["\"gemma", "\"qwen", "\"phi3", "\"gpt2", "\"mistral", "\"llama\""];

#[test]
fn no_source_file_asks_for_a_familys_name() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model");
    let mut folders = vec![model.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the tree") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path != model.join("architecture.rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines();
                for line in code.filter(|line| !line.trim_start().starts_with("//")) {
                    let named = NAMES.iter().find(|name| line.contains(**name));
                    assert!(named.is_none(), "{}: {line}", path.display());
                }
            }
        }
    }
}
