//! Damaged Hugging Face folders: each is an error that says what is wrong, never a panic.

use kaiwu::error::Remedy;
use kaiwu::format::{Ignored, Source};
use kaiwu::gpu::Device;
use kaiwu::model::{Config, Weights};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize_to_file};
use std::collections::HashMap;

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
            Weights::load(&Device::Reference, &source, |_| ()).map(|_| ())
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
    (
        "config.json",
        "\"hidden_size\": 64",
        "\"hidden_size\": 99999999999",
        "hidden_size should be a count",
    ),
    ("config.json", "\"hidden_size\": 64", "\"hidden_size\": -64", "hidden_size should be a count"),
    (
        "config.json",
        "\"hidden_size\": 64",
        "\"hidden_size\": \"64\"",
        "hidden_size should be a count",
    ),
    ("config.json", "\"hidden_size\": 64", "\"hidden_size\": 128", "has shape [384, 64]"),
    (
        "config.json",
        "\"num_hidden_layers\": 3",
        "\"num_hidden_layers\": 16000000",
        "more than any model needs",
    ),
    (
        "config.json",
        "\"num_hidden_layers\": 3",
        "\"num_hidden_layers\": 4",
        "no tensor for \"blk.3.",
    ),
    ("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", "blk.2."),
    ("config.json", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "cannot share"),
    (
        "config.json",
        "\"hidden_act\": \"silu\"",
        "\"hidden_act\": \"relu\"",
        "hidden_act = \"relu\" changes the result",
    ),
    (
        "config.json",
        "\"use_cache\": true",
        "\"logit_scale\": 2.0",
        "logit_scale = 2.0 changes the result",
    ),
    (
        "config.json",
        "\"rope_type\": \"default\"",
        "\"rope_type\": \"magic\"",
        "rope_type = \"magic\"",
    ),
    ("config.json", "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": -1.0", "epsilon"),
    (INDEX, "model-00002-of-00002.safetensors", "../secret.safetensors", "not the name of a file"),
    (
        INDEX,
        "model-00002-of-00002.safetensors",
        "model-00003-of-00003.safetensors",
        "model-00003-of-00003.safetensors is not there, 1 of the 2 files",
    ),
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
            let opened =
                Source::open(&copy.0).and_then(|source| Config::from_source(&source).map(|_| ()));
            refused += usize::from(opened.is_err());
        }
        assert!(refused > rounds / 10, "{file}: only {refused} of {rounds} were refused");
    }
}

/// A tensor to add: its name, type, shape, bytes.
type Added<'a> = (&'a str, Dtype, &'a [usize], &'a [u8]);

impl Copy {
    /// All tensors in one file, with some more, and with the shapes of some changed; the shards and
    /// the index stay.
    fn write_single(&self, more: &[Added], shape: impl Fn(&str, &[usize]) -> Vec<usize>) {
        let shards = ["model-00001-of-00002.safetensors", SHARD].map(|file| self.read(file));
        let shards = shards.iter().map(|bytes| SafeTensors::deserialize(bytes).unwrap());
        let shards: Vec<SafeTensors> = shards.collect();
        let mut all: HashMap<String, TensorView> = HashMap::new();
        for (name, tensor) in shards.iter().flat_map(|shard| shard.iter()) {
            let shape = shape(name, tensor.shape());
            all.insert(
                name.to_owned(),
                TensorView::new(tensor.dtype(), shape, tensor.data()).unwrap(),
            );
        }
        for (name, dtype, shape, bytes) in more {
            all.insert((*name).to_owned(), TensorView::new(*dtype, shape.to_vec(), bytes).unwrap());
        }
        serialize_to_file(&all, None, &self.0.join("model.safetensors")).unwrap();
    }
}

fn unchanged(_: &str, shape: &[usize]) -> Vec<usize> {
    shape.to_vec()
}

/// It was saved last: the index and its files are what is left of the model before.
#[test]
fn a_single_file_counts_before_an_index() {
    let copy = Copy::new("single");
    copy.write_single(&[], unchanged);
    let table = |copy: &Copy| {
        let source = Source::open(&copy.0).unwrap();
        source.data(source.tensor("token_embd.weight").unwrap()).to_vec()
    };
    let right = table(&copy);
    let damaged: Vec<u8> =
        copy.read("model-00001-of-00002.safetensors").iter().rev().copied().collect();
    copy.write("model-00001-of-00002.safetensors", &damaged);
    copy.load().unwrap();
    assert_eq!(table(&copy), right);
    std::fs::remove_file(copy.0.join(SHARD)).unwrap();
    copy.load().unwrap();
}

#[test]
fn what_the_result_does_not_need_is_left_out() {
    let one = 1f32.to_le_bytes();
    let two = 2f32.to_le_bytes();
    let attention = "model.layers.0.self_attn";
    let name = |part: &str| format!("{attention}.{part}");
    let [cos, sin, k_scale, positions] =
        ["rotary_emb.cos_cached", "rotary_emb.sin_cached", "k_scale", "position_ids"].map(name);
    let copy = Copy::new("unneeded");
    copy.write_single(
        &[
            (&cos, Dtype::F32, &[1, 1], &one),
            (&sin, Dtype::F32, &[1], &one),
            (&k_scale, Dtype::F32, &[], &one),
            (&positions, Dtype::I64, &[1, 1], &[0; 8]),
            ("model.layers.1.self_attn.bias_buffer.num_batches_tracked", Dtype::I64, &[], &[0; 8]),
            ("v_head.summary.weight", Dtype::F32, &[1, 1], &one),
            ("score.weight", Dtype::F32, &[1, 1], &one),
        ],
        unchanged,
    );
    copy.load().unwrap();
    let notices = kaiwu::model::notices(&Source::open(&copy.0).unwrap());
    assert!(
        notices.len() == 1 && notices[0].contains("and 1 more is for another task"),
        "{notices:?}"
    );

    // What may matter is refused, with the way round.
    let sinks = name("sinks");
    for (tensor, bytes) in [(&k_scale, &two), (&sinks, &one)] {
        copy.write_single(&[(tensor, Dtype::F32, &[], bytes)], unchanged);
        let error = copy.load().unwrap_err();
        assert!(error.contains(&format!("{tensor:?} is not part of the architecture")), "{error}");
        for (part, passes) in [(&**tensor, true), ("self_attn", true), ("mlp", false)] {
            let ignored = Ignored { tensors: vec![part.into()], ..Ignored::default() };
            let source = Source::open_ignoring(&copy.0, &ignored).unwrap();
            assert_eq!(
                Weights::load(&Device::Reference, &source, |_| ()).is_ok(),
                passes,
                "{tensor} by {part}"
            );
        }
    }
}

#[test]
fn vectors_may_be_columns() {
    let copy = Copy::new("columns");
    copy.write_single(&[], |name, shape| {
        if name.ends_with("norm.weight") { [shape, &[1]].concat() } else { shape.to_vec() }
    });
    copy.load().unwrap();
    copy.write_single(&[], |name, shape| {
        if name.ends_with("norm.weight") { vec![shape[0] / 2, 2] } else { shape.to_vec() }
    });
    assert!(copy.load().unwrap_err().contains("has shape [32, 2]"));
}

#[test]
fn another_kind_of_folder_is_named() {
    let copy = Copy::new("kinds");
    let rows = [
        ("b.gguf", "give the file within, "),
        ("a.GGUF", "a.GGUF, or one of 1 others"),
        ("adapter_config.json", "give the file within, "),
    ];
    for file in ["config.json", INDEX] {
        std::fs::remove_file(copy.0.join(file)).unwrap();
    }
    for (file, message) in rows {
        copy.write(file, b"");
        let error = copy.load().unwrap_err();
        assert!(
            error.contains("is a folder without a config.json") && error.contains(message),
            "{error}"
        );
    }
    ["a.GGUF", "b.gguf"].iter().for_each(|file| std::fs::remove_file(copy.0.join(file)).unwrap());
    assert!(copy.load().unwrap_err().contains("it holds a LoRA adapter"));
    let error = Source::open(&copy.0).unwrap_err();
    assert_eq!(error.remedy(), Some(Remedy::UseAsAdapter), "{error}");
}

/// A file that cannot be looked at is there, as far as anybody knows. Links that lead in a circle
/// stand for folders without permission, which do not keep out who runs tests as root.
#[cfg(unix)]
#[test]
fn what_cannot_be_looked_at_is_not_missing() {
    for file in ["config.json", INDEX, "model.safetensors", SHARD] {
        let copy = Copy::new(&format!("circle-{file}"));
        let path = copy.0.join(file);
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let error = copy.load().unwrap_err();
        assert!(error.starts_with(&format!("cannot open {}: ", path.display())), "{error}");
        // And a link to nowhere says so.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nowhere/blob", &path).unwrap();
        let error = copy.load().unwrap_err();
        assert!(
            error.contains(file) && error.contains("is a link to a file that is not there"),
            "{error}"
        );
    }
}
