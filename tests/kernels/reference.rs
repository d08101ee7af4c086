//! Every strategy of every kernel against its reference, on awkward sizes.

use crate::common;
use crate::common::cases::{CaseTable, can_store, table, table_without_aliases, without_rows};
use kaiwu::gpu::{Constant, Device, Element, Kernel, StorageKind, Tensor};
use kaiwu::kernels::{self, Add, Scatter};
use kaiwu::workbench::{all_shapes, check_case, check_case_by};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Runs all rows with every strategy and reports all that fail.
fn run(mut table: CaseTable) {
    let mut failures = vec![];
    let mut strategies = 0;
    let gpu = Arc::clone(&table.gpu);
    for case in &mut table.cases {
        for (index, strategy) in case.kernel.strategies(gpu.capabilities()).iter().enumerate() {
            strategies += 1;
            let label = format!("{} {} ({})", case.kernel.name(), case.what, strategy.name);
            match check_case(&gpu, case, index) {
                Ok(comparison) => {
                    failures.extend(comparison.divergence.map(|wrong| format!("{label}: {wrong}")));
                }
                Err(error) => failures.push(format!("{label}: {error}")),
            }
        }
    }
    assert!(strategies > 0);
    assert!(
        failures.is_empty(),
        "{} of {strategies} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A row of each kernel, which is as much as `make quick` has time for.
#[test]
fn first_rows_match_their_references() {
    let mut table = table(StorageKind::Buffer);
    let mut seen = BTreeSet::new();
    table.cases.retain(|case| seen.insert(case.kernel.name()));
    run(table);
}

#[test]
fn kernels_match_their_references_in_buffers() {
    run(table(StorageKind::Buffer));
}

#[test]
fn kernels_match_their_references_in_textures() {
    if can_store(StorageKind::Texture) {
        run(table(StorageKind::Texture));
    }
}

/// Textures that share no memory with a buffer, which is what all other adapters have.
#[test]
fn kernels_match_their_references_in_textures_that_are_written() {
    if !can_store(StorageKind::Texture) {
        return;
    }
    let mut table = table_without_aliases();
    // Of the products, those in one format, as below: how they store is all that differs.
    table.cases.retain(|case| case.kernel.name() != "matmul" || case.what.starts_with('['));
    run(table);
}

/// What `kaiwu autotune` may choose besides, in the storage that it is likely chosen for.
#[test]
fn further_sizes_match_their_references() {
    let mut table = table(if can_store(StorageKind::Texture) {
        StorageKind::Texture
    } else {
        StorageKind::Buffer
    });
    let gpu = Arc::clone(&table.gpu);
    let mut failures = vec![];
    let mut sizes = BTreeSet::new();
    // Of the products, those in one format: drivers take long to compile so many.
    table.cases.retain(|case| case.kernel.name() != "matmul" || case.what.starts_with('['));
    for case in &mut table.cases {
        let usual = case.kernel.strategies(gpu.capabilities()).len();
        for (index, strategy) in gpu.tunable(&*case.kernel).iter().enumerate().skip(usual) {
            sizes.insert(format!("{} {:?}", strategy.name, kaiwu::gpu::sizes(strategy)));
            let label = format!("{} {} ({strategy:?})", case.kernel.name(), case.what);
            match check_case_by(&gpu, case, |_| strategy.clone()) {
                Ok(comparison) => {
                    failures.extend(comparison.divergence.map(|wrong| format!("{label}: {wrong}")));
                }
                Err(error) => failures.push(format!("{label} {index}: {error}")),
            }
        }
    }
    assert!(sizes.len() >= 6, "{sizes:?}");
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// What has more workgroups than an axis takes folds them into two, and so it does here with far
/// fewer.
#[test]
fn folded_grids_match_their_references() {
    let mut table = table(StorageKind::Buffer);
    let gpu = Arc::clone(&table.gpu);
    let mut failures = vec![];
    let mut folded = BTreeSet::new();
    for case in &mut table.cases {
        for mut strategy in case.kernel.strategies(gpu.capabilities()) {
            let Some(fold) = strategy.constants.iter_mut().find(|(name, _)| *name == "FOLD") else {
                continue;
            };
            fold.1 = Constant::Count(3);
            // Rows of a table come second: their columns are the first axis.
            let axis = usize::from(strategy.entry == "scatter");
            let workgroups = strategy.grid[axis];
            (strategy.grid[axis], strategy.grid[axis + 1]) =
                (workgroups.min(3), workgroups.div_ceil(3));
            if workgroups > 3 {
                folded.insert(strategy.name);
            }
            let label = format!("{} {} ({})", case.kernel.name(), case.what, strategy.name);
            match check_case_by(&gpu, case, |_| strategy.clone()) {
                Ok(comparison) => {
                    failures.extend(comparison.divergence.map(|wrong| format!("{label}: {wrong}")));
                }
                Err(error) => failures.push(format!("{label}: {error}")),
            }
        }
    }
    assert!(folded.len() >= 3, "{folded:?}");
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// Vocabularies and embeddings of large models.
#[test]
fn grids_of_large_models_fit_every_adapter() {
    let device = Device::Reference;
    let floats = |shape: &[usize]| Tensor::zeros(&device, "x", shape, Element::F32).unwrap();
    let table = [262_144, 2048];
    let ids = Tensor::zeros(&device, "ids", &[8], Element::U32).unwrap();
    let scatter = Scatter { ids, dy: floats(&[8, 2048]), base: None, dtable: floats(&table) };
    let add = Add { a: floats(&table), b: floats(&table), y: floats(&table) };
    let can = common::cases::table(StorageKind::Buffer).gpu.capabilities().clone();
    for kernel in [&scatter as &dyn Kernel, &add] {
        for strategy in kernel.strategies(&can) {
            let count: u64 = strategy.grid.iter().map(|&axis| u64::from(axis)).product();
            assert!(
                strategy.grid.iter().all(|&axis| axis <= 65_535),
                "{}: {:?}",
                strategy.name,
                strategy.grid
            );
            assert!(count >= 262_144, "{}: {:?}", strategy.name, strategy.grid);
        }
    }
}

#[test]
fn every_kernel_has_a_row() {
    assert_eq!(without_rows(&table(StorageKind::Buffer)), Vec::<&str>::new());
}

#[test]
fn every_kernel_has_a_shape_to_be_timed_on() {
    let gpu = table(StorageKind::Buffer).gpu;
    // Large ones take long to make up.
    let timed: BTreeSet<&str> = all_shapes()
        .iter()
        .filter(|shape| !shape.large)
        .map(|shape| shape.case(&gpu).unwrap().kernel.name())
        .collect();
    let mut without = kernels::names();
    without.retain(|kernel| !timed.contains(kernel));
    assert!(without.is_empty(), "`bench kernels` has no shape of {without:?}");
}

/// Both forms of GELU differ by less than products may: here by up to 5e-4, and what stands for the
/// error function by 1e-7.
#[test]
fn gelu_by_the_error_function_is_not_its_approximation() {
    let mut table = table(StorageKind::Buffer);
    let gpu = table.gpu.clone();
    let mut strategies = 0;
    for case in table.cases.iter_mut().filter(|case| case.what.starts_with("GeluExact")) {
        for index in 0..case.kernel.strategies(gpu.capabilities()).len() {
            strategies += 1;
            let found = check_case(&gpu, case, index).unwrap();
            assert!(found.max_error < 5e-5, "{}: {}", case.what, found.max_error);
        }
    }
    assert!(strategies >= 4, "{strategies}");
}
