//! The model against reference results: see `tests/data/README.md`.

use crate::common;
use crate::common::fake::Fake;
use crate::common::loaded::fixture;
use crate::common::{ids, log_sum_exp};
use kaiwu::format::Gguf;
use kaiwu::gpu::{
    Device, Gpu, GpuOptions, HostMemory, Kernel, Parameter, Program, Recording, StorageKind,
    first_divergence,
};
use kaiwu::model::{LogitsMode, Runner, Weights};
use kaiwu::text::{ChatTemplate, Message};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Two right implementations may part where the two highest logits are closer than this.
const GAP: f64 = 0.05;
/// How far a logit may be from the reference.
const LOGIT: f64 = 0.02;

/// What parts the logits from a prompt's reference by more than `LOGIT`.
fn differences(logits: &[f32], prompt: &Value) -> Vec<String> {
    let named = ids(&prompt["top_ids"]).into_iter().zip(prompt["top_logits"].as_array().unwrap());
    let mut all: Vec<_> = named
        .map(|(id, logit)| {
            (format!("logit {id}"), logits[id as usize].into(), logit.as_f64().unwrap())
        })
        .collect();
    all.push(("logsumexp".into(), log_sum_exp(logits), prompt["logsumexp"].as_f64().unwrap()));
    let worst = all
        .iter()
        .map(|(_, found, expected): &(_, f64, _)| (found - expected).abs())
        .fold(0.0, f64::max);
    eprintln!("{}: at most {worst:.4} from the reference", prompt["text"]);
    let wrong = all
        .into_iter()
        .filter(|(_, found, expected): &(_, f64, _)| (found - expected).abs() > LOGIT);
    wrong
        .map(|(what, found, expected)| {
            format!("{}: {what} is {found}, expected {expected}", prompt["text"])
        })
        .collect()
}

/// What parts a model's answers to all prompts from the references.
fn wrong_answers(mut runner: Runner, golden: &Value) -> Vec<String> {
    let mut failures = vec![];
    for prompt in golden["prompts"].as_array().unwrap() {
        let input = ids(&prompt["input_ids"]);
        runner.rewind(0);
        runner.prefill(&input, |_| ()).unwrap();
        failures.extend(differences(&runner.last_logits().unwrap(), prompt));

        let expected = ids(&prompt["greedy_ids"]);
        let gaps = prompt["greedy_top2_gap"].as_array().unwrap();
        let sure = gaps.iter().position(|gap| gap.as_f64().unwrap() < GAP).unwrap_or(gaps.len());
        let mut found = vec![runner.greedy().unwrap()];
        while found.len() < sure {
            found.extend(runner.decode_greedy(8.min(sure - found.len())).unwrap());
        }
        if found[..sure] != expected[..sure] {
            failures.push(format!(
                "{}: {:?}, expected {:?}",
                prompt["text"],
                &found[..sure],
                &expected[..sure]
            ));
        }
    }
    failures
}

/// Mean negative log likelihood of the golden text, and the reference's.
fn likelihoods(mut runner: Runner, golden: &Value) -> (f64, f64) {
    let input = ids(&golden["text"]["input_ids"]);
    let mut total = 0.0;
    let each = |token: usize, logits: &[f32]| {
        if let Some(&next) = input.get(token + 1) {
            total += log_sum_exp(logits) - f64::from(logits[next as usize]);
        }
        Ok(())
    };
    runner.all_logits(&input, each).unwrap();
    (total / (input.len() - 1) as f64, golden["text"]["mean_nll"].as_f64().unwrap())
}

#[test]
fn logits_and_greedy_ids_are_the_references() {
    let fixture = fixture();
    let failures = wrong_answers(fixture.runner(), &fixture.golden);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
#[ignore = "needs the 253 MB of Gemma 3 270M: tests/data/README.md"]
fn gemma_answers_as_its_reference() {
    let golden = common::golden("gemma-3-270m-q4_k_m.json");
    let gguf =
        Arc::new(Gguf::open(&common::gemma_model()).unwrap_or_else(|error| panic!("{error}")));
    let device =
        Device::Gpu(Gpu::open(&GpuOptions::default()).unwrap_or_else(|error| panic!("{error}")));
    let model = Arc::new(Weights::load(&device, &gguf, |_| ()).unwrap());
    let runner = || Runner::new(&device, &model, None, 256).unwrap();
    let failures = wrong_answers(runner(), &golden);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let (found, expected) = likelihoods(runner(), &golden);
    eprintln!("mean negative log likelihood {found}, expected {expected}");
    assert!(
        (found - expected).abs() < 0.01,
        "mean negative log likelihood {found}, expected {expected}"
    );
}

/// The whole model with the strategies meant for GPUs, in buffers with subgroups and f16, in
/// textures without, on an adapter that would not choose them: tiles for the prompt, split columns
/// for what follows.
#[test]
fn strategies_for_gpus_give_the_references_logits() {
    let fixture = fixture();
    let prompt = fixture.prompts().next().unwrap();
    let input = ids(&prompt["input_ids"]);
    for (less, product, argmax, attention) in [
        (false, "matvec_subgroup_columns", "argmax_subgroup_row", "attention_workgroup_half"),
        (true, "matvec_workgroup_columns", "argmax_workgroup_row", "attention_workgroup"),
    ] {
        let options = GpuOptions {
            prefer_gpu_strategies: true,
            without_subgroups: less,
            without_f16: less,
            storage: Some(if less { StorageKind::Texture } else { StorageKind::Buffer }),
            ..GpuOptions::default()
        };
        let device = Device::Gpu(Gpu::open(&options).unwrap_or_else(|error| panic!("{error}")));
        let model = Arc::new(Weights::load(&device, &fixture.gguf, |_| ()).unwrap());
        let mut runner = Runner::new(&device, &model, None, 64).unwrap();
        let Device::Gpu(gpu) = &device else { unreachable!() };
        for (tokens, names) in [
            (
                input.len(),
                [argmax, attention, "embed", "matmul_workgroup_tile", product].as_slice(),
            ),
            (1, &[argmax, attention, "embed", product]),
        ] {
            let program =
                Program::compile(gpu, &runner.recording(tokens, LogitsMode::Last).unwrap())
                    .unwrap();
            let found: BTreeSet<_> = program.describe().map(|(_, strategy)| strategy).collect();
            assert_eq!(found, names.iter().copied().collect(), "{tokens} tokens");
        }
        runner.prefill(&input, |_| ()).unwrap();
        let failures = differences(&runner.last_logits().unwrap(), prompt);
        assert!(failures.is_empty(), "{product}: {}", failures.join("\n"));
        let found = [vec![runner.greedy().unwrap()], runner.decode_greedy(7).unwrap()].concat();
        assert_eq!(found, ids(&prompt["greedy_ids"])[..8], "{product}");
    }
}

#[test]
fn the_references_alone_agree_on_a_short_prompt() {
    let fixture = fixture();
    let model = Arc::new(Weights::load(&Device::Reference, &fixture.gguf, |_| ()).unwrap());
    let mut runner = Runner::new(&Device::Reference, &model, None, 64).unwrap();
    let prompt = fixture.prompts().next().unwrap();
    let input = ids(&prompt["input_ids"]);
    runner.prefill(&input, |_| ()).unwrap();
    let failures = differences(&runner.last_logits().unwrap(), prompt);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let found = [vec![runner.greedy().unwrap()], runner.decode_greedy(3).unwrap()].concat();
    assert_eq!(found, ids(&prompt["greedy_ids"])[..4]);
}

#[test]
fn the_likelihood_of_a_text_is_the_references() {
    let fixture = fixture();
    let (found, expected) = likelihoods(fixture.runner(), &fixture.golden);
    assert!(
        (found - expected).abs() < 0.002,
        "mean negative log likelihood {found}, expected {expected}"
    );
}

#[test]
fn a_prompt_may_be_read_in_any_pieces() {
    let fixture = fixture();
    let input = &ids(&fixture.golden["text"]["input_ids"])[..40];
    let mut runner = fixture.runner();
    let mut read = |length: usize| {
        runner.rewind(0);
        input.chunks(length).for_each(|piece| runner.prefill(piece, |_| ()).unwrap());
        runner.last_logits().unwrap()
    };
    let whole = read(input.len());
    for length in [7, 1] {
        let pieces = read(length);
        let most = whole.iter().zip(&pieces).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // The cache keeps halves: a difference in a float's last bit may become one in a half's.
        assert!(most < 1e-2, "pieces of {length}: logits part by {most}");
    }
}

#[test]
fn a_cache_that_grows_keeps_what_it_holds() {
    let fixture = fixture();
    let input = &ids(&fixture.golden["text"]["input_ids"])[..150];
    let device = Device::Gpu(fixture.gpu.clone());
    let logits = |expected: usize| {
        let mut runner = Runner::new(&device, &fixture.model, None, expected).unwrap();
        // Two pieces: the first fits the small cache, the second makes it grow.
        runner.prefill(&input[..50], |_| ()).unwrap();
        runner.prefill(&input[50..], |_| ()).unwrap();
        (runner.cache_bytes(), runner.last_logits().unwrap())
    };
    let (small, large) = (logits(64), logits(512));
    let config = &fixture.model.config;
    let per_token =
        (4 * config.n_layers * config.n_kv_heads * config.head_dim + 4 * config.head_dim) as u64;
    // 50 tokens fit 64 positions; 150 take two doublings.
    assert_eq!((small.0, large.0), (256 * per_token, 512 * per_token));
    assert_eq!(small.1, large.1);
}

#[test]
fn a_context_that_is_full_is_an_error() {
    let fixture = fixture();
    let device = Device::Gpu(fixture.gpu.clone());
    let mut runner = Runner::new(&device, &fixture.model, Some(8), 8).unwrap();
    runner.prefill(&[1, 2, 3, 4, 5, 6, 7], |_| ()).unwrap();
    let message = runner.prefill(&[8, 9], |_| ()).unwrap_err().to_string();
    assert!(message.contains("9 tokens") && message.contains("holds 8"), "{message}");
    runner.feed(8).unwrap();
    assert!(runner.feed(9).is_err());
    assert!(Runner::new(&device, &fixture.model, Some(8193), 1).is_err());
    assert!(runner.prefill(&[49152], |_| ()).unwrap_err().to_string().contains("49152"));
}

#[test]
fn the_chat_template_writes_the_references_prompt() {
    let fixture = fixture();
    let template = ChatTemplate::from_gguf(&fixture.gguf, &fixture.tokenizer).unwrap().unwrap();
    let mut seen = 0;
    for prompt in fixture.prompts() {
        let Some(messages) = prompt["prompt"].as_array() else { continue };
        let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_owned();
        let messages: Vec<_> =
            messages.iter().map(|m| Message::new(text(m, "role"), text(m, "content"))).collect();
        let found = template.render(&messages, true).unwrap();
        assert_eq!(found, prompt["text"].as_str().unwrap());
        assert_eq!(fixture.tokenizer.encode(&found, false).unwrap(), ids(&prompt["input_ids"]));
        seen += 1;
    }
    assert!(seen > 0);
}

/// A kernel whose device sees another float than its reference does; `None` leaves it whole.
fn with_float(whole: &Arc<dyn Kernel>, float: Option<(&str, f32)>) -> Fake {
    let wrong = |parameter| match (parameter, float) {
        (Parameter::F32(name, _), Some((broken, value))) if name == broken => {
            Parameter::F32(name, value)
        }
        _ => parameter,
    };
    Fake::like(whole).with_parameters(whole.parameters().into_iter().map(wrong).collect())
}

#[test]
fn first_divergence_names_the_kernel_broken_on_purpose() {
    let fixture = fixture();
    let input = [504, 3575, 282, 4649, 314];
    let recording = fixture.runner().recording(input.len(), LogitsMode::Last).unwrap();
    let check = |broken: &str, parameter: &'static str, value: f32| {
        let mut copy = Recording::default();
        let mut memory = HostMemory::default();
        for entry in recording.entries() {
            let parameter = (entry.label == broken).then_some((parameter, value));
            for operand in entry.kernel.operands() {
                let words: &[u32] = match operand.name {
                    "ids" if entry.kernel.name() == "embed" => &input,
                    "step" => &[0],
                    _ => continue,
                };
                let tensor = operand.tensor.unwrap();
                let mut padded = words.to_vec();
                padded.resize(tensor.bytes() as usize / 4, 0);
                tensor.write(&fixture.gpu, 0, bytemuck::cast_slice(&padded));
                memory.u32_mut(&tensor)[..words.len()].copy_from_slice(words);
            }
            copy.push(&entry.label, with_float(&entry.kernel, parameter));
        }
        first_divergence(&fixture.gpu, &copy, &mut memory).unwrap().map(|found| found.label)
    };
    assert_eq!(check("no kernel", "eps", 0.0), None);
    for (label, parameter, value) in [
        ("token_embd", "scale", 1.1),
        ("blk.1.attention", "scale", 0.2),
        ("blk.3.ffn_gate_up", "eps", 0.5),
    ] {
        assert_eq!(
            check(label, parameter, value).as_deref(),
            Some(label),
            "{parameter} of {label}"
        );
    }
}
