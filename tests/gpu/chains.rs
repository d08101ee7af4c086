//! A layer's kernels as one dispatch, and what happens when the threads of the adapter miss each
//! other.

use crate::common;
use crate::common::cases::can_chain;
use crate::common::fake::{Fake, strategy};
use crate::common::open;
use kaiwu::format::Gguf;
use kaiwu::gpu::{
    Constant, Device, Element, Gpu, GpuOptions, Operand, Recording, StorageKind, Strategy, Tensor,
    examine_fused,
};
use kaiwu::model::{LogitsMode, Runner, Weights};
use kaiwu::workbench::{StrategyReport, examine_chains, remember};
use std::sync::Arc;

/// Steps: several submissions, and more than are left to single calls after the first miss.
const STEPS: usize = 40;

/// What a model said with so many workers: bits of its logits after a prompt and after each of a
/// few tokens, then greedy choices; kernel calls and dispatches of a token; dispatches in all.
struct Said {
    logits: Vec<Vec<u32>>,
    choices: Vec<u32>,
    calls: usize,
    dispatches: usize,
    all_dispatches: u64,
}

fn with_workers(workers: u32) -> GpuOptions {
    GpuOptions { workers: Some(workers), ..GpuOptions::default() }
}

fn say(workers: u32) -> Said {
    let gpu = open(&with_workers(workers));
    let gguf = Arc::new(Gguf::open(&common::default_model()).unwrap());
    let device = Device::Gpu(gpu);
    let model = Arc::new(Weights::load(&device, &gguf, |_| ()).unwrap());
    let mut runner = Runner::new(&device, &model, None, 128).unwrap();
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
    let calls = runner.recording(1, LogitsMode::Last).unwrap().entries().len();
    let dispatches = runner.dispatches(1, LogitsMode::Last).unwrap();
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

    // More workers than any software adapter has threads: those that run wait in vain, and the
    // calls are run one by one.
    let missed = say(64);
    assert!(missed.logits == single.logits, "logits are wrong after workers missed each other");
    assert_eq!(missed.choices, single.choices);
    if can_chain(&open(&with_workers(2))) {
        assert!(chained.dispatches < chained.calls, "no kernels are chained on this adapter");
        assert!(missed.dispatches < missed.calls, "no kernels are chained for 64 workers");
        assert!(missed.all_dispatches > single.all_dispatches, "64 workgroups met on this adapter");
        // Each has less to do, so that more layers fit into a dispatch.
        assert!(missed.dispatches <= chained.dispatches);
    }
}

/// Eight workgroups of a shader that each write a texel of `y`.
fn eight(y: &Tensor, source: &'static str) -> Fake {
    let constants = vec![("ONE", Constant::Count(1))];
    Fake::new("eight", vec![Operand::write("y", y)])
        .with_strategies(vec![Strategy { constants, grid: [8, 1, 1], ..strategy("eight", source) }])
        .with_iterations(0)
}

/// An entry function, and what stands before it.
macro_rules! eight {
    ($before:literal, $value:literal) => {
        concat!($before, "\nfn eight(workgroup: vec3<u32>) {\n", $value, "\n}\n")
    };
}

/// Whether a layer is one dispatch on this device.
fn chains(gpu: &Arc<Gpu>, recording: &Recording) -> bool {
    let word = Tensor::uniform(&Device::Gpu(Arc::clone(gpu)), "word", 1).unwrap();
    examine_fused(gpu, recording, &word).unwrap().is_some()
}

#[test]
fn wrong_chains_are_found_and_left_alone() {
    let gpu = open(&with_workers(2));
    if !can_chain(&gpu) {
        return;
    }
    let report = examine_chains(&gpu).unwrap().expect("this adapter chains calls");
    // Two layers: one dispatch, where their tensors can share memory.
    assert_eq!((report.calls, report.dispatches), (12, 1), "{report:?}");
    let apart = GpuOptions { storage: Some(StorageKind::Buffer), ..with_workers(2) };
    let report = examine_chains(&open(&apart)).unwrap().unwrap();
    assert_eq!((report.calls, report.dispatches, report.quarantined), (12, 2, false), "{report:?}");
    let report = examine_chains(&gpu).unwrap().unwrap();
    assert_eq!(report.passed + report.missed, report.runs, "{report:?}");
    assert_eq!((report.quarantined, report.reason.as_deref()), (false, None), "{report:?}");

    // What the calls are, how many, workers, and what is said of them; nothing is wrong with them
    // one by one.
    let rows = [
        (eight!("", "    store_y(workgroup.x, vec4<f32>(f32(workgroup.x)));"), 2, 2, None),
        // A variable that each workgroup has for itself, of which `Needs` says nothing: in a chain
        // one worker is several workgroups.
        (
            eight!(
                "var<private> n: u32 = 0u;",
                "    n++;\n    store_y(workgroup.x, vec4<f32>(f32(n)));"
            ),
            1,
            2,
            Some("has other bits than call by call"),
        ),
        // What a chain does not give.
        (
            "fn eight(invocation: vec3<u32>) { store_y(invocation.x / 8u, vec4<f32>(1.0)); }",
            2,
            2,
            Some("asks for `invocation`"),
        ),
        // A name that both stages declare.
        (
            eight!("alias Real = f32;", "    store_y(workgroup.x, vec4<f32>(Real(1.0)));"),
            2,
            2,
            None,
        ),
        // More workers than any software adapter has threads: they miss each other, which is no
        // harm.
        (eight!("", "    store_y(workgroup.x, vec4<f32>(f32(workgroup.x)));"), 2, 64, None),
    ];
    let file = common::TempFile::new("quarantine-chains.json", b"");
    std::fs::remove_file(&file.0).unwrap();
    for (source, calls, workers, expected) in rows {
        // What is quarantined counts for one storage, and a busy machine may choose another one the
        // next time.
        let storage = Some(gpu.capabilities().storage);
        let open = |quarantine| {
            open(&GpuOptions {
                workers: Some(workers),
                storage,
                quarantine,
                ..GpuOptions::default()
            })
        };
        let record = |gpu: &Arc<Gpu>| {
            let device = Device::Gpu(Arc::clone(gpu));
            let mut recording = Recording::default();
            for _ in 0..calls {
                let y = Tensor::zeros(&device, "y", &[8, 4], Element::F32).unwrap();
                recording.push("eight", eight(&y, source));
            }
            recording.block_from(0);
            recording
        };
        let gpu = open(None);
        let word = Tensor::uniform(&Device::Gpu(Arc::clone(&gpu)), "word", 1).unwrap();
        let report = examine_fused(&gpu, &record(&gpu), &word).unwrap().unwrap();
        assert_eq!(report.quarantined, expected.is_some(), "{report:?}");
        assert!(workers == 2 || report.missed == report.runs, "{report:?}");
        let reason = report.reason.clone().unwrap_or_default();
        assert!(reason.contains(expected.unwrap_or_default()), "{report:?}");

        // From then on the calls run one by one, and a doctor who finds nothing wrong any more lets
        // them be one again.
        remember(&file.0, gpu.report(), &[StrategyReport::from(&report)]).unwrap();
        let sound = record_sound(&open(Some(file.0.clone())));
        assert_eq!(sound, expected.is_none(), "{reason}");
    }
}

/// Whether calls with which nothing is wrong are one dispatch on `gpu`.
fn record_sound(gpu: &Arc<Gpu>) -> bool {
    let device = Device::Gpu(Arc::clone(gpu));
    let mut recording = Recording::default();
    let y = Tensor::zeros(&device, "y", &[8, 4], Element::F32).unwrap();
    recording.push("eight", eight(&y, eight!("", "    store_y(workgroup.x, vec4<f32>(1.0));")));
    recording.block_from(0);
    chains(gpu, &recording)
}
