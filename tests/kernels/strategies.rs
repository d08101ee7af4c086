//! What strategies say they need, held against their shaders, and which of them adapters of less
//! are offered.

use crate::common::cases::{CaseTable, table};
use crate::common::portable::Portable;
use kaiwu::format::DType;
use kaiwu::gpu::{
    Capabilities, Device, Element, Gpu, GpuOptions, Program, Recording, StorageKind, Tensor, render,
};
use kaiwu::kernels::{Input, Matmul, Matrix, OwnedRows, SquareSum};
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn strategies_need_what_their_shaders_use() {
    let bench = table(StorageKind::Buffer);
    let mut failures = BTreeSet::new();
    let mut names = BTreeSet::new();
    for case in &bench.cases {
        for subgroup in [0, 8, 16, 64] {
            let adapter = Capabilities { subgroup, ..bench.gpu.capabilities().clone() };
            for strategy in
                case.kernel.strategies(&adapter).into_iter().chain(case.kernel.sizes(&adapter))
            {
                names.insert(strategy.name);
                let text = render(&*case.kernel, &strategy).unwrap();
                let what = format!("{} of {}", strategy.name, case.kernel.name());
                let needs = strategy.needs;
                match Portable::parse(&text, strategy.entry, needs.subgroup > 0) {
                    Err(message) => drop(failures.insert(format!("{what}: {message}"))),
                    Ok(used) => {
                        let (lanes, bytes) = used.lanes_and_workgroup_bytes();
                        if (lanes, bytes) != (needs.lanes, needs.workgroup_bytes) {
                            failures.insert(format!(
                                "{what}: {lanes} lanes, {bytes} bytes, but {needs:?}"
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(names.len() >= 11, "{names:?}");
    assert!(failures.is_empty(), "{}", failures.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The first strategy of products of one and of many tokens, and of attention.
fn first_offered(bench: &CaseTable, adapter: &Capabilities) -> [&'static str; 3] {
    let first = |kernel, tokens: fn(&str) -> bool| {
        let case = bench
            .cases
            .iter()
            .find(|case| case.kernel.name() == kernel && tokens(&case.what))
            .unwrap();
        case.kernel.strategies(adapter)[0].name
    };
    [
        first("matmul", |what| what.contains("x 1,")),
        first("matmul", |what| !what.contains("x 1,")),
        first("attention", |_| true),
    ]
}

#[test]
fn adapters_get_the_strategies_they_can_run() {
    let bench = table(StorageKind::Buffer);
    let lanes = ["matvec", "matmul", "attention_query_per_lane"];
    let subgroups_of_eight = ["matvec_broadcast", "matmul_broadcast", "attention"];
    let workgroups = ["matvec_workgroup_columns", "matmul_workgroup_tile", "attention_workgroup"];
    let subgroups = ["matvec_subgroup_columns", "matmul_workgroup_tile", "attention_workgroup"];
    // Software or not, smallest subgroup, lanes, bytes of workgroup memory.
    let rows = [
        (true, 8, 1024, 32 << 10, subgroups_of_eight),
        (true, 4, 256, 16 << 10, lanes),
        (true, 0, 256, 16 << 10, lanes),
        (false, 32, 1024, 48 << 10, subgroups),
        (false, 4, 256, 16 << 10, workgroups),
        (false, 0, 256, 16 << 10, workgroups),
        (false, 0, 256, 1 << 10, lanes),
        (false, 32, 32, 16 << 10, subgroups_of_eight),
    ];
    for (software, subgroup, max_lanes, max_workgroup_bytes, expected) in rows {
        let here = bench.gpu.capabilities().clone();
        let adapter =
            Capabilities { software, subgroup, max_lanes, max_workgroup_bytes, f16: false, ..here };
        assert_eq!(first_offered(&bench, &adapter), expected, "{adapter:?}");
    }
}

/// Norms and all that looks for the largest of a row: on GPUs lanes share it.
#[test]
fn rows_are_shared_on_gpus() {
    let bench = table(StorageKind::Buffer);
    let here = bench.gpu.capabilities().clone();
    for kernel in [
        "norm",
        "row_norm",
        "norm_backward",
        "cross_entropy",
        "token_log_prob",
        "divergence",
        "argmax",
    ] {
        let case = bench.cases.iter().find(|case| case.kernel.name() == kernel).unwrap();
        for (software, subgroup, max_lanes, expected) in [
            (true, 8, 1024, kernel.to_owned()),
            (false, 32, 1024, format!("{kernel}_subgroup_row")),
            (false, 4, 256, format!("{kernel}_subgroup_row")),
            (false, 0, 256, format!("{kernel}_workgroup_row")),
        ] {
            let adapter = Capabilities { software, subgroup, max_lanes, ..here.clone() };
            assert_eq!(case.kernel.strategies(&adapter)[0].name, expected, "{adapter:?}");
        }
    }
}

/// Weights and caches of halves are read as such on GPUs that have them; elsewhere words are
/// unpacked.
#[test]
fn halves_are_read_as_halves_on_gpus_that_have_them() {
    let bench = table(StorageKind::Buffer);
    let here = bench.gpu.capabilities().clone();
    let mut found = BTreeSet::new();
    for case in &bench.cases {
        let halves = case.kernel.operands().iter().any(|operand| operand.halves);
        let offered = |f16, software| {
            case.kernel.strategies(&Capabilities { f16, software, subgroup: 32, ..here.clone() })
        };
        let ([with, without], name) =
            ([true, false].map(|f16| offered(f16, false)), case.kernel.name());
        if name == "roof_multiply_add_half" {
            continue;
        }
        assert!(without.iter().all(|strategy| !strategy.needs.f16), "{name}");
        assert!(!offered(true, true)[0].needs.f16, "{name}");
        assert_eq!(with[0].needs.f16, halves, "{name} {}: {}", case.what, with[0].name);
        if halves {
            let text = render(&*case.kernel, &with[0]).unwrap();
            assert!(
                text.contains("var<storage, read> ") && text.contains(": array<Halves>;"),
                "{text}"
            );
            found.insert(with[0].name);
        }
    }
    let expected =
        ["attention_workgroup_half", "matmul_workgroup_tile_half", "matvec_subgroup_columns_half"];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}

/// The products and the attention of training: on GPUs a workgroup shares what its lanes read,
/// where there is enough for one.
#[test]
fn training_shares_tiles_on_gpus() {
    let bench = table(StorageKind::Buffer);
    let adapter = Capabilities { software: false, ..bench.gpu.capabilities().clone() };
    for kernel in ["gemm", "causal_attention", "causal_query_backward", "causal_key_backward"] {
        let rows: Vec<_> = bench.cases.iter().filter(|case| case.kernel.name() == kernel).collect();
        let shared = rows
            .iter()
            .filter(|case| case.kernel.strategies(&adapter)[0].needs.workgroup_bytes > 0);
        // Sequences of four have queries for no workgroup.
        assert_eq!(shared.count(), if kernel == "gemm" { rows.len() } else { 2 }, "{kernel}");
        let last = rows.iter().map(|case| case.kernel.strategies(&adapter).pop().unwrap());
        assert!(last.into_iter().all(|strategy| strategy.name == kernel), "{kernel}");
    }
}

/// The limits are asked of the device, not only of the strategies: what needs more does not
/// compile.
#[test]
fn a_device_opened_with_less_has_less() {
    let options = GpuOptions {
        storage: Some(StorageKind::Buffer),
        without_subgroups: true,
        max_lanes: Some(32),
        max_workgroup_bytes: Some(256),
        max_storage_buffers: Some(8),
        min_offset_alignment: Some(256),
        ..GpuOptions::default()
    };
    let gpu = Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"));
    let less = gpu.capabilities();
    assert_eq!((less.subgroup, less.max_lanes, less.max_workgroup_bytes), (0, 32, 256));

    let device = Device::Gpu(Arc::clone(&gpu));
    let source = Arc::new(OwnedRows::new(DType::F32, 32, vec![0; 8 * 32 * 4]));
    let w = Matrix::load(&device, "w", source).unwrap().parts()[0].clone();
    let x = Tensor::zeros(&device, "x", &[1, 32], Element::F32).unwrap();
    let y = Tensor::zeros(&device, "y", &[1, 8], Element::F32).unwrap();
    let mut recording = Recording::default();
    recording.push("y", Matmul { input: Input::plain(&x, 1), w, residual: None, y });
    Program::compile(&gpu, &recording).unwrap().run(&gpu);
    gpu.wait().unwrap();

    let kernel = &recording.entries()[0].kernel;
    let more = Capabilities {
        software: false,
        max_lanes: 1024,
        max_workgroup_bytes: 32 << 10,
        ..less.clone()
    };
    let strategy = kernel.strategies(&more).swap_remove(0);
    assert_eq!(strategy.name, "matvec_workgroup_columns");
    let made = Program::compile_entries(&gpu, recording.entries(), |_| strategy.clone());
    let message = made.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("matvec_workgroup_columns"), "{message:?}");

    // Where nothing runs, the kernel says so.
    let x = Tensor::zeros(&device, "x", &[1, 8], Element::F32).unwrap();
    let total = Tensor::uniform(&device, "total", 4).unwrap();
    let mut recording = Recording::default();
    recording.push("square_sum", SquareSum { x, base: None, total });
    let message =
        Program::compile(&gpu, &recording).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("square_sum") && message.contains("32 lanes"), "{message:?}");
}
