//! Adapters on tiny checkpoints against PEFT's logits, and what is refused: see `tests/data/README.md`.

mod common;

use common::{Folder, share};
use kaiwu::format::{Lora, Source};
use kaiwu::gpu::{Gpu, GpuOptions, Place, StorageKind};
use kaiwu::kernels::CacheType;
use kaiwu::model::{Model, Room, Runner};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Checkpoint, adapters with their scales, and which of the last one's expected tensors.
type Row = (&'static str, &'static [(&'static str, f32)], &'static str);
const ROWS: [Row; 11] = [
    ("llama-f32", &[("llama-all", 1.0)], "logits"),
    // Ranks and alphas of some matrices' own, over the root of the rank.
    ("llama-f32", &[("llama-patterns", 1.0)], "logits"),
    ("llama-f32", &[("llama-all", 1.0), ("llama-patterns", 0.5)], "logits_beside"),
    // Biases beside, and a layer without.
    ("qwen2-bf16", &[("qwen2-biases", 1.0)], "logits"),
    // Norms of heads and after blocks.
    ("gemma3-bf16", &[("gemma3-all", 1.0)], "logits"),
    ("phi3-bf16", &[("phi3-fused", 1.0)], "logits"),
    ("gpt2-f32", &[("gpt2-transposed", 1.0)], "logits"),
    // Large numbers, with a cache in f32: halves of such keys and values are too coarse.
    ("llama-f32", &[("llama-large", 1.0)], "logits"),
    ("gemma3-bf16", &[("gemma3-large", 1.0)], "logits"),
    // Written by our own training, which `tests/tune.rs` holds to these files.
    ("llama-f32", &[("llama-exported", 1.0)], "logits"),
    ("llama-bf16-sharded", &[("llama-exported-some", 1.0)], "logits"),
];

fn data(kind: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(kind).join(name)
}

fn words(bytes: &[u8], name: &str) -> Vec<u32> {
    bytemuck::pod_collect_to_vec(SafeTensors::deserialize(bytes).unwrap().tensor(name).unwrap().data())
}

fn adapted(place: &Place, base: &Path, adapters: &[(&str, f32)]) -> Arc<Model> {
    let source = Source::open(base).unwrap();
    let mut model = Model::load(place, &source, |_| ()).unwrap();
    let name = model.config.architecture.name;
    let open = |(adapter, scale): &(&str, f32)| (Lora::open(&data("lora", adapter), name).unwrap(), *scale);
    let adapters: Vec<_> = adapters.iter().map(open).collect();
    model.adapt(place, &adapters).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(model)
}

fn check(what: &str, place: &Place) {
    check_on(what, place, &|checkpoint| Some(data("tiny", checkpoint)));
}

/// `base` gives the file or folder of a checkpoint, if there is one.
fn check_on(what: &str, place: &Place, base: &dyn Fn(&str) -> Option<PathBuf>) {
    let mut failures = vec![];
    for (checkpoint, adapters, expected) in ROWS {
        let Some(base) = base(checkpoint) else { continue };
        let (last, _) = adapters[adapters.len() - 1];
        let bytes = std::fs::read(data("lora", last).join("expected.safetensors")).unwrap();
        let input = words(&bytes, "input_ids");
        let logits: Vec<f32> = words(&bytes, expected).into_iter().map(f32::from_bits).collect();
        let vocabulary = logits.len() / input.len();
        let model = adapted(place, &base, adapters);
        for chunk in [64, 7, 1] {
            let cache = if last.ends_with("-large") { CacheType::F32 } else { CacheType::F16 };
            let room = Room { expected: 16, chunk, cache, ..Room::default() };
            let mut runner = Runner::with_room(place, &model, room).unwrap();
            let mut worst = 0.0f32;
            let each = |token: usize, found: &[f32]| {
                worst = worst.max(share(found, &logits[token * vocabulary..][..vocabulary]));
                Ok(())
            };
            runner.all_logits(&input, each).unwrap();
            runner.rewind(0);
            runner.prefill(&input, |_| ()).unwrap();
            worst = worst.max(share(&runner.last_logits().unwrap(), &logits[logits.len() - vocabulary..]));
            eprintln!("{checkpoint} {adapters:?} {what}, {chunk} at once: {worst:.3} of what is allowed");
            if worst > 1.0 {
                failures.push(format!(
                    "{checkpoint} {adapters:?} {what}, {chunk} at once: {worst} times too far"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn logits_on_the_device_are_pefts() {
    check("on the device", &Place::Device(Gpu::open(&GpuOptions::default()).unwrap()));
}

#[test]
fn logits_with_strategies_for_gpus_are_pefts() {
    let options = GpuOptions {
        prefer_gpu_strategies: true,
        storage: Some(StorageKind::Buffer),
        ..GpuOptions::default()
    };
    check("as on a GPU", &Place::Device(Gpu::open(&options).unwrap()));
}

#[test]
fn logits_through_the_references_are_pefts() {
    check("through the references", &Place::Host);
}

/// PEFT made the adapters for folders. GGUF files have the rows of some models' queries and keys in another order.
#[test]
fn logits_on_gguf_files_are_pefts() {
    let folder = Folder::new("lora-gguf");
    let converted = |checkpoint: &str| {
        // Which of its layers see a window, no GGUF file can say.
        if checkpoint == "gemma3-bf16" {
            return None;
        }
        let file = folder.0.join(format!("{checkpoint}.gguf"));
        if !file.exists() {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kaiwu"));
            command.arg("convert").arg("--no-tokenizer").arg("-m").arg(data("tiny", checkpoint));
            let output = command.arg("-o").arg(&file).output().expect("kaiwu starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Some(file)
    };
    check_on("on GGUF files, through the references", &Place::Host, &converted);
    let gpu = Gpu::open(&GpuOptions::default()).unwrap();
    check_on("on GGUF files, on the device", &Place::Device(gpu), &converted);
}

/// A copy of an adapter with other settings.
fn changed(name: &str, what: &str, change: impl Fn(&mut serde_json::Map<String, Value>)) -> Folder {
    let folder = Folder::new(&format!("lora-{what}"));
    let from = data("lora", name);
    std::fs::copy(from.join("adapter_model.safetensors"), folder.0.join("adapter_model.safetensors"))
        .unwrap();
    let text = std::fs::read_to_string(from.join("adapter_config.json")).unwrap();
    let Value::Object(mut config) = serde_json::from_str(&text).unwrap() else { panic!("no object") };
    change(&mut config);
    std::fs::write(folder.0.join("adapter_config.json"), Value::Object(config).to_string()).unwrap();
    folder
}

#[test]
fn what_changes_the_result_and_is_not_supported_is_an_error() {
    let rows: [(&str, Value, &str); 9] = [
        ("peft_type", json!("IA3"), "LORA is"),
        ("bias", json!("all"), "biases"),
        ("use_dora", json!(true), "merge it into the model"),
        ("init_lora_weights", json!("pissa"), "base model"),
        ("modules_to_save", json!(["lm_head"]), "not known to this version"),
        ("layer_replication", json!([[0, 2]]), "not known to this version"),
        ("some_new_field", json!(3), "not known to this version"),
        ("lora_alpha", json!("eight"), "number"),
        ("alpha_pattern", json!({".*q_proj": 3}), "names and numbers"),
    ];
    for (field, value, part) in rows {
        let folder = changed("llama-all", field, |config| _ = config.insert(field.into(), value.clone()));
        let error = Lora::open(&folder.0, "llama").unwrap_err().to_string();
        assert!(error.contains(field) && error.contains(part), "{field}: {error}");
    }
}

#[test]
fn damaged_adapters_are_errors() {
    let folder = changed("llama-all", "damaged", |_| ());
    let file = folder.0.join("adapter_model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    // Cut short anywhere, and with each bit of the header's first bytes turned.
    for length in (0..whole.len()).step_by(997) {
        std::fs::write(&file, &whole[..length]).unwrap();
        assert!(Lora::open(&folder.0, "llama").is_err(), "{length} bytes");
    }
    for at in 0..400 {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&file, &bytes).unwrap();
        // What is still sound may open; nothing may panic.
        let _ = Lora::open(&folder.0, "llama");
    }
    std::fs::remove_file(&file).unwrap();
    let error = Lora::open(&folder.0, "llama").unwrap_err().to_string();
    assert!(error.contains("adapter_model.safetensors"), "{error}");
}

#[test]
fn adapters_of_other_models_are_errors() {
    // Checkpoint, adapter, and what the error says.
    let rows = [
        ("llama-f32", "gpt2-transposed", "does not have"),
        ("gpt2-f32", "llama-all", "does not have"),
        ("qwen3moe-renormalised", "llama-all", "for another model"),
        ("gemma3-bf16", "llama-all", "for another model"),
    ];
    for (checkpoint, adapter, part) in rows {
        let source = Source::open(&data("tiny", checkpoint)).unwrap();
        let mut model = Model::load(&Place::Host, &source, |_| ()).unwrap();
        let name = model.config.architecture.name;
        let lora = Lora::open(&data("lora", adapter), name).unwrap();
        let error = model.adapt(&Place::Host, &[(lora, 1.0)]).unwrap_err().to_string();
        assert!(error.contains(part), "{checkpoint} with {adapter}: {error}");
    }
}

#[test]
fn a_file_of_weights_is_as_good_as_its_folder() {
    let folder = Lora::open(&data("lora", "llama-all"), "llama").unwrap();
    let file = Lora::open(&data("lora", "llama-all").join("adapter_model.safetensors"), "llama").unwrap();
    assert_eq!(folder.additions(), file.additions());
    assert_eq!(folder.additions().len(), 3 * 7);
}

fn kaiwu(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_kaiwu")).args(arguments).output().unwrap()
}

#[test]
fn the_command_line_takes_adapters_with_scales() {
    let (model, lora) = (data("tiny", "llama-f32"), data("lora", "llama-all"));
    let (model, lora) = (model.to_str().unwrap(), lora.to_str().unwrap());
    let logits = |adapters: &[String]| {
        let mut arguments = vec!["logits", "-m", model, "--reference", "one two"];
        adapters.iter().for_each(|adapter| arguments.extend(["--lora", adapter]));
        let ran = kaiwu(&arguments);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        serde_json::from_slice::<Value>(&ran.stdout).unwrap()["ids"].clone()
    };
    let plain = logits(&[]);
    assert!(plain.is_array());
    assert_eq!(plain, logits(&[format!("{lora}:0")]));
    assert_ne!(plain, logits(&[lora.to_owned()]));
    assert_eq!(logits(&[lora.to_owned()]), logits(&[format!("{lora}:0.25"), format!("{lora}:0.75")]));
    let ran = kaiwu(&["logits", "-m", model, "--reference", "--lora", "nowhere", "one"]);
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && error.contains("nowhere"), "{error}");
}
