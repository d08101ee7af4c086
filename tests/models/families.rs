//! Tiny random checkpoints of each architecture against the logits of their reference
//! implementation: see `tests/data/README.md`.

use crate::common;
use crate::common::program::{kaiwu, run_with};
use crate::common::share;
use crate::common::tiny;
use kaiwu::format::Source;
use kaiwu::gpu::{Device, Gpu, GpuOptions, StorageKind};
use kaiwu::model::{Runner, SessionOptions, Weights};
use kaiwu::text::{ChatTemplate, Message, TextStream, Tokenizer};
use safetensors::SafeTensors;
use std::sync::Arc;

/// Every checkpoint.
const CHECKPOINTS: [&str; 18] = [
    "llama-f32",
    "llama-bf16-sharded",
    "llama3rope-f16",
    "mistral-f16",
    "qwen2-bf16",
    "qwen3-bf16",
    "gemma3-bf16",
    "phi3-bf16",
    "gpt2-f32",
    // Settings that these leave out.
    "llama-linear-bias",
    "qwen2-yarn-window",
    "phi3-long-partial",
    "gemma3-caps",
    "gemma3-six",
    "qwen3moe-renormalised",
    "qwen3moe-every-second",
    "llama-mlp-bias",
    "gpt2-exact",
];

/// Tokens computed at once: all, an awkward number, and one.
const CHUNKS: [usize; 3] = [64, 7, 1];

/// What the reference gives for a checkpoint.
struct Expected {
    input: Vec<u32>,
    /// [T, V].
    logits: Vec<f32>,
    greedy: Vec<u32>,
}

fn expected(name: &str) -> Expected {
    let bytes = std::fs::read(tiny(name).join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let words = |name: &str| -> Vec<u32> {
        bytemuck::pod_collect_to_vec(tensors.tensor(name).unwrap().data())
    };
    let logits = words("logits").into_iter().map(f32::from_bits).collect();
    Expected { input: words("input_ids"), logits, greedy: words("greedy_from_first_8") }
}

/// The worst of the logits of all positions, and of those of the last one after a prompt is read.
fn worst(runner: &mut Runner, expected: &Expected) -> f32 {
    let vocabulary = expected.logits.len() / expected.input.len();
    let reference = |token: usize| &expected.logits[token * vocabulary..][..vocabulary];
    let mut worst = 0.0f32;
    let each = |token: usize, logits: &[f32]| {
        worst = worst.max(share(logits, reference(token)));
        Ok(())
    };
    runner.all_logits(&expected.input, each).unwrap();
    runner.rewind(0);
    runner.prefill(&expected.input, |_| ()).unwrap();
    worst.max(share(&runner.last_logits().unwrap(), reference(expected.input.len() - 1)))
}

fn check(name: &str, what: &str, device: &Device) -> Vec<String> {
    let source = Source::open(&tiny(name)).unwrap_or_else(|error| panic!("{error}"));
    let model =
        Arc::new(Weights::load(device, &source, |_| ()).unwrap_or_else(|error| panic!("{error}")));
    let expected = expected(name);
    let mut failures = vec![];
    for chunk in CHUNKS {
        let room = SessionOptions { expected: 16, chunk, ..SessionOptions::default() };
        let mut runner = Runner::with_room(device, &model, room).unwrap();
        let share = worst(&mut runner, &expected);
        eprintln!("{name} {what}, {chunk} at once: {share:.3} of what is allowed");
        if share > 1.0 {
            failures.push(format!("{name} {what}, {chunk} at once: logits {share} times too far"));
        }
        runner.rewind(0);
        runner.prefill(&expected.input[..8], |_| ()).unwrap();
        let wanted = &expected.greedy[8..];
        let mut found = vec![runner.greedy().unwrap()];
        while found.len() < wanted.len() {
            found.extend(runner.decode_greedy(5.min(wanted.len() - found.len())).unwrap());
        }
        if found != wanted {
            failures.push(format!(
                "{name} {what}, {chunk} at once: chose {found:?}, expected {wanted:?}"
            ));
        }
    }
    failures
}

fn check_all(what: &str, device: &Device) {
    let failures: Vec<String> =
        CHECKPOINTS.iter().flat_map(|name| check(name, what, device)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn device(options: &GpuOptions) -> Device {
    Device::Gpu(Gpu::open(options).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn logits_and_greedy_ids_on_the_device_are_the_references() {
    check_all("on the device", &device(&GpuOptions::default()));
}

#[test]
fn logits_and_greedy_ids_with_strategies_for_gpus_are_the_references() {
    let options = GpuOptions {
        prefer_gpu_strategies: true,
        storage: Some(StorageKind::Buffer),
        ..GpuOptions::default()
    };
    check_all("as on a GPU", &device(&options));
}

#[test]
fn logits_and_greedy_ids_through_the_references_are_the_references() {
    check_all("through the references", &Device::Reference);
}

/// LongRoPE has other frequencies for contexts beyond the first one: the context that a
/// conversation may have chooses, as the length of the text does in the reference.
#[test]
fn long_rope_turns_by_the_context() {
    let name = "phi3-long-short";
    let bytes = std::fs::read(tiny(name).join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let short: Vec<f32> =
        bytemuck::pod_collect_to_vec(tensors.tensor("logits_short").unwrap().data());
    let long = expected(name);
    let beginning = |logits: &[f32]| Expected {
        input: long.input[..32].to_vec(),
        logits: logits.to_vec(),
        greedy: vec![],
    };
    let (beginning, short) = (beginning(&long.logits[..short.len()]), beginning(&short));
    let source = Source::open(&tiny(name)).unwrap();
    for device in [Device::Reference, device(&GpuOptions::default())] {
        let model = Arc::new(Weights::load(&device, &source, |_| ()).unwrap());
        let runner = |context, chunk| {
            let room = SessionOptions {
                context: Some(context),
                expected: 16,
                chunk,
                ..SessionOptions::default()
            };
            Runner::with_room(&device, &model, room).unwrap()
        };
        for chunk in CHUNKS {
            for context in [33, 128] {
                assert!(
                    worst(&mut runner(context, chunk), &beginning) <= 1.0,
                    "long, {chunk} at once"
                );
                assert!(
                    worst(&mut runner(context, chunk), &short) > 10.0,
                    "the short ones are others"
                );
            }
            assert!(worst(&mut runner(128, chunk), &long) <= 1.0, "all of them, {chunk} at once");
            let mut runner = runner(32, chunk);
            assert!(worst(&mut runner, &short) <= 1.0, "short, {chunk} at once");
            runner.rewind(0);
            runner.prefill(&long.input[..8], |_| ()).unwrap();
            let mut found = vec![runner.greedy().unwrap()];
            while found.len() < 24 {
                found.extend(runner.decode_greedy(24 - found.len()).unwrap());
            }
            assert_eq!(found, long.greedy[8..], "{chunk} at once");
        }
    }
}

/// What is asked for decides where `--context` does not.
#[test]
fn long_rope_turns_by_what_a_command_needs() {
    let made = common::Folder::new("tiny-long-rope");
    let name = "phi3-long-short";
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(tiny(name).join(file), made.0.join(file)).unwrap();
    }
    let bytes = r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "decoder": {"type": "ByteLevel",
        "add_prefix_space": false, "trim_offsets": false, "use_regex": false}}"#;
    std::fs::write(made.0.join("tokenizer.json"), bytes).unwrap();
    let expected = std::fs::read(tiny(name).join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&expected).unwrap();
    let highest = |tensor: &str, token: usize| {
        let logits: Vec<f32> = bytemuck::pod_collect_to_vec(tensors.tensor(tensor).unwrap().data());
        logits[token * 128..][..128].iter().copied().fold(f32::MIN, f32::max)
    };
    let input: Vec<u32> = bytemuck::pod_collect_to_vec(tensors.tensor("input_ids").unwrap().data());
    let path = made.0.to_str().unwrap();
    let rows: [(usize, &[&str], &str); 4] = [
        (20, &[], "logits_short"),
        (20, &["--context", "32"], "logits_short"),
        (20, &["--context", "33"], "logits"),
        (40, &[], "logits"),
    ];
    for (tokens, more, tensor) in rows {
        let ids = input[..tokens].iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let arguments = [&["logits", "-m", path, "--ids", &ids][..], more].concat();
        let ran = run_with(kaiwu().args(&arguments), "");
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.err);
        let (found, wanted) =
            (ran.json()["logits"][0].as_f64().unwrap() as f32, highest(tensor, tokens - 1));
        assert!(
            (found - wanted).abs() <= 2e-3 + 1e-3 * wanted.abs(),
            "{arguments:?}: {found}, not {wanted}"
        );
    }
    assert!((highest("logits", 19) - highest("logits_short", 19)).abs() > 0.02, "they are others");
}

#[test]
fn tokenizers_of_folders_read_and_write_text() {
    let source = Source::open(&tiny("llama-f32")).unwrap();
    let tokenizer = Tokenizer::from_source(&source).unwrap();
    assert_eq!(
        (tokenizer.bos(), tokenizer.eos(), tokenizer.end_of_turn()),
        (Some(0), Some(2), &[0, 2][..])
    );
    let text = "the moment of insight: é 猫 <|im_end|>";
    let ids = tokenizer.encode(text, true).unwrap();
    // The library's own reading of the same file.
    let library =
        tokenizers::Tokenizer::from_file(tiny("llama-f32").join("tokenizer.json")).unwrap();
    assert_eq!(ids, library.encode(text, true).unwrap().get_ids());
    assert_eq!(ids.last(), Some(&2));
    assert!(!tokenizer.encode_plain(text).unwrap().contains(&2));
    assert_eq!(tokenizer.decode(&ids, false), text);
    assert_eq!(tokenizer.decode(&ids, true), text.replace("<|im_end|>", ""));
    assert_eq!(tokenizer.decode(&tokenizer.encode_plain(text).unwrap(), true), text);
    let mut stream = TextStream::new(&tokenizer, false);
    let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    pieces.push(stream.finish());
    assert_eq!(pieces.concat(), text);

    let template = ChatTemplate::from_source(&source, &tokenizer).unwrap().unwrap();
    let prompt = template.render(&[Message::new("user", "one two")], true).unwrap();
    assert_eq!(prompt, "<|im_start|>user\none two<|im_end|>\n<|im_start|>assistant\n");
}
