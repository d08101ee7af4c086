//! Layers with a window keep no more than they need: texts many times as long as what is kept,
//! against the logits of the reference implementation, and going back further than is kept.

use crate::common::device;
use crate::common::share;
use crate::common::tiny;
use kaiwu::format::Source;
use kaiwu::generate::{Generator, Options};
use kaiwu::gpu::{Device, Gpu, GpuOptions, StorageKind};
use kaiwu::kernels::CacheType;
use kaiwu::model::{Runner, SessionOptions, Weights};
use kaiwu::text::Tokenizer;
use kaiwu::workbench::Numbers;
use safetensors::SafeTensors;
use std::sync::Arc;

/// Checkpoints with windows of 8, 8, 6 and 9 tokens, in all layers or in some.
const CHECKPOINTS: [&str; 4] = ["mistral-f16", "gemma3-bf16", "gemma3-caps", "qwen2-yarn-window"];

/// Tokens computed at once. Of 256, all tokens fit; of 64, 128 positions are kept; of the others,
/// 64.
const CHUNKS: [usize; 4] = [256, 64, 7, 1];

fn model(name: &str, device: &Device) -> Arc<Weights> {
    let source = Source::open(&tiny(name)).unwrap();
    Arc::new(Weights::load(device, &source, |_| ()).unwrap())
}

fn runner(device: &Device, model: &Arc<Weights>, chunk: usize, cache: CacheType) -> Runner {
    Runner::with_room(
        device,
        model,
        SessionOptions { expected: 16, chunk, cache, ..SessionOptions::default() },
    )
    .unwrap()
}

/// What the reference gives: ids, positions, and their logits.
struct Expected {
    ids: Vec<u32>,
    positions: Vec<u32>,
    logits: Vec<f32>,
}

impl Expected {
    fn of(name: &str) -> Self {
        let bytes = std::fs::read(tiny(name).join("long.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let words = |name: &str| -> Vec<u32> {
            bytemuck::pod_collect_to_vec(tensors.tensor(name).unwrap().data())
        };
        let logits = words("logits").into_iter().map(f32::from_bits).collect();
        Self { ids: words("input_ids"), positions: words("positions"), logits }
    }

    /// The worst of all positions: the text read in pieces that end there.
    fn worst(&self, runner: &mut Runner) -> f32 {
        let vocabulary = self.logits.len() / self.positions.len();
        let mut worst = 0.0f32;
        for (wanted, &position) in self.logits.chunks(vocabulary).zip(&self.positions) {
            runner.prefill(&self.ids[runner.position()..=position as usize], |_| ()).unwrap();
            worst = worst.max(share(&runner.last_logits().unwrap(), wanted));
        }
        worst
    }

    /// Of the last position.
    fn last(&self, runner: &mut Runner) -> f32 {
        let vocabulary = self.logits.len() / self.positions.len();
        share(&runner.last_logits().unwrap(), &self.logits[self.logits.len() - vocabulary..])
    }
}

fn check_all(what: &str, device: &Device) {
    let mut failures = vec![];
    for name in CHECKPOINTS {
        let (model, expected) = (model(name, device), Expected::of(name));
        for chunk in CHUNKS {
            let mut runner = runner(device, &model, chunk, CacheType::F16);
            let pieces = expected.worst(&mut runner);
            runner.rewind(0);
            runner.prefill(&expected.ids, |_| ()).unwrap();
            let at_once = expected.last(&mut runner);
            eprintln!(
                "{name} {what}, {chunk} at once: {pieces:.3} and {at_once:.3} of what is allowed"
            );
            if pieces > 1.0 || at_once > 1.0 {
                failures.push(format!(
                    "{name} {what}, {chunk} at once: {pieces}, {at_once} times too far"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn long_texts_have_the_references_logits_on_the_device() {
    check_all("on the device", &device());
}

#[test]
fn long_texts_have_the_references_logits_with_strategies_for_gpus() {
    let options = GpuOptions {
        prefer_gpu_strategies: true,
        storage: Some(StorageKind::Buffer),
        ..GpuOptions::default()
    };
    check_all("as on a GPU", &Device::Gpu(Gpu::open(&options).unwrap()));
}

#[test]
fn long_texts_have_the_references_logits_through_the_references() {
    check_all("through the references", &Device::Reference);
}

#[test]
fn layers_with_a_window_keep_what_they_need() {
    // Layers with a window, and without; chunk; positions that are kept of 256.
    for (name, local, global) in [("mistral-f16", 3, 0), ("gemma3-bf16", 2, 1)] {
        for (chunk, kept) in [(256, 256), (64, 128), (7, 64)] {
            let (model, expected) = (model(name, &Device::Reference), Expected::of(name));
            let mut runner = runner(&Device::Reference, &model, chunk, CacheType::F16);
            runner.prefill(&expected.ids, |_| ()).unwrap();
            let config = &model.config;
            let position = (4 * config.n_kv_heads * config.head_dim) as u64;
            let ropes = (config.ropes.len() * 256 * 4 * config.head_dim) as u64;
            let wanted = (local * kept + global * 256) * position + ropes;
            assert_eq!(runner.cache_bytes(), wanted, "{name}, {chunk} at once");
        }
    }
}

#[test]
fn going_back_is_right_or_begins_anew() {
    let device = device();
    for name in ["mistral-f16", "gemma3-bf16"] {
        let (model, expected) = (model(name, &device), Expected::of(name));
        let ids = &expected.ids;
        let mut ring = runner(&device, &model, 7, CacheType::F16);
        ring.prefill(ids, |_| ()).unwrap();
        // 64 positions are kept, 230 were written: the token at 174 sees from 167 on, which is the
        // first one there.
        assert_eq!(ring.rewind(174), 174, "{name}");
        ring.prefill(&ids[174..], |_| ()).unwrap();
        assert!(expected.last(&mut ring) < 1.0, "{name}");
        assert_eq!(ring.rewind(172), 0, "{name}");
        ring.prefill(ids, |_| ()).unwrap();
        assert!(expected.last(&mut ring) < 1.0, "{name}");

        // Anywhere, with other tokens in between; what is right is what a cache gives that keeps
        // all.
        let mut whole = runner(&device, &model, 256, CacheType::F16);
        let (mut numbers, mut back, mut anew) = (Numbers::new(3), 0, 0);
        let mut held: Vec<u32> = ids.clone();
        for step in 0..24 {
            let most = if step % 3 == 0 { held.len() } else { 40.min(held.len()) };
            let position = held.len() - numbers.next_u64() as usize % most;
            held.truncate(position);
            let more = (1 + numbers.next_u64() as usize % 60).min(250 - position);
            held.extend((0..more).map(|_| 3 + numbers.next_u64() as u32 % 300));
            let kept = ring.rewind(position);
            *(if kept == position { &mut back } else { &mut anew }) += 1;
            ring.prefill(&held[kept..], |_| ()).unwrap();
            whole.rewind(0);
            whole.prefill(&held, |_| ()).unwrap();
            let far = share(&ring.last_logits().unwrap(), &whole.last_logits().unwrap());
            assert!(far < 1.0, "{name}, step {step}: back to {position}, {kept} kept, {far}");
        }
        assert!(back >= 5 && anew >= 3, "{back} and {anew} say little");
    }
}

#[test]
fn answers_are_the_same_whatever_was_asked_before() {
    let device = device();
    let (model, expected) = (model("mistral-f16", &device), Expected::of("mistral-f16"));
    let tokenizer =
        Arc::new(Tokenizer::from_source(&Source::open(&tiny("mistral-f16")).unwrap()).unwrap());
    let options = Options { max_tokens: Some(12), ..Options::default() };
    let generator =
        |chunk| Generator::new(runner(&device, &model, chunk, CacheType::F16), tokenizer.clone());
    let mut one = generator(7);
    // The whole text, then less and less of it, then more: what can be reused, and what cannot.
    let lengths = [(230, 0), (225, 224), (100, 0), (101, 100), (30, 0), (200, 30), (40, 0)];
    for (length, reused) in lengths {
        let prompt = &expected.ids[..length];
        let found = one.answer(prompt, &options, |_| Ok(())).unwrap();
        let wanted = generator(256).answer(prompt, &options, |_| Ok(())).unwrap();
        assert_eq!(found.ids, wanted.ids, "{length} tokens");
        assert_eq!(found.reused, reused, "{length} tokens");
    }
}

#[test]
fn every_type_keeps_what_it_is_given() {
    let device = device();
    for name in ["llama-f32", "gpt2-f32", "qwen3-bf16", "phi3-bf16", "gemma3-bf16"] {
        let model = model(name, &device);
        let mut numbers = Numbers::new(5);
        let ids: Vec<u32> = (0..140).map(|_| 3 + numbers.next_u64() as u32 % 300).collect();
        let logits = |cache: CacheType, device: &Device, model: &Arc<Weights>| {
            let mut runner = runner(device, model, 7, cache);
            runner.prefill(&ids, |_| ()).unwrap();
            runner.last_logits().unwrap()
        };
        let exact = logits(CacheType::F32, &device, &model);
        let far = |cache| share(&logits(cache, &device, &model), &exact);
        let (halves, bytes) = (far(CacheType::F16), far(CacheType::Q8_0));
        eprintln!("{name}: halves {halves:.3}, bytes {bytes:.3} of 2e-3 + 1e-3 |logit|");
        assert!(halves > 0.0 && halves < 1.0, "{name}: halves {halves}");
        assert!(bytes > halves && bytes < 60.0, "{name}: bytes {bytes}");
        let host = self::model(name, &Device::Reference);
        let references = logits(CacheType::Q8_0, &Device::Reference, &host);
        let apart = share(&logits(CacheType::Q8_0, &device, &model), &references);
        assert!(apart < 10.0, "{name}: the references are {apart} away");
    }
}
