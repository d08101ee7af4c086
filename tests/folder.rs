//! Damaged Hugging Face folders: each is an error that says what is wrong, never a panic.

use kaiwu::format::Source;
use kaiwu::gpu::Place;
use kaiwu::model::{Config, Model};
use std::path::{Path, PathBuf};

const INDEX: &str = "model.safetensors.index.json";
const SHARD: &str = "model-00002-of-00002.safetensors";

/// A copy of a sound folder, gone when dropped.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/llama-bf16-sharded");
        let to = std::env::temp_dir().join(format!("kaiwu-folder-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(&to).unwrap();
        for file in ["config.json", INDEX, SHARD, "model-00001-of-00002.safetensors"] {
            std::fs::write(to.join(file), std::fs::read(from.join(file)).unwrap()).unwrap();
        }
        Self(to)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.join(file)).unwrap()
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(file), bytes).unwrap();
    }

    /// Opens it and loads the weights for the references; the error as text.
    fn load(&self) -> Result<(), String> {
        let load = || {
            let source = Source::open(&self.0)?;
            Model::load(&Place::Host, &source, |_| ()).map(|_| ())
        };
        load().map_err(|error: kaiwu::Error| error.to_string())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_sound_folder_loads() {
    Copy::new("sound").load().unwrap();
}

/// File, what is replaced in it, by what, and what the error says.
const DAMAGES: [(&str, &str, &str, &str); 20] = [
    ("config.json", "\"llama\"", "\"mamba\"", "model_type \"mamba\" is not supported"),
    ("config.json", "\"model_type\"", "\"other\"", "names no model_type"),
    ("config.json", "\"hidden_size\": 64", "\"hidden_size\": 0", "hidden_size should be a count"),
    ("config.json", "\"hidden_size\": 64", "\"hidden_size\": 99999999999", "hidden_size should be a count"),
    ("config.json", "\"hidden_size\": 64", "\"hidden_size\": -64", "hidden_size should be a count"),
    ("config.json", "\"hidden_size\": 64", "\"hidden_size\": \"64\"", "hidden_size should be a count"),
    ("config.json", "\"hidden_size\": 64", "\"hidden_size\": 128", "has shape [384, 64]"),
    (
        "config.json",
        "\"num_hidden_layers\": 3",
        "\"num_hidden_layers\": 16000000",
        "more than any model needs",
    ),
    ("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", "no tensor for \"blk.3."),
    ("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", "blk.2."),
    ("config.json", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "cannot share"),
    (
        "config.json",
        "\"hidden_act\": \"silu\"",
        "\"hidden_act\": \"relu\"",
        "hidden_act = \"relu\" changes the result",
    ),
    ("config.json", "\"use_cache\": true", "\"logit_scale\": 2.0", "logit_scale = 2.0 is not known"),
    ("config.json", "\"rope_type\": \"default\"", "\"rope_type\": \"magic\"", "rope_type = \"magic\""),
    ("config.json", "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": -1.0", "epsilon"),
    (INDEX, "model-00002-of-00002.safetensors", "../secret.safetensors", "not the name of a file"),
    (INDEX, "model-00002-of-00002.safetensors", "model-00003-of-00003.safetensors", "cannot open"),
    (INDEX, "\"weight_map\"", "\"weights\"", "has no weight_map"),
    (INDEX, "\"model.norm.weight\"", "\"model.norm.wait\"", "has no tensor \"model.norm.wait\""),
    (INDEX, "{", "[", "is not sound JSON"),
];

#[test]
fn damage_is_named() {
    for (number, (file, from, to, message)) in DAMAGES.into_iter().enumerate() {
        let copy = Copy::new(&format!("damage-{number}"));
        let text = String::from_utf8(copy.read(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        copy.write(file, text.replacen(from, to, usize::MAX).as_bytes());
        let error = copy.load().expect_err(to);
        assert!(error.contains(message), "{file}, {to}: {error}");
        assert!(error.contains(&copy.0.display().to_string()), "{error} names no file");
    }
}

#[test]
fn files_cut_short_are_errors() {
    for file in ["config.json", INDEX, SHARD] {
        let copy = Copy::new(&format!("cut-{file}"));
        let whole = copy.read(file);
        for length in [0, 1, 7, 8, 9, whole.len() / 2, whole.len() - 2] {
            copy.write(file, &whole[..length]);
            assert!(copy.load().is_err(), "{file} cut to {length} bytes");
        }
    }
}

#[test]
fn changed_bytes_never_panic() {
    let mut state = 1u64;
    let mut random = |most: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % most
    };
    for file in ["config.json", INDEX, SHARD] {
        let copy = Copy::new(&format!("changed-{file}"));
        let whole = copy.read(file);
        // Of a shard, the header is what can be damaged.
        let reach = whole.len().min(4096);
        let (mut refused, rounds) = (0, 400);
        for _ in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(3) {
                let at = random(reach);
                match random(3) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes[at] = b"0123456789{}[],:\"-"[random(18)],
                    _ => bytes[at] ^= 1 << random(8),
                }
            }
            copy.write(file, &bytes);
            let opened = Source::open(&copy.0).and_then(|source| Config::from_source(&source).map(|_| ()));
            refused += usize::from(opened.is_err());
        }
        assert!(refused > rounds / 10, "{file}: only {refused} of {rounds} were refused");
    }
}
