//! Every strategy of every kernel against its reference, on awkward sizes.

mod common;

use common::cases::{Table, can_store, table};
use kaiwu::gpu::StorageKind;
use kaiwu::kernels::REGISTRY;
use kaiwu::workbench::check_case;
use std::collections::BTreeSet;

/// Runs all rows with every strategy and reports all that fail.
fn run(mut table: Table) {
    let mut failures = vec![];
    let mut strategies = 0;
    for case in &mut table.cases {
        for (index, strategy) in case.kernel.strategies(table.gpu.capabilities()).iter().enumerate() {
            strategies += 1;
            let label = format!("{} {} ({})", case.kernel.name(), case.what, strategy.name);
            match check_case(&table.gpu, case, index) {
                Ok(comparison) => {
                    failures.extend(comparison.divergence.map(|wrong| format!("{label}: {wrong}")));
                }
                Err(error) => failures.push(format!("{label}: {error}")),
            }
        }
    }
    assert!(strategies > 0);
    assert!(failures.is_empty(), "{} of {strategies} failed:\n{}", failures.len(), failures.join("\n"));
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

#[test]
fn every_kernel_has_a_row() {
    let bench = table(StorageKind::Buffer);
    let tested: BTreeSet<_> = bench.cases.iter().map(|case| case.kernel.name()).collect();
    assert_eq!(tested, REGISTRY.iter().copied().collect());
}
