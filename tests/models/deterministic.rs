//! With `deterministic`, every kind of model has the same bits however its prompt was cut: tiny
//! checkpoints with mixtures of experts, windows and adapters, each type of cache, on the
//! strategies for GPUs and those for software adapters.

use crate::common;
use kaiwu::format::{Lora, Source};
use kaiwu::gpu::{Device, Gpu, GpuOptions};
use kaiwu::kernels::CacheType;
use kaiwu::model::{Runner, SessionOptions, Weights};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Checkpoint, adapters, cache.
type Row = (&'static str, &'static [&'static str], CacheType);
const ROWS: [Row; 9] = [
    ("llama-f32", &[], CacheType::F16),
    ("llama-f32", &[], CacheType::F32),
    ("llama-f32", &[], CacheType::Q8_0),
    ("llama-f32", &["llama-all", "llama-patterns"], CacheType::F16),
    ("qwen3moe-renormalised", &[], CacheType::F16),
    ("qwen3moe-every-second", &[], CacheType::Q8_0),
    // Windows of 8 tokens, in some layers and in most.
    ("gemma3-bf16", &[], CacheType::F16),
    ("gemma3-six", &[], CacheType::F32),
    ("gemma3-bf16", &["gemma3-all"], CacheType::F16),
];

/// Tokens of the prompt: several windows, whole chunks of none of the lengths below.
const TOKENS: usize = 29;
/// Greedy steps after it.
const STEPS: usize = 6;

fn load(device: &Device, checkpoint: &str, adapters: &[&str]) -> Arc<Weights> {
    let source = Source::open(&common::data("tiny").join(checkpoint)).unwrap();
    let mut model = Weights::load(device, &source, |_| ()).unwrap();
    if !adapters.is_empty() {
        let name = model.config.architecture.name;
        let open =
            |adapter: &&str| (Lora::open(&common::data("lora").join(adapter), name).unwrap(), 0.7);
        model.adapt(device, &adapters.iter().map(open).collect::<Vec<_>>()).unwrap();
    }
    Arc::new(model)
}

/// The hash of the logits after the last token.
fn hash(runner: &mut Runner) -> u64 {
    let mut hasher = DefaultHasher::new();
    runner.last_logits().unwrap().iter().for_each(|logit| logit.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// Hashes after the prompt by the way they were come by, and after greedy steps from there with
/// their choices.
type Found = (Vec<(String, u64)>, Vec<(Vec<u32>, u64)>);

fn hashes(device: &Device, model: &Arc<Weights>, cache: CacheType) -> Found {
    let ids: Vec<u32> =
        (0..TOKENS).map(|n| ((5 + 37 * n) % model.config.vocab_size) as u32).collect();
    let runner = |chunk| {
        let room =
            SessionOptions { expected: 2 * TOKENS, chunk, cache, ..SessionOptions::default() };
        Runner::with_room(device, model, room).unwrap()
    };
    let (mut found, mut after) = (vec![], vec![]);
    for chunk in [64, 7, 1] {
        let mut runner = runner(chunk);
        runner.prefill(&ids, |_| ()).unwrap();
        found.push((format!("chunks of {chunk}"), hash(&mut runner)));
        // Several steps in a submission, and in pieces.
        let mut choices = vec![];
        while choices.len() < STEPS {
            choices.extend(runner.decode_greedy(if chunk == 64 { STEPS } else { 2 }).unwrap());
        }
        after.push((choices, hash(&mut runner)));
    }
    let mut runner = runner(64);
    for &id in &ids {
        runner.feed(id).unwrap();
    }
    found.push(("token by token".into(), hash(&mut runner)));
    let mut choices = vec![];
    for _ in 0..STEPS {
        let id = runner.greedy().unwrap();
        runner.feed(id).unwrap();
        choices.push(runner.greedy().unwrap());
    }
    after.push((choices, hash(&mut runner)));
    for prefix in [TOKENS / 3, TOKENS - 2] {
        // A layer with a window may have let go of it, and then all is computed again.
        let left = runner.rewind(prefix);
        runner.prefill(&ids[left..], |_| ()).unwrap();
        found.push((format!("{left} of {prefix} tokens in the cache"), hash(&mut runner)));
    }
    (found, after)
}

fn check(options: GpuOptions) {
    let options = GpuOptions { deterministic: true, ..options };
    let device = Device::Gpu(Gpu::open(&options).unwrap_or_else(|error| panic!("{error}")));
    let mut different = vec![];
    for (checkpoint, adapters, cache) in ROWS {
        let model = load(&device, checkpoint, adapters);
        let (found, after) = hashes(&device, &model, cache);
        let what = format!("{checkpoint} {adapters:?} {cache:?}");
        if found.iter().any(|(_, hash)| *hash != found[0].1) {
            different.push(format!("{what}: {found:#x?}"));
        }
        if after.iter().any(|other| *other != after[0]) {
            different.push(format!("{what}, greedy: {after:x?}"));
        }
        assert_ne!(found[0].1, after[0].1, "{what}: hashes of different tokens");
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

#[test]
fn every_kind_of_model_has_the_same_bits_here() {
    check(GpuOptions::default());
}

#[test]
fn so_it_has_on_the_strategies_for_gpus() {
    check(GpuOptions { prefer_gpu_strategies: true, ..GpuOptions::default() });
}

#[test]
fn and_on_those_without_subgroups() {
    check(GpuOptions {
        prefer_gpu_strategies: true,
        without_subgroups: true,
        ..GpuOptions::default()
    });
}
