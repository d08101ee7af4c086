//! Folders whose configuration or index is odd or damaged, and GGUF files whose header is, made up
//! by the hundred: each loads, or is an error that names the file and the field; none panics, and
//! none takes more memory than the sizes of its files justify.

#[path = "../common/counted.rs"]
mod counted;

use crate::common::program::{kaiwu, run_with};
use kaiwu::format::{Gguf, NewTensor, Source, Value as Number, write_gguf};
use kaiwu::gpu::Device;
use kaiwu::model::{Config, Weights};
use kaiwu::text::Tokenizer;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const INDEX: &str = "model.safetensors.index.json";
/// What parsing may take, by the bytes of all files; JSON of one-byte values is the dearest.
const TIMES: usize = 40;

/// A sound folder's small files, and its weights by links.
struct Folder(PathBuf);

impl Folder {
    fn of(name: &str, test: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name);
        let to = std::env::temp_dir()
            .join(format!("kaiwu-damaged-{}-{test}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        Self(to)
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.join(file)).unwrap()).unwrap()
    }

    fn write(&self, file: &str, value: &Value) {
        std::fs::write(self.0.join(file), value.to_string()).unwrap();
    }

    fn bytes(&self) -> usize {
        let files = std::fs::read_dir(&self.0).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len() as usize).sum()
    }

    /// Reads configuration and tables, and asks for all weights without a device. The error, and
    /// the most memory that was held meanwhile.
    fn load(&self) -> (Option<String>, usize) {
        let load = || {
            let source = Source::open(&self.0)?;
            Config::from_source(&source)?;
            Weights::load(&Device::Reference, &source, |_| ()).map(|_| ())
        };
        let (loaded, held) = counted::most_held(load);
        (loaded.err().map(|error: kaiwu::Error| error.to_string()), held)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Any JSON, numbers at the edges of what sizes and floats can be among it.
fn anything() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        (-3i64..300).prop_map(|n| json!(n)),
        (0u32..64).prop_map(|bit| json!(1u64 << bit)),
        (0u32..64).prop_map(|bit| json!((1u64 << bit) - 1)),
    ];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(|b| json!(b)),
        4 => number,
        1 => "[a-z_./0-9]{0,12}".prop_map(|s| json!(s)),
        1 => any::<String>().prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec(("[a-z_]{0,8}", inner), 0..4)
                .prop_map(|all| Value::Object(all.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Every field of a configuration, those within objects too.
fn fields(value: &Value, within: &str) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![] };
    let here = |(name, value): (&String, &Value)| {
        let pointer = format!("{within}/{name}");
        [vec![pointer.clone()], fields(value, &pointer)].concat()
    };
    object.iter().flat_map(here).collect()
}

fn cases(cases: u32) -> ProptestConfig {
    // The same files in every run.
    let rng_seed = RngSeed::Fixed(5);
    ProptestConfig { cases, failure_persistence: None, rng_seed, ..ProptestConfig::default() }
}

#[test]
fn one_field_of_a_configuration_is_anything() {
    for name in [
        "llama-bf16-sharded",
        "gemma3-six",
        "gpt2-f32",
        "qwen2-yarn-window",
        "qwen3moe-every-second",
    ] {
        let folder = Folder::of(name, "field");
        let sound = folder.json("config.json");
        let (error, _) = folder.load();
        assert_eq!(error, None, "{name}");
        let bound = TIMES * folder.bytes() + (64 << 10);
        let fields = fields(&sound, "");
        proptest!(cases(400), |(field in prop::sample::select(fields), value in anything())| {
            let mut changed = sound.clone();
            *changed.pointer_mut(&field).unwrap() = value.clone();
            folder.write("config.json", &changed);
            let (error, held) = folder.load();
            prop_assert!(held <= bound, "{name}: {field} = {value}: {held} bytes held, {bound} allowed");
            let Some(error) = error else { return Ok(()) };
            prop_assert!(error.contains(&folder.0.display().to_string()), "{error} names no file");
            // What is of the wrong kind is named. What is of the right kind, or left out, may be
            // sound by itself: then the error is about what it leads to.
            let own = field.rsplit('/').next().unwrap();
            let outer = field.split('/').nth(1).unwrap();
            let leads_to = ["has shape", "no tensor", "heads", "width", "absurd", "rotated", "experts", "not part of"];
            let named = [own, outer, "config.json: "].iter().any(|name| error.contains(name));
            prop_assert!(named || leads_to.iter().any(|word| error.contains(word)),
                "{name}: {field} = {value}: {error}");
        });
    }
}

#[test]
fn an_unknown_field_is_named() {
    let folder = Folder::of("llama-bf16-sharded", "unknown");
    let sound = folder.json("config.json");
    proptest!(cases(100), |(name in "[a-z]{3,12}_x", value in 1u32..)| {
        let mut changed = sound.clone();
        changed[&name] = json!(value);
        folder.write("config.json", &changed);
        let error = folder.load().0.expect("a field that nobody knows");
        prop_assert!(error.contains("config.json") && error.contains(&name), "{error}");
    });
}

/// What is done to an index.
#[derive(Debug, Clone)]
enum Damage {
    /// The file of an entry is this.
    File(prop::sample::Index, Value),
    /// An entry has another name.
    Name(prop::sample::Index, String),
    /// An entry is gone.
    Gone(prop::sample::Index),
    /// The whole map is this.
    Map(Value),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), anything()).prop_map(|(at, value)| Damage::File(at, value)),
        (at(), any::<String>()).prop_map(|(at, name)| Damage::Name(at, name)),
        at().prop_map(Damage::Gone),
        anything().prop_map(Damage::Map),
    ]
}

#[test]
fn an_index_is_damaged() {
    let folder = Folder::of("llama-bf16-sharded", "index");
    let sound = folder.json(INDEX);
    let map = sound["weight_map"].as_object().unwrap();
    let names: Vec<String> = map.keys().cloned().collect();
    let bound = TIMES * folder.bytes() + (64 << 10);
    proptest!(cases(600), |(damage in damage())| {
        let mut changed = sound.clone();
        let entries = changed["weight_map"].as_object_mut().unwrap();
        // What the error has to name: the file, and where it is about an entry, the entry.
        let entry = match &damage {
            Damage::File(at, value) => {
                let name = at.get(&names);
                entries.insert(name.clone(), value.clone());
                Some(name.clone())
            }
            Damage::Name(at, name) => {
                let file = entries.remove(at.get(&names)).unwrap();
                entries.insert(name.clone(), file);
                None
            }
            Damage::Gone(at) => {
                entries.remove(at.get(&names));
                None
            }
            Damage::Map(value) => {
                changed["weight_map"] = value.clone();
                None
            }
        };
        folder.write(INDEX, &changed);
        let (error, held) = folder.load();
        prop_assert!(held <= bound, "{damage:?}: {held} bytes held, {bound} allowed");
        let error = error.expect("no other index is right");
        prop_assert!(error.contains(&folder.0.display().to_string()), "{error} names no file");
        if let (Some(entry), Damage::File(_, value)) = (entry, &damage)
            && !value.is_string()
        {
            prop_assert!(error.contains(INDEX) && error.contains(&entry), "{damage:?}: {error}");
        }
    });
}

/// The smallest tokenizer there is, for checkpoints without one.
const TOKENIZER: &str = r#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true, "trim_offsets": true},
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true, "trim_offsets": true}}"#;

/// What is written over the header of a file.
fn scribble() -> impl Strategy<Value = Vec<u8>> {
    let edge = |bits: u32| (0..bits).prop_map(|bit| (1u64 << bit).wrapping_sub(1));
    prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        (0u32..300).prop_map(|number| number.to_le_bytes().into()),
        edge(32).prop_map(|number| (number as u32).to_le_bytes().into()),
        edge(64).prop_map(|number| number.to_le_bytes().into()),
        any::<f32>().prop_map(|number| number.to_le_bytes().into()),
        "[a-z_.]{1,6}".prop_map(String::into_bytes),
    ]
}

#[test]
fn a_gguf_file_is_damaged() {
    for name in
        ["llama-f32", "gemma3-six", "gpt2-f32", "phi3-long-partial", "qwen3moe-renormalised"]
    {
        let folder = Folder::of(name, "gguf");
        if !folder.0.join("tokenizer.json").exists() {
            std::fs::write(folder.0.join("tokenizer.json"), TOKENIZER).unwrap();
        }
        let path = folder.0.join("model.gguf");
        run_with(
            kaiwu()
                .args(["convert", "--quantize", "q8_0", "-m"])
                .arg(&folder.0)
                .arg("-o")
                .arg(&path),
            "",
        )
        .ok();

        let sound = std::fs::read(&path).unwrap();
        let tensors = Gguf::open(&path).unwrap();
        let header = tensors.tensors().iter().map(|tensor| tensor.offset as usize).min().unwrap();
        let load = || -> kaiwu::Result<()> {
            let source = Source::open(&path)?;
            let config = Config::from_source(&source)?;
            let tokenizer = Tokenizer::from_source(&source)?;
            let ids = tokenizer.encode("Of 3 mice\n", true)?;
            tokenizer.decode(&ids, false);
            Weights::load(&Device::Reference, &source, |_| ())?;
            assert!(config.vocab_size > 0);
            Ok(())
        };
        load().unwrap_or_else(|error| panic!("{error}"));
        let bound = TIMES * sound.len() + (64 << 10);
        let at = any::<prop::sample::Index>;
        let changes = prop::collection::vec((at(), scribble()), 1..4);
        let refused = std::cell::Cell::new(0);
        proptest!(cases(600), |(changes in changes, cut in prop::option::weighted(0.1, at()))| {
            let mut bytes = sound.clone();
            for (at, with) in &changes {
                let at = at.index(header - with.len());
                bytes[at..at + with.len()].copy_from_slice(with);
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(header));
            }
            // A new file: the one before may still be mapped.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, &bytes).unwrap();
            let (loaded, held) = counted::most_held(load);
            prop_assert!(held <= bound, "{name}: {changes:?}: {held} bytes held, {bound} allowed");
            if let Err(error) = loaded {
                refused.set(refused.get() + 1);
                let error = error.to_string();
                prop_assert!(error.contains("model.gguf") || error.contains("encode"), "{error} names no file");
            }
        });
        assert!(refused.get() > 100, "{name}: only {refused:?} were refused");
    }
}

#[test]
fn a_part_of_a_gguf_model_is_damaged() {
    let folder = Folder::of("llama-f32", "parts");
    let whole = folder.0.join("whole.gguf");
    run_with(kaiwu().args(["convert", "-m"]).arg(&folder.0).arg("-o").arg(&whole), "").ok();
    let gguf = Gguf::open(&whole).unwrap();
    let path = |part: usize| folder.0.join(format!("model-{:05}-of-00002.gguf", part + 1));
    let mut sound = vec![];
    for part in 0..2 {
        let mut metadata = if part == 0 { gguf.metadata().to_vec() } else { vec![] };
        metadata.push(("split.no".into(), Number::U16(part as u16)));
        metadata.push(("split.count".into(), Number::U16(2)));
        metadata.push(("split.tensors.count".into(), Number::I32(gguf.tensors().len() as i32)));
        let tensors: Vec<_> = gguf.tensors().iter().skip(part).step_by(2).collect();
        let new = |tensor: &&kaiwu::format::TensorInfo| NewTensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: tensor.dtype,
        };
        let new: Vec<_> = tensors.iter().map(new).collect();
        write_gguf(&path(part), &metadata, &new, |index| Ok(gguf.data(tensors[index]).to_vec()))
            .unwrap();
        let header = Gguf::open(&path(0)).ok().map_or(4000, |both| {
            both.tensors()
                .iter()
                .filter(|tensor| tensor.file == part)
                .map(|tensor| tensor.offset as usize)
                .min()
                .unwrap()
        });
        sound.push((std::fs::read(path(part)).unwrap(), header));
    }
    let load = || -> kaiwu::Result<()> {
        let source = Source::open(&path(1))?;
        Config::from_source(&source)?;
        Tokenizer::from_source(&source)?;
        Weights::load(&Device::Reference, &source, |_| ()).map(|_| ())
    };
    load().unwrap_or_else(|error| panic!("{error}"));
    let bound = TIMES * sound.iter().map(|(bytes, _)| bytes.len()).sum::<usize>() + (64 << 10);
    let at = any::<prop::sample::Index>;
    let changes = prop::collection::vec((at(), scribble()), 1..4);
    let refused = std::cell::Cell::new(0);
    proptest!(cases(400), |(part in 0usize..2, changes in changes, cut in prop::option::weighted(0.1, at()))| {
        let (mut bytes, header) = sound[part].clone();
        for (at, with) in &changes {
            let at = at.index(header - with.len());
            bytes[at..at + with.len()].copy_from_slice(with);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(header));
        }
        std::fs::remove_file(path(part)).unwrap();
        std::fs::write(path(part), &bytes).unwrap();
        let (loaded, held) = counted::most_held(load);
        std::fs::remove_file(path(part)).unwrap();
        std::fs::write(path(part), &sound[part].0).unwrap();
        prop_assert!(held <= bound, "part {part}: {changes:?}: {held} bytes held, {bound} allowed");
        if let Err(error) = loaded {
            refused.set(refused.get() + 1);
            let error = error.to_string();
            prop_assert!(error.contains("-of-00002.gguf"), "{error} names no file");
        }
    });
    assert!(refused.get() > 100, "only {refused:?} were refused");
}
