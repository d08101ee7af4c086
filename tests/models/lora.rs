//! Adapters on tiny checkpoints against PEFT's logits, and what is refused: see
//! `tests/data/README.md`.

use crate::common;
use crate::common::program::{kaiwu, run, run_with};
use crate::common::{Folder, TempFile, share};
use kaiwu::format::{DType, Lora, Source};
use kaiwu::gpu::{Device, Gpu, GpuOptions, StorageKind};
use kaiwu::kernels::CacheType;
use kaiwu::model::{Runner, SessionOptions, Weights};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
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
    // Written by our own training, which `tests/train/finetune.rs` holds to these files.
    ("llama-f32", &[("llama-exported", 1.0)], "logits"),
    ("llama-bf16-sharded", &[("llama-exported-some", 1.0)], "logits"),
];

fn data(kind: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(kind).join(name)
}

fn words(bytes: &[u8], name: &str) -> Vec<u32> {
    bytemuck::pod_collect_to_vec(
        SafeTensors::deserialize(bytes).unwrap().tensor(name).unwrap().data(),
    )
}

fn adapted(device: &Device, base: &Path, adapters: &[(&str, f32)]) -> Arc<Weights> {
    let source = Source::open(base).unwrap();
    let mut model = Weights::load(device, &source, |_| ()).unwrap();
    let name = model.config.architecture.name;
    let open = |(adapter, scale): &(&str, f32)| {
        (Lora::open(&data("lora", adapter), name).unwrap(), *scale)
    };
    let adapters: Vec<_> = adapters.iter().map(open).collect();
    model.adapt(device, &adapters).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(model)
}

fn check(what: &str, device: &Device) {
    check_on(what, device, &|checkpoint| Some(data("tiny", checkpoint)));
}

/// `base` gives the file or folder of a checkpoint, if there is one.
fn check_on(what: &str, device: &Device, base: &dyn Fn(&str) -> Option<PathBuf>) {
    let mut failures = vec![];
    for (checkpoint, adapters, expected) in ROWS {
        let Some(base) = base(checkpoint) else { continue };
        let (last, _) = adapters[adapters.len() - 1];
        let bytes = std::fs::read(data("lora", last).join("expected.safetensors")).unwrap();
        let input = words(&bytes, "input_ids");
        let logits: Vec<f32> = words(&bytes, expected).into_iter().map(f32::from_bits).collect();
        let vocabulary = logits.len() / input.len();
        let model = adapted(device, &base, adapters);
        for chunk in [64, 7, 1] {
            let cache = if last.ends_with("-large") { CacheType::F32 } else { CacheType::F16 };
            let room = SessionOptions { expected: 16, chunk, cache, ..SessionOptions::default() };
            let mut runner = Runner::with_room(device, &model, room).unwrap();
            let mut worst = 0.0f32;
            let each = |token: usize, found: &[f32]| {
                worst = worst.max(share(found, &logits[token * vocabulary..][..vocabulary]));
                Ok(())
            };
            runner.all_logits(&input, each).unwrap();
            runner.rewind(0);
            runner.prefill(&input, |_| ()).unwrap();
            worst = worst
                .max(share(&runner.last_logits().unwrap(), &logits[logits.len() - vocabulary..]));
            eprintln!(
                "{checkpoint} {adapters:?} {what}, {chunk} at once: {worst:.3} of what is allowed"
            );
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
    check("on the device", &Device::Gpu(Gpu::open(&GpuOptions::default()).unwrap()));
}

#[test]
fn logits_with_strategies_for_gpus_are_pefts() {
    let options = GpuOptions {
        prefer_gpu_strategies: true,
        storage: Some(StorageKind::Buffer),
        ..GpuOptions::default()
    };
    check("as on a GPU", &Device::Gpu(Gpu::open(&options).unwrap()));
}

#[test]
fn logits_through_the_references_are_pefts() {
    check("through the references", &Device::Reference);
}

/// PEFT made the adapters for folders. GGUF files have the rows of some models' queries and keys in
/// another order.
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
            let mut command = kaiwu();
            command.arg("convert").arg("--no-tokenizer").arg("-m").arg(data("tiny", checkpoint));
            let output = run_with(command.arg("-o").arg(&file), "");
            assert_eq!(output.code, 0, "{}", output.err);
        }
        Some(file)
    };
    check_on("on GGUF files, through the references", &Device::Reference, &converted);
    let gpu = Gpu::open(&GpuOptions::default()).unwrap();
    check_on("on GGUF files, on the device", &Device::Gpu(gpu), &converted);
}

/// A copy of an adapter with other settings.
fn changed(name: &str, what: &str, change: impl Fn(&mut serde_json::Map<String, Value>)) -> Folder {
    let folder = Folder::new(&format!("lora-{what}"));
    let from = data("lora", name);
    std::fs::copy(
        from.join("adapter_model.safetensors"),
        folder.0.join("adapter_model.safetensors"),
    )
    .unwrap();
    let text = std::fs::read_to_string(from.join("adapter_config.json")).unwrap();
    let Value::Object(mut config) = serde_json::from_str(&text).unwrap() else {
        panic!("no object")
    };
    change(&mut config);
    std::fs::write(folder.0.join("adapter_config.json"), Value::Object(config).to_string())
        .unwrap();
    folder
}

#[test]
fn what_changes_the_result_and_is_not_supported_is_an_error() {
    let rows: [(&str, Value, &str); 11] = [
        ("peft_type", json!("IA3"), "LORA is"),
        ("bias", json!("all"), "biases"),
        ("use_dora", json!(true), "merge it into the model"),
        ("init_lora_weights", json!("pissa"), "base model"),
        ("modules_to_save", json!(["lm_head"]), "not known to this version"),
        ("layer_replication", json!([[0, 2]]), "not known to this version"),
        ("some_new_field", json!(3), "not known to this version"),
        ("lora_alpha", json!("eight"), "number"),
        ("alpha_pattern", json!({"q_proj": "3"}), "numbers"),
        (
            "alpha_pattern",
            json!({"(q_proj": 3}),
            "\"(q_proj\", which is not read as an expression: unclosed group",
        ),
        ("alpha_pattern", json!({"(?!k_proj)q_proj": 3}), "look-around"),
    ];
    for (field, value, part) in rows {
        let folder =
            changed("llama-all", field, |config| _ = config.insert(field.into(), value.clone()));
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
        let mut model = Weights::load(&Device::Reference, &source, |_| ()).unwrap();
        let name = model.config.architecture.name;
        let lora = Lora::open(&data("lora", adapter), name).unwrap();
        let error = model.adapt(&Device::Reference, &[(lora, 1.0)]).unwrap_err().to_string();
        assert!(error.contains(part), "{checkpoint} with {adapter}: {error}");
    }
}

#[test]
fn a_file_of_weights_is_as_good_as_its_folder() {
    let folder = Lora::open(&data("lora", "llama-all"), "llama").unwrap();
    let file =
        Lora::open(&data("lora", "llama-all").join("adapter_model.safetensors"), "llama").unwrap();
    assert_eq!(folder.additions(), file.additions());
    assert_eq!(folder.additions().len(), 3 * 7);
}

/// The worst logit of a checkpoint with an adapter, as a share of what is allowed beside what PEFT
/// gives with `expected`.
fn worst(base: &Path, lora: &Path, expected: &str) -> f32 {
    let bytes = std::fs::read(data("lora", expected).join("expected.safetensors")).unwrap();
    let (input, logits) = (words(&bytes, "input_ids"), words(&bytes, "logits"));
    let logits: Vec<f32> = logits.into_iter().map(f32::from_bits).collect();
    let mut model = Weights::load(&Device::Reference, Source::open(base).unwrap(), |_| ()).unwrap();
    let lora =
        Lora::open(lora, model.config.architecture.name).unwrap_or_else(|error| panic!("{error}"));
    model.adapt(&Device::Reference, &[(lora, 1.0)]).unwrap_or_else(|error| panic!("{error}"));
    let room = SessionOptions { expected: 16, ..SessionOptions::default() };
    let mut runner = Runner::with_room(&Device::Reference, &Arc::new(model), room).unwrap();
    let vocabulary = logits.len() / input.len();
    let mut worst = 0.0f32;
    let each = |token: usize, found: &[f32]| {
        worst = worst.max(share(found, &logits[token * vocabulary..][..vocabulary]));
        Ok(())
    };
    runner.all_logits(&input, each).unwrap();
    worst
}

#[test]
fn adapters_in_gguf_files_give_pefts_logits() {
    let folder = Folder::new("lora-in-gguf");
    for (checkpoint, adapter) in [("llama-f32", "llama-all"), ("phi3-bf16", "phi3-fused")] {
        let lora = data("lora", &format!("gguf/{adapter}.gguf"));
        let file = folder.0.join(format!("{checkpoint}.gguf"));
        let mut command = kaiwu();
        command.args(["convert", "--no-tokenizer", "-m"]).arg(data("tiny", checkpoint));
        run_with(command.arg("-o").arg(&file), "").ok();
        for base in [data("tiny", checkpoint), file] {
            let worst = worst(&base, &lora, adapter);
            assert!(
                worst < 1.0,
                "{} with {}: {worst} times too far",
                base.display(),
                lora.display()
            );
        }
    }
    // Its folder is as good, where it is the only one there.
    std::fs::remove_file(folder.0.join("phi3-bf16.gguf")).unwrap();
    std::fs::rename(folder.0.join("llama-f32.gguf"), folder.0.join("model.bin")).unwrap();
    std::fs::copy(data("lora", "gguf/llama-all.gguf"), folder.0.join("any-name.gguf")).unwrap();
    std::fs::write(folder.0.join("adapter_config.json"), "{}").unwrap();
    let [folder, file] = [folder.0.clone(), data("lora", "gguf/llama-all.gguf")]
        .map(|path| Lora::open(&path, "llama").unwrap());
    assert_eq!(folder.additions(), file.additions());
}

/// The tensors of an adapter that PEFT wrote, as (name, shape, numbers).
fn tensors(name: &str) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(data("lora", name).join("adapter_model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let all = tensors.tensors().into_iter();
    all.map(|(name, view)| (name, view.shape().to_vec(), bytemuck::pod_collect_to_vec(view.data())))
        .collect()
}

fn write_tensors(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
    let views = tensors.iter().map(|(name, shape, numbers)| {
        let bytes = bytemuck::cast_slice(numbers);
        (
            name,
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes)
                .unwrap(),
        )
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// The same adapter as mlx-lm writes it: matrices turned round, names of its own.
fn as_mlx(what: &str, change: impl Fn(&mut Value)) -> Folder {
    let folder = Folder::new(&format!("lora-mlx-{what}"));
    let turned = tensors("llama-all").into_iter().map(|(name, shape, numbers)| {
        let name = name
            .strip_prefix("base_model.model.")
            .unwrap()
            .strip_suffix(".weight")
            .unwrap()
            .to_lowercase();
        let [rows, columns] = shape[..] else { panic!("{shape:?}") };
        let turned =
            (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
        (name, vec![columns, rows], turned.map(|at| numbers[at]).collect())
    });
    write_tensors(&folder.0.join("adapters.safetensors"), &turned.collect::<Vec<_>>());
    let mut config = json!({
        "fine_tune_type": "lora",
        "num_layers": 3,
        "lora_parameters": {"rank": 4, "dropout": 0.0, "scale": 2.0, "keys": ["self_attn.q_proj"]},
        "learning_rate": 1e-5,
    });
    change(&mut config);
    std::fs::write(folder.0.join("adapter_config.json"), config.to_string()).unwrap();
    folder
}

#[test]
fn adapters_of_mlx_are_read() {
    let peft = Lora::open(&data("lora", "llama-all"), "llama").unwrap();
    let folder = as_mlx("whole", |_| ());
    for path in [folder.0.clone(), folder.0.join("adapters.safetensors")] {
        assert_eq!(Lora::open(&path, "llama").unwrap().additions(), peft.additions());
    }
    let old = as_mlx("old", |config| _ = config.as_object_mut().unwrap().remove("fine_tune_type"));
    assert_eq!(Lora::open(&old.0, "llama").unwrap().additions(), peft.additions());
    let dora = as_mlx("dora", |config| config["fine_tune_type"] = json!("dora"));
    let error = Lora::open(&dora.0, "llama").unwrap_err().to_string();
    assert!(error.contains("\"dora\"") && error.contains("mlx_lm.fuse"), "{error}");
    let none = as_mlx("none", |config| config["lora_parameters"] = json!({"rank": 4}));
    let error = Lora::open(&none.0, "llama").unwrap_err().to_string();
    assert!(error.contains("lora_parameters.scale"), "{error}");
}

#[test]
fn tensors_may_carry_an_adapters_own_name() {
    let plain = Lora::open(&data("lora", "llama-all"), "llama").unwrap();
    let folder = changed("llama-all", "own-name", |_| ());
    let file = folder.0.join("adapter_model.safetensors");
    let named = |own: &dyn Fn(usize) -> &'static str| {
        let renamed =
            tensors("llama-all").into_iter().enumerate().map(|(at, (name, shape, numbers))| {
                (name.replace(".weight", &format!(".{}.weight", own(at))), shape, numbers)
            });
        write_tensors(&file, &renamed.collect::<Vec<_>>());
        Lora::open(&folder.0, "llama")
    };
    for own in ["default", "my-adapter_2"] {
        assert_eq!(named(&|_| own).unwrap().additions(), plain.additions(), "{own}");
    }
    let error = named(&|at| if at < 2 { "one" } else { "two" }).unwrap_err().to_string();
    assert!(
        error.contains("several adapters")
            && error.contains("\"one\"")
            && error.contains("\"two\""),
        "{error}"
    );
}

#[test]
fn patterns_are_expressions_as_in_peft() {
    // PEFT holds each against the whole name, or what follows a dot, and takes the first that fits.
    // The scales of these modules, for an alpha of 8 and a rank of 4.
    let modules = ["blk.0.attn_q", "blk.1.attn_q", "blk.0.attn_k", "blk.2.ffn_down"];
    let rows: [(Value, [f32; 4]); 8] = [
        (json!({"q_proj": 4}), [1.0, 1.0, 2.0, 2.0]),
        (json!({"proj": 4}), [2.0; 4]),
        (json!({".*_proj": 4}), [1.0; 4]),
        (json!({"layers.1.self_attn.q_proj": 4}), [2.0, 1.0, 2.0, 2.0]),
        (json!({"layers\\.[01]\\.self_attn\\.(q|k)_proj": 12}), [3.0, 3.0, 3.0, 2.0]),
        (json!({"q_proj|k_proj": 4}), [1.0, 1.0, 1.0, 2.0]),
        (json!({"^model.layers.0.self_attn.q_proj$": 4, "q_proj": 16}), [1.0, 4.0, 2.0, 2.0]),
        (json!({"^layers.0.self_attn.q_proj": 4}), [2.0; 4]),
    ];
    for (pattern, wanted) in rows {
        let folder = changed("llama-all", "expressions", |config| {
            _ = config.insert("alpha_pattern".into(), pattern.clone())
        });
        let lora = Lora::open(&folder.0, "llama").unwrap();
        let scale = |name: &str| {
            lora.additions().iter().find(|addition| addition.name == name).unwrap().scale
        };
        assert_eq!(modules.map(scale), wanted, "{pattern}");
    }
}

#[test]
fn forms_that_are_not_read_are_named_with_a_way_out() {
    let folder = Folder::new("lora-forms");
    let model = TempFile::new(
        "lora-a-model.gguf",
        &common::gguf_writer::Writer::new().with_str("general.architecture", "llama").bytes(),
    );
    let error = |path: &Path| Lora::open(path, "llama").map(|_| ()).unwrap_err().to_string();
    let empty = error(&folder.0);
    assert!(empty.contains("adapter_model.safetensors") && empty.contains(".gguf"), "{empty}");
    std::fs::write(folder.0.join("adapters.npz"), b"PK\x03\x04").unwrap();
    assert!(error(&folder.0).contains("mlx.core.save_safetensors"));
    for start in [&b"PK\x03\x04zip"[..], b"\x80\x02pickle"] {
        let file = folder.0.join("adapter_model.bin");
        std::fs::write(&file, start).unwrap();
        for path in [&folder.0, &file] {
            let said = error(path);
            assert!(
                said.contains("adapter_model.bin") && said.contains("safe_serialization=True"),
                "{said}"
            );
        }
    }
    let alone = folder.0.join("alone.safetensors");
    std::fs::copy(data("lora", "llama-all").join("adapter_model.safetensors"), &alone).unwrap();
    assert!(error(&alone).contains("no adapter_config.json beside it"));
    assert!(error(&model.0).contains("of type \"model\", not an adapter"));
    let other = data("lora", "gguf/phi3-fused.gguf");
    assert!(error(&other).contains("for models of the family \"phi3\", but the model is of llama"));
}

#[test]
fn damaged_adapters_in_gguf_files_are_errors() {
    use crate::common::gguf_writer::Writer;
    let head = || {
        Writer::new()
            .with_str("general.type", "adapter")
            .with_str("general.architecture", "llama")
            .with_str("adapter.type", "lora")
            .with_f32("adapter.lora.alpha", 4.0)
    };
    let half = |writer: Writer, half: &str, shape: &[u64], number: f32| {
        let count = shape.iter().product::<u64>() as usize;
        let bytes = vec![number; count].iter().flat_map(|number| number.to_le_bytes()).collect();
        writer.with_tensor(&format!("blk.0.attn_q.weight.lora_{half}"), shape, DType::F32, bytes)
    };
    let both = |a: &[u64], b: &[u64]| half(half(head(), "a", a, 1.0), "b", b, 1.0);
    let open = |name: &str, writer: &Writer| {
        let file = TempFile::new(&format!("lora-damaged-{name}.gguf"), &writer.bytes());
        Lora::open(&file.0, "llama").map_err(|error| error.to_string())
    };
    let sound = open("sound", &both(&[2, 64], &[64, 2])).unwrap();
    assert_eq!((sound.additions()[0].rank, sound.additions()[0].scale), (2, 2.0));
    // Of rank 1, either matrix may have lost an axis.
    let thin = open("thin", &both(&[1, 64], &[64, 1])).unwrap();
    assert_eq!(
        (thin.additions()[0].rank, thin.additions()[0].inputs, thin.additions()[0].outputs),
        (1, 64, 64)
    );
    let rows = [
        ("ranks", both(&[2, 64], &[64, 3]), "of rank 2"),
        ("axes", both(&[2, 2, 64], &[64, 2]), "not made of matrices"),
        ("half", half(head(), "a", &[2, 64], 1.0), "lacks one of its two matrices"),
        ("numbers", half(half(head(), "a", &[2, 64], f32::NAN), "b", &[64, 2], 1.0), "no number"),
        ("nothing", head(), "adds nothing"),
        (
            "norm",
            head().with_tensor("blk.0.attn_norm.weight", &[64], DType::F32, vec![0; 256]),
            "no lora_a or lora_b",
        ),
        (
            "key",
            both(&[2, 64], &[64, 2]).with_u32("adapter.alora.invocation_tokens", 3),
            "adapter.alora.invocation_tokens",
        ),
        (
            "kind",
            Writer::new().with_str("general.type", "adapter").with_str("adapter.type", "ia3"),
            "type \"ia3\"",
        ),
        (
            "alpha",
            both(&[2, 64], &[64, 2]).with_str("adapter.lora.alpha", "4"),
            "should be a float",
        ),
    ];
    for (name, mut writer, part) in rows {
        if name == "alpha" {
            writer.entries.remove(3);
        }
        let error = open(name, &writer).map(|_| ()).unwrap_err();
        assert!(error.contains(part), "{name}: {error}");
    }
    // Cut short anywhere, and with bits of the header turned: errors or adapters, never a panic.
    let whole = std::fs::read(data("lora", "gguf/llama-all.gguf")).unwrap();
    let file = TempFile::new("lora-damaged.gguf", &[]);
    for length in (0..whole.len()).step_by(1999) {
        std::fs::write(&file.0, &whole[..length]).unwrap();
        assert!(Lora::open(&file.0, "llama").is_err(), "{length} bytes");
    }
    for at in 0..1200 {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&file.0, &bytes).unwrap();
        let _ = Lora::open(&file.0, "llama");
    }
}

#[test]
fn the_command_line_takes_adapters_with_scales() {
    let (model, lora) = (data("tiny", "llama-f32"), data("lora", "llama-all"));
    let (model, lora) = (model.to_str().unwrap(), lora.to_str().unwrap());
    let logits = |adapters: &[String]| {
        let mut arguments = vec!["logits", "-m", model, "--reference", "one two"];
        adapters.iter().for_each(|adapter| arguments.extend(["--lora", adapter]));
        let ran = run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.json()["ids"].clone()
    };
    let plain = logits(&[]);
    assert!(plain.is_array());
    assert_eq!(plain, logits(&[format!("{lora}:0")]));
    assert_ne!(plain, logits(&[lora.to_owned()]));
    assert_eq!(
        logits(&[lora.to_owned()]),
        logits(&[format!("{lora}:0.25"), format!("{lora}:0.75")])
    );
    let ran = run(&["logits", "-m", model, "--reference", "--lora", "nowhere", "one"]);
    let error = ran.err;
    assert!(ran.code != 0 && error.contains("nowhere"), "{error}");
}
