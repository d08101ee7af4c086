//! Every strategy of every kernel against its reference, on awkward sizes.

mod common;

use common::cases::{Bench, can_store, table};
use kaiwu::gpu::{Access, Entry, StorageKind, check_entry};
use kaiwu::kernels::REGISTRY;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Runs all rows with every strategy and reports all that fail.
fn run(mut bench: Bench) {
    let mut failures = vec![];
    let mut strategies = 0;
    for case in &mut bench.cases {
        let all = case.kernel.strategies(bench.gpu.capabilities());
        for (index, strategy) in all.iter().enumerate() {
            strategies += 1;
            let label = format!("{} {} ({})", case.kernel.name(), case.what, strategy.name);
            let entry = Entry { label: label.clone(), kernel: Arc::clone(&case.kernel) };
            // The first strategy's results must not stand in for the second's.
            for operand in case.kernel.operands() {
                if let (Some(tensor), Access::Write) = (operand.tensor, operand.access) {
                    tensor.write(&bench.gpu, 0, &vec![0x5b; tensor.bytes() as usize]);
                    let words = vec![0x5b5b_5b5b; tensor.words()];
                    case.memory.set(&tensor, words);
                }
            }
            match check_entry(&bench.gpu, &entry, &mut case.memory, |all| all.swap_remove(index)) {
                Ok(None) => {}
                Ok(Some(divergence)) => failures.push(divergence.to_string()),
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
