//! Compares one strategy of one case with its reference.

use super::cases::Case;
use crate::Result;
use crate::gpu::{Access, Comparison, Entry, Gpu, Strategy, compare_entry};
use std::sync::Arc;

/// Runs strategy number `index` that the device offers for `case`, and compares the result with the
/// reference.
///
/// # Errors
/// When the strategy does not compile, or the device fails.
pub fn check_case(gpu: &Gpu, case: &mut Case, index: usize) -> Result<Comparison> {
    check_case_by(gpu, case, |all| all.swap_remove(index))
}

/// Runs the strategy that `choose` selects from those that the device offers for `case`, and
/// compares the result with the reference.
///
/// # Errors
/// When the strategy does not compile, or the device fails.
pub fn check_case_by(
    gpu: &Gpu,
    case: &mut Case,
    choose: impl Fn(&mut Vec<Strategy>) -> Strategy,
) -> Result<Comparison> {
    let entry = Entry { label: case.what.clone(), kernel: Arc::clone(&case.kernel) };
    // Clear the outputs, so that an earlier strategy's results cannot pass for this one's.
    for operand in case.kernel.operands() {
        if let (Some(tensor), Access::Write) = (operand.tensor, operand.access) {
            tensor.write(gpu, 0, &vec![0x5b; tensor.bytes() as usize]);
            let words = vec![0x5b5b_5b5b; tensor.words()];
            case.memory.set(&tensor, words);
        }
    }
    compare_entry(gpu, &entry, &mut case.memory, choose)
}
