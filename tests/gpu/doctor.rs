//! Strategies that are wrong: found, remembered, and not used again.

use crate::common;
use crate::common::fake::{Fake, strategy};
use crate::common::{Folder, TempFile, cases::table};
use kaiwu::gpu::{
    Constant, Device, Element, Gpu, GpuOptions, HostMemory, Kernel, Operand, Program, Quarantine,
    Quarantined, Recording, StorageKind, Strategy, Tensor, Wrong, fingerprint,
};
use kaiwu::workbench::{
    BenchShape, Bounds, DoctorJournal, Roofs, Stopwatch, StrategyReport, cases::Case, examine,
    healthy, measure_roofs, remember,
};
use std::path::Path;
use std::sync::Arc;

const SOURCE: &str = "fn three() { store_y(0u, vec4<f32>({{ VALUE }})); }";

fn open(quarantine: Option<&Path>) -> Arc<Gpu> {
    let quarantine = quarantine.map(Path::to_owned);
    let options =
        GpuOptions { storage: Some(StorageKind::Buffer), quarantine, ..GpuOptions::default() };
    Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// y = 3, if a strategy is right: their names, and what they write, or what does not compile.
fn three(gpu: &Arc<Gpu>, strategies: &[(&'static str, &'static str)]) -> Fake {
    let y = Tensor::zeros(&Device::Gpu(Arc::clone(gpu)), "y", &[4], Element::F32).unwrap();
    let strategy = |&(name, value)| Strategy {
        name,
        constants: vec![("VALUE", Constant::Word(value))],
        ..strategy("three", SOURCE)
    };
    Fake::new("three", vec![Operand::write("y", &y)])
        .with_strategies(strategies.iter().map(strategy).collect())
        .with_reference(move |memory| memory.f32_mut(&y).fill(3.0))
}

/// The strategy taken, and what it computed.
fn taken(gpu: &Arc<Gpu>, kernel: Fake) -> kaiwu::Result<(&'static str, f32)> {
    let y = kernel.operands()[0].tensor.clone().expect("it is there");
    let mut recording = Recording::default();
    recording.push("three", kernel);
    let program = Program::compile(gpu, &recording)?;
    program.run(gpu);
    let strategy = program.describe().map(|(_, strategy)| strategy).next().unwrap();
    Ok((strategy, y.read_f32(gpu)?[0]))
}

#[test]
fn wrong_strategies_are_found_remembered_and_skipped() {
    let file = TempFile::new("quarantine.json", b"");
    std::fs::remove_file(&file.0).unwrap();
    // Strategies, those that are wrong, whether one is left, and which is then taken.
    type Row = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
        bool,
        Option<&'static str>,
    );
    let rows: [Row; 6] = [
        (&[("right", "3.0"), ("also", "3.00001")], &[], true, Some("right")),
        (&[("wrong", "2.9"), ("right", "3.0")], &["wrong"], true, Some("right")),
        (
            &[("broken", "three(("), ("nan", "nothing()"), ("right", "3.0")],
            &["broken", "nan"],
            true,
            Some("right"),
        ),
        (&[("right", "3.0"), ("wrong", "2.9")], &["wrong"], true, Some("right")),
        (
            &[("wrong", "2.9"), ("empty", "bitcast<f32>(p.unused + 0x7fc00000u)")],
            &["wrong", "empty"],
            false,
            None,
        ),
        // What is right again is used again.
        (&[("wrong", "3.0")], &[], true, Some("wrong")),
    ];
    for (strategies, wrong, fit, expected) in rows {
        // Doctor looks at all strategies, whatever it found before.
        let gpu = open(None);
        let mut table = table(StorageKind::Buffer);
        table.gpu = Arc::clone(&gpu);
        table.cases.clear();
        let kernel = Arc::new(three(&gpu, strategies));
        table.cases.push(Case { what: "one row".into(), kernel, memory: HostMemory::default() });
        let reports = examine(&mut table, &Bounds::default(), |_| ()).unwrap();
        let found: Vec<_> = reports
            .iter()
            .filter(|report| report.quarantined)
            .map(|report| report.strategy)
            .collect();
        assert_eq!(found, wrong, "{reports:?}");
        for report in &reports {
            let passed = usize::from(!report.quarantined);
            assert_eq!((report.cases, report.passed), (1, passed), "{report:?}");
            assert_eq!(report.reason.is_some(), report.quarantined);
        }
        assert_eq!(healthy(&table, &reports), fit);
        remember(&file.0, table.gpu.report(), &reports).unwrap();
        // Those of the rows before stay, unless they are examined again.
        let of_row = |name: &String| strategies.iter().any(|(strategy, _)| strategy == name);
        let quarantine = Quarantine::read(&file.0).unwrap();
        let names: Vec<_> = quarantine
            .of(table.gpu.report())
            .map(|entry| entry.strategy.clone())
            .filter(of_row)
            .collect();
        assert_eq!(names, wrong);

        let gpu = open(Some(&file.0));
        match (taken(&gpu, three(&gpu, strategies)), expected) {
            (Ok((strategy, value)), Some(expected)) => {
                assert_eq!(strategy, expected);
                assert!((value - 3.0).abs() < 1e-3);
            }
            (Err(error), None) => {
                assert!(matches!(error, kaiwu::Error::Quarantined { .. }), "{error}")
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
        // Without the list the wrong one is taken, where it compiles.
        let gpu = open(None);
        if let Ok((strategy, _)) = taken(&gpu, three(&gpu, strategies)) {
            assert_eq!(strategy, strategies[0].0);
        }
    }
}

#[test]
fn a_quarantine_is_kept_by_adapter_and_driver_and_read_with_care() {
    let file = TempFile::new("quarantine-care.json", b"");
    std::fs::remove_file(&file.0).unwrap();
    let here = open(None).report().clone();
    let mut other = here.clone();
    other.driver_info = "another version".into();

    let mut quarantine = Quarantine::read(&file.0).unwrap();
    let entry = |name: &str, storage| Wrong {
        storage,
        kernel: "three".into(),
        strategy: name.into(),
        source: String::new(),
        reason: "2 is not 3".into(),
    };
    quarantine.set(&here, |_| true, vec![entry("a", StorageKind::Buffer)]);
    quarantine.set(&other, |_| true, vec![entry("b", StorageKind::Buffer)]);
    quarantine.write().unwrap();
    let of = |report| -> Vec<String> {
        Quarantine::read(&file.0).unwrap().of(report).map(|entry| entry.strategy.clone()).collect()
    };
    assert_eq!((of(&here), of(&other)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    // What was not looked at stays as it was.
    let mut quarantine = Quarantine::read(&file.0).unwrap();
    let in_texture = |entry: &Quarantined| entry.storage == StorageKind::Texture;
    quarantine.set(&here, in_texture, vec![entry("c", StorageKind::Texture)]);
    quarantine.write().unwrap();
    assert_eq!(of(&here), ["a", "c"]);
    let mut quarantine = Quarantine::read(&file.0).unwrap();
    quarantine.set(&here, |_| true, vec![]);
    quarantine.write().unwrap();
    assert_eq!((of(&here), of(&other)), (vec![], vec!["b".to_owned()]));

    for damage in ["", "[]", "{\"quarantined\": [{}]}", "\u{0}\u{1}"] {
        std::fs::write(&file.0, damage).unwrap();
        let message = Quarantine::read(&file.0).unwrap_err().to_string();
        assert!(message.contains("delete this file"), "{message}");
        // It is no reason not to run.
        let gpu = open(Some(&file.0));
        let strategies = three(&gpu, &[("a", "3.0")]).strategies(gpu.capabilities());
        assert!(!gpu.is_quarantined("three", &strategies[0]));
    }
}

/// What was found of one shader, in one storage, says nothing of another.
#[test]
fn an_entry_counts_for_its_shader_and_storage_only() {
    let file = TempFile::new("quarantine-stale.json", b"");
    std::fs::remove_file(&file.0).unwrap();
    let gpu = open(None);
    let strategies: &[(&str, &str)] = &[("a", "3.0"), ("b", "3.0")];
    let source = fingerprint(&three(&gpu, strategies).strategies(gpu.capabilities())[..1]);
    for (source, storage, expected) in [
        (source.clone(), StorageKind::Buffer, "b"),
        (source, StorageKind::Texture, "a"),
        ("0123456789abcdef".into(), StorageKind::Buffer, "a"),
    ] {
        let wrong = Wrong {
            storage,
            kernel: "three".into(),
            strategy: "a".into(),
            source: source.clone(),
            reason: "2 is not 3".into(),
        };
        let mut quarantine = Quarantine::read(&file.0).unwrap();
        quarantine.set(gpu.report(), |_| true, vec![wrong]);
        quarantine.write().unwrap();
        let gpu = open(Some(&file.0));
        let (taken, _) = taken(&gpu, three(&gpu, strategies)).unwrap();
        assert_eq!(taken, expected, "{source} in {storage:?}");
    }
}

/// A finding, as doctor would have it after so many of ten rows.
fn report(
    gpu: &Gpu,
    strategy: &'static str,
    storage: StorageKind,
    cases: usize,
    wrong: bool,
) -> StrategyReport {
    StrategyReport {
        kernel: "three",
        strategy,
        storage,
        rows: 10,
        cases,
        passed: if wrong { 0 } else { cases },
        max_error: 0.0,
        quarantined: wrong,
        source: gpu.report().name.clone(),
        reason: wrong.then(|| "2 is not 3".into()),
    }
}

/// A run with fewer strategies, or on fewer rows, says nothing of the others.
#[test]
fn only_what_was_examined_is_forgotten() {
    let file = TempFile::new("quarantine-examined.json", b"");
    std::fs::remove_file(&file.0).unwrap();
    let gpu = open(None);
    let (buffer, texture) = (StorageKind::Buffer, StorageKind::Texture);
    let found = |strategy, storage, cases, wrong| report(&gpu, strategy, storage, cases, wrong);
    let all =
        [found("a", buffer, 10, true), found("b", buffer, 10, true), found("b", texture, 10, true)];
    // What is examined, and what is left of a, b and b in textures.
    type Row<'a> = (&'a [StrategyReport], &'a [(&'a str, StorageKind)]);
    let rows: [Row; 5] = [
        (&[], &[("a", buffer), ("b", buffer), ("b", texture)]),
        (&[found("a", buffer, 10, false)], &[("b", buffer), ("b", texture)]),
        (&[found("b", texture, 10, false)], &[("a", buffer), ("b", buffer)]),
        (&[found("a", buffer, 3, false)], &[("a", buffer), ("b", buffer), ("b", texture)]),
        (
            &[found("c", buffer, 3, true)],
            &[("a", buffer), ("b", buffer), ("b", texture), ("c", buffer)],
        ),
    ];
    for (examined, expected) in rows {
        remember(&file.0, gpu.report(), &all).unwrap();
        remember(&file.0, gpu.report(), examined).unwrap();
        let quarantine = Quarantine::read(&file.0).unwrap();
        let mut left: Vec<_> = quarantine
            .of(gpu.report())
            .map(|entry| (entry.strategy.as_str(), entry.storage))
            .collect();
        left.sort_by_key(|(strategy, storage)| (*strategy, *storage == texture));
        assert_eq!(left, expected, "{examined:?}");
        let forgotten =
            ["a", "b", "c"].map(|name| [buffer, texture].map(|kind| found(name, kind, 10, false)));
        remember(&file.0, gpu.report(), forgotten.as_flattened()).unwrap();
        assert!(!file.0.exists());
    }
}

/// What loses the device or hangs is in the file before it runs, beside what was found wrong until
/// then.
#[test]
fn a_strategy_is_suspect_while_it_runs() {
    let file = TempFile::new("quarantine-suspect.json", b"");
    std::fs::remove_file(&file.0).unwrap();
    let gpu = open(None);
    let seen = Arc::new(std::sync::Mutex::new(vec![]));
    let examine_with = |strategies| {
        let mut table = table(StorageKind::Buffer);
        table.gpu = Arc::clone(&gpu);
        table.cases.clear();
        // Its reference runs while a strategy is being checked.
        let (adapter, path, found) = (gpu.report().clone(), file.0.clone(), Arc::clone(&seen));
        let three: Arc<dyn Kernel> = Arc::new(three(&gpu, strategies));
        let kernel = Fake::like(&three).with_reference(move |memory| {
            let quarantine = Quarantine::read(&path).unwrap();
            let entries = quarantine.of(&adapter).map(|entry| entry.strategy.clone()).collect();
            found.lock().unwrap().push(entries);
            three.reference(memory);
        });
        let (what, memory) = ("one row".into(), HostMemory::default());
        table.cases.push(Case { what, kernel: Arc::new(kernel), memory });
        let journal = DoctorJournal::open(&file.0, gpu.report()).unwrap();
        let bounds = Bounds { journal: Some(&journal), ..Bounds::default() };
        examine(&mut table, &bounds, |_| ()).unwrap();
        journal.close();
        assert!(journal.is_kept());
        std::mem::take::<Vec<Vec<String>>>(&mut *seen.lock().unwrap())
    };
    let found = examine_with(&[("wrong", "2.9"), ("right", "3.0"), ("also", "3.0")]);
    assert_eq!(found, [vec!["wrong"], vec!["wrong", "right"], vec!["wrong", "also"]]);

    // Had it ended there, that strategy would not be used, and would come last when doctor runs
    // again.
    let mut quarantine = Quarantine::read(&file.0).unwrap();
    assert_eq!(quarantine.of(gpu.report()).count(), 1);
    let journal = DoctorJournal::open(&file.0, gpu.report()).unwrap();
    let strategies: &[(&str, &str)] = &[("right", "3.0"), ("also", "3.0")];
    let source = fingerprint(&three(&gpu, strategies).strategies(gpu.capabilities())[..1]);
    journal
        .begins(&StrategyReport { source, ..report(&gpu, "right", StorageKind::Buffer, 0, false) });
    quarantine = Quarantine::read(&file.0).unwrap();
    assert_eq!(quarantine.of(gpu.report()).count(), 2);
    let later = open(Some(&file.0));
    assert_eq!(taken(&later, three(&later, strategies)).unwrap().0, "also");
    assert_eq!(examine_with(strategies), [vec!["wrong", "right", "also"], vec!["wrong", "right"]]);
    assert_eq!(
        Quarantine::read(&file.0).unwrap().of(gpu.report()).count(),
        1,
        "only what is wrong is left"
    );
}

/// A folder that cannot be written, here a file in its place, keeps nobody from checking.
#[test]
fn what_cannot_be_remembered_is_checked_all_the_same() {
    let gpu = open(None);
    let folder = Folder::new("doctor-without-cache");
    let path = folder.0.join("kaiwu").join("quarantine.json");
    let journal = DoctorJournal::open(&path, gpu.report()).unwrap();
    std::fs::write(folder.0.join("kaiwu"), "no folder").unwrap();
    assert!(matches!(DoctorJournal::open(&path, gpu.report()), Err(kaiwu::Error::Io { .. })));
    let strategies: &'static [(&str, &str)] = &[("wrong", "2.9"), ("right", "3.0")];
    let mut table = table(StorageKind::Buffer);
    table.gpu = Arc::clone(&gpu);
    table.cases.clear();
    let (what, memory) = ("one row".into(), HostMemory::default());
    table.cases.push(Case { what, kernel: Arc::new(three(&gpu, strategies)), memory });
    let reports =
        examine(&mut table, &Bounds { journal: Some(&journal), ..Bounds::default() }, |_| ())
            .unwrap();
    let found: Vec<_> =
        reports.iter().map(|report| (report.strategy, report.quarantined)).collect();
    assert_eq!((found, journal.is_kept()), (vec![("wrong", true), ("right", false)], false));
}

/// Where a kernel has no right strategy in one storage, the other one is taken.
#[test]
fn the_storage_that_is_fit_is_taken() {
    if !common::cases::can_store(StorageKind::Texture) {
        return;
    }
    let file = TempFile::new("quarantine-storage.json", b"");
    std::fs::remove_file(&file.0).unwrap();
    for (unfit, expected) in
        [(StorageKind::Texture, StorageKind::Buffer), (StorageKind::Buffer, StorageKind::Texture)]
    {
        let adapter = open(None).report().clone();
        let found = [StorageKind::Buffer, StorageKind::Texture]
            .map(|storage| StrategyReport::of_storage(storage, storage != unfit));
        remember(&file.0, &adapter, &found).unwrap();
        let options = GpuOptions { quarantine: Some(file.0.clone()), ..GpuOptions::default() };
        assert_eq!(Gpu::open(&options).unwrap().capabilities().storage, expected);
    }
}

/// On an adapter taken for a GPU there are more lanes than an axis has narrow workgroups.
#[test]
fn roofs_are_measured_as_on_a_gpu() {
    let gpu =
        Gpu::open(&GpuOptions { prefer_gpu_strategies: true, ..GpuOptions::default() }).unwrap();
    let roofs = measure_roofs(&gpu).unwrap();
    assert!(roofs.multiply_add_gflop_per_s > 0.0 && roofs.read_buffer_gb_per_s > 0.0, "{roofs:?}");
    assert_eq!(roofs.multiply_add_f16_gflop_per_s.is_some(), gpu.capabilities().f16);
}

#[test]
fn what_is_wrong_gets_no_figure() {
    let gpu = open(None);
    let roofs = Roofs {
        read_buffer_gb_per_s: 1.0,
        read_texture_gb_per_s: None,
        copy_buffer_gb_per_s: 1.0,
        copy_texture_gb_per_s: None,
        multiply_add_gflop_per_s: 1.0,
        multiply_add_f16_gflop_per_s: None,
        dispatch_us: 1.0,
        dependent_dispatch_us: 1.0,
        workgroup_barrier_us: 1.0,
    };
    let on = Arc::clone(&gpu);
    let shape = BenchShape::new("three", 0, move |_| {
        Ok(Arc::new(three(&on, &[("wrong", "2.9"), ("right", "3.0"), ("broken", "three((")])))
    });
    let results = Stopwatch::new(&gpu, &roofs).unwrap().measure(&shape).unwrap();
    assert_eq!(results.len(), 3);
    let [wrong, right, broken] = &results[..] else { panic!("{results:?}") };
    assert!(
        wrong.as_ref().is_err_and(|refused| refused.reason.contains("is 2.9, expected 3")),
        "{wrong:?}"
    );
    assert!(
        right.as_ref().is_ok_and(|m| m.strategy == "right" && m.median_us > 0.0 && m.runs >= 7)
    );
    assert!(broken.as_ref().is_err_and(|refused| refused.strategy == "broken"), "{broken:?}");
}
