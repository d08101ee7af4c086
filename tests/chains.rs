//! A layer's kernels as one dispatch, and what happens when the threads of the adapter miss each other.

mod common;

use kaiwu::format::Gguf;
use kaiwu::gpu::{Gpu, GpuOptions, Place};
use kaiwu::model::{Model, Runner, Want};
use std::sync::Arc;

/// Steps: several submissions, and more than are left to single calls after the first miss.
const STEPS: usize = 40;

/// What a model said with so many workers: bits of its logits after a prompt and after each of a few tokens, then greedy
/// choices; kernel calls and dispatches of a token; dispatches in all.
struct Said {
    logits: Vec<Vec<u32>>,
    choices: Vec<u32>,
    calls: usize,
    dispatches: usize,
    all_dispatches: u64,
}

fn say(workers: u32) -> Said {
    let options = GpuOptions { workers: Some(workers), ..GpuOptions::default() };
    let gpu = Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"));
    let gguf = Arc::new(Gguf::open(&common::default_model()).unwrap());
    let place = Place::Device(gpu);
    let model = Arc::new(Model::load(&place, &gguf, |_| ()).unwrap());
    let mut runner = Runner::new(&place, &model, None, 128).unwrap();
    let bits = |logits: Vec<f32>| logits.into_iter().map(f32::to_bits).collect();
    let mut logits = vec![];
    runner.prefill(&[1, 504, 3575, 282, 4649, 314], |_| ()).unwrap();
    for id in [7042, 30, 198] {
        runner.feed(id).unwrap();
        logits.push(bits(runner.last_logits().unwrap()));
    }
    let mut choices = vec![runner.greedy().unwrap()];
    while choices.len() < STEPS {
        choices.extend(runner.decode_greedy(8).unwrap());
    }
    logits.push(bits(runner.last_logits().unwrap()));
    let calls = runner.recording(1, Want::Last).unwrap().entries().len();
    let dispatches = runner.dispatches(1, Want::Last).unwrap();
    Said { logits, choices, calls, dispatches, all_dispatches: runner.counters().dispatches }
}

#[test]
fn chained_kernels_say_what_single_ones_say() {
    let single = say(1);
    assert_eq!(single.dispatches, single.calls);

    let chained = say(2);
    assert_eq!(chained.calls, single.calls);
    assert!(chained.logits == single.logits, "chained kernels give other logits");
    assert_eq!(chained.choices, single.choices);
    assert!(chained.all_dispatches <= single.all_dispatches);

    // More workers than any software adapter has threads: those that run wait in vain, and the calls are run one by one.
    let missed = say(64);
    assert!(missed.logits == single.logits, "logits are wrong after workers missed each other");
    assert_eq!(missed.choices, single.choices);
    if missed.dispatches < missed.calls {
        assert!(missed.all_dispatches > single.all_dispatches, "64 workgroups met on this adapter");
        assert_eq!(chained.dispatches, missed.dispatches);
    }
}
