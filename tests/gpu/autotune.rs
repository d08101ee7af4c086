//! What `kaiwu autotune` measures and remembers, and when that counts.

use crate::common::TempFile;
use crate::common::fake::{Fake, strategy};
use crate::common::program::{kaiwu, run_with};
use kaiwu::gpu::{
    Constant, Device, Element, Gpu, GpuOptions, HostMemory, Kernel, Operand, Parameter, Quarantine,
    StorageKind, Strategy, Tensor, Tuned, Tuning, Wrong, fingerprint, names, sizes,
};
use kaiwu::workbench::{cases::Case, is_tunable, tune};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Name, what it writes, and how many rounds it takes for that; the name of a size begins with `+`.
type Way = (&'static str, &'static str, u32);

const SOURCE: &str = "fn three() {
    var x = p.zero;
    for (var i = 0u; i < {{ ROUNDS }}u; i++) { x = x * x; }
    store_y(0u, vec4<f32>(x + {{ VALUE }}));
}";

fn open(options: GpuOptions) -> Arc<Gpu> {
    let options = GpuOptions { storage: Some(StorageKind::Buffer), ..options };
    Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// y = 3, on many or few rounds of nothing.
fn three(gpu: &Arc<Gpu>, ways: &[Way]) -> Fake {
    let y = Tensor::zeros(&Device::Gpu(Arc::clone(gpu)), "y", &[4], Element::F32).unwrap();
    let strategy = |&(name, value, rounds): &Way| Strategy {
        name: name.trim_start_matches('+'),
        constants: vec![("VALUE", Constant::Word(value)), ("ROUNDS", Constant::Count(rounds))],
        ..strategy("three", SOURCE)
    };
    let (sizes, ways): (Vec<&Way>, Vec<&Way>) =
        ways.iter().partition(|(name, ..)| name.starts_with('+'));
    Fake::new("three", vec![Operand::write("y", &y)])
        .with_parameters(vec![Parameter::F32("zero", 0.0)])
        .with_strategies(ways.into_iter().map(strategy).collect())
        .with_sizes(sizes.into_iter().map(strategy).collect())
        .with_reference(move |memory| memory.f32_mut(&y).fill(3.0))
}

const SLOW: u32 = 3_000_000;

#[test]
fn the_fastest_right_one_is_found() {
    let gpu = open(GpuOptions::default());
    // What is tried, and what is chosen: name and rounds.
    type Row = (&'static [Way], Option<(&'static str, u32)>);
    let rows: [Row; 5] = [
        (&[("slow", "3.0", SLOW), ("fast", "3.0", 10)], Some(("fast", 10))),
        (&[("slow", "3.0", SLOW), ("wrong", "2.9", 10), ("+slow", "3.0", 10)], Some(("slow", 10))),
        (&[("slow", "3.0", SLOW), ("broken", "three((", 10)], Some(("slow", SLOW))),
        (&[("fast", "3.0", 10), ("slow", "3.0", SLOW)], Some(("fast", 10))),
        (&[("wrong", "2.9", 10), ("broken", "three((", 10)], None),
    ];
    for (ways, expected) in rows {
        let kernel = Arc::new(three(&gpu, ways));
        assert!(is_tunable(&gpu, &*kernel));
        let mut case = Case { what: "one row".into(), kernel, memory: HostMemory::default() };
        let found = tune(&gpu, &mut case, Duration::from_millis(20)).unwrap();
        assert_eq!(found.candidates.len(), ways.len());
        for (candidate, (name, value, _)) in found.candidates.iter().zip(ways) {
            assert_eq!(candidate.reason.is_none(), *value == "3.0", "{name}: {candidate:?}");
            assert_eq!(candidate.us.is_some(), *value == "3.0", "{name}: {candidate:?}");
        }
        let chosen = found.tuned.map(|tuned| (tuned.strategy, tuned.sizes["ROUNDS"]));
        assert_eq!(chosen, expected.map(|(name, rounds)| (name.to_owned(), rounds)), "{ways:?}");
    }
}

const WAYS: &[Way] = &[("a", "3.0", 10), ("b", "3.0", 20), ("+b", "3.0", 30)];

/// An entry for the strategy with these rounds.
fn entry(gpu: &Arc<Gpu>, rounds: u32) -> Tuned {
    let kernel = three(gpu, WAYS);
    let all = gpu.tunable(&kernel);
    let strategy = all.iter().find(|strategy| sizes(strategy)["ROUNDS"] == rounds).unwrap();
    let (adapter, driver) = names(gpu.report());
    Tuned {
        adapter,
        driver,
        storage: StorageKind::Buffer,
        kernel: "three".into(),
        shape: kernel.shape(),
        strategy: strategy.name.into(),
        sizes: sizes(strategy),
        us: 1.0,
        first_us: 2.0,
        source: fingerprint(&all),
    }
}

fn write(path: &Path, entries: Vec<Tuned>) {
    let mut tuning = Tuning::read(path).unwrap();
    tuning.add(entries);
    tuning.write().unwrap();
}

/// Names and rounds of the strategies, in the order in which they are taken.
fn order(options: GpuOptions) -> Vec<(&'static str, u32)> {
    let gpu = open(options);
    let all = gpu.strategies(&three(&gpu, WAYS)).unwrap();
    all.iter().map(|strategy| (strategy.name, sizes(strategy)["ROUNDS"])).collect()
}

#[test]
fn what_is_remembered_comes_first_as_long_as_it_counts() {
    let gpu = open(GpuOptions::default());
    let fresh = |change: &dyn Fn(&mut Tuned)| {
        let mut entry = entry(&gpu, 30);
        change(&mut entry);
        entry
    };
    let usual = vec![("a", 10), ("b", 20)];
    type Row = (&'static str, Tuned, Vec<(&'static str, u32)>);
    let rows: [Row; 9] = [
        ("another size of b", fresh(&|_| ()), vec![("b", 30), ("a", 10)]),
        ("b itself", entry(&gpu, 20), vec![("b", 20), ("a", 10)]),
        ("the first", entry(&gpu, 10), usual.clone()),
        ("other shaders", fresh(&|entry| entry.source = "0123456789abcdef".into()), usual.clone()),
        ("no such strategy", fresh(&|entry| entry.strategy = "c".into()), usual.clone()),
        (
            "no such size",
            fresh(&|entry| entry.sizes = [("ROUNDS".into(), 31)].into()),
            usual.clone(),
        ),
        ("another shape", fresh(&|entry| entry.shape = "y [8]".into()), usual.clone()),
        ("another driver", fresh(&|entry| entry.driver = "other".into()), usual.clone()),
        ("another storage", fresh(&|entry| entry.storage = StorageKind::Texture), usual.clone()),
    ];
    for (what, entry, expected) in rows {
        let file = TempFile::new("tuning.json", b"");
        std::fs::remove_file(&file.0).unwrap();
        write(&file.0, vec![entry]);
        let options = GpuOptions { tuning: Some(file.0.clone()), ..GpuOptions::default() };
        assert_eq!(order(options.clone()), expected, "{what}");
        assert_eq!(
            order(GpuOptions { deterministic: true, ..options }),
            usual,
            "{what}, deterministic"
        );
        assert_eq!(order(GpuOptions::default()), usual, "{what}, without the file");
    }
}

#[test]
fn a_wrong_strategy_is_not_used_however_fast() {
    let (file, list) = (TempFile::new("tuning-wrong.json", b""), TempFile::new("wrong.json", b""));
    std::fs::remove_file(&file.0).unwrap();
    std::fs::remove_file(&list.0).unwrap();
    let gpu = open(GpuOptions::default());
    write(&file.0, vec![entry(&gpu, 30)]);
    let all = gpu.tunable(&three(&gpu, WAYS));
    let mut quarantine = Quarantine::read(&list.0).unwrap();
    let wrong = Wrong {
        storage: StorageKind::Buffer,
        kernel: "three".into(),
        strategy: "b".into(),
        source: fingerprint(&all[1..2]),
        reason: "2 is not 3".into(),
    };
    quarantine.set(gpu.report(), |_| true, vec![wrong]);
    quarantine.write().unwrap();
    let options = GpuOptions {
        tuning: Some(file.0.clone()),
        quarantine: Some(list.0.clone()),
        ..GpuOptions::default()
    };
    assert_eq!(order(options), [("a", 10)]);
}

#[test]
fn the_file_is_kept_by_adapter_and_read_with_care() {
    let file = TempFile::new("tuning-care.json", b"");
    std::fs::remove_file(&file.0).unwrap();
    let gpu = open(GpuOptions::default());
    let mut other = entry(&gpu, 10);
    other.adapter = "another".into();
    write(&file.0, vec![entry(&gpu, 20), other]);
    // The same shape again is the same entry.
    write(&file.0, vec![entry(&gpu, 30)]);
    let mut tuning = Tuning::read(&file.0).unwrap();
    assert_eq!(tuning.entries().len(), 2);
    assert_eq!(
        tuning.of(gpu.report()).map(|entry| entry.sizes["ROUNDS"]).collect::<Vec<_>>(),
        [30]
    );
    assert_eq!(tuning.forget(gpu.report()), 1);
    tuning.write().unwrap();
    assert_eq!(Tuning::read(&file.0).unwrap().entries().len(), 1);

    for damage in ["", "[]", "{\"tuned\": [{}]}", "\u{0}"] {
        std::fs::write(&file.0, damage).unwrap();
        let message = Tuning::read(&file.0).unwrap_err().to_string();
        assert!(message.contains("delete this file"), "{message}");
        // It is no reason not to run.
        let options = GpuOptions { tuning: Some(file.0.clone()), ..GpuOptions::default() };
        assert_eq!(order(options), [("a", 10), ("b", 20)]);
    }
}

/// What was measured is shown where no folder can hold it; here a file is in its place.
#[test]
fn tuning_that_cannot_be_remembered_is_shown() {
    let file = TempFile::new("tune-no-folder", b"no folder");
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/llama-f32");
    let tuned = |asked: &[&str]| {
        let mut command = kaiwu();
        command.env("XDG_CACHE_HOME", &file.0).args([
            "tune",
            "-m",
            tiny.to_str().unwrap(),
            "--seconds",
            "2",
        ]);
        run_with(command.args(asked), "")
    };
    let ran = tuned(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("times") && ran.out.contains(": not remembered"), "{ran:?}");
    assert!(ran.err.contains("counts for this run, and is not remembered"), "{ran:?}");
    let ran = tuned(&["--json"]);
    assert!(ran.code == 0 && ran.json()["file"].is_null(), "{ran:?}");
    let ran = run_with(
        kaiwu().env_remove("XDG_CACHE_HOME").env_remove("HOME").args(["tune", "--show"]),
        "",
    );
    assert!(ran.code == 2 && ran.err.contains("so nothing is remembered"), "{ran:?}");
}
