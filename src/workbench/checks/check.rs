//! One strategy of one case against its reference.

use super::cases::Case;
use crate::Result;
use crate::gpu::{Access, Comparison, Entry, Gpu, Strategy, compare_entry};
use std::sync::Arc;

/// Runs strategy `index` of those the device offers for `case`, and its reference, and compares
/// what they give.
///
/// # Errors
/// When it does not compile, or the device fails.
pub fn check_case(gpu: &Gpu, case: &mut Case, index: usize) -> Result<Comparison> {
    check_case_by(gpu, case, |all| all.swap_remove(index))
}

/// Runs the strategy that `choose` takes from those the device offers for `case`, and its
/// reference, and compares what they give.
///
/// # Errors
/// When it does not compile, or the device fails.
pub fn check_case_by(
    gpu: &Gpu,
    case: &mut Case,
    choose: impl Fn(&mut Vec<Strategy>) -> Strategy,
) -> Result<Comparison> {
    let entry = Entry { label: case.what.clone(), kernel: Arc::clone(&case.kernel) };
    // The last strategy's results must not stand in for this one's.
    for operand in case.kernel.operands() {
        if let (Some(tensor), Access::Write) = (operand.tensor, operand.access) {
            tensor.write(gpu, 0, &vec![0x5b; tensor.bytes() as usize]);
            let words = vec![0x5b5b_5b5b; tensor.words()];
            case.memory.set(&tensor, words);
        }
    }
    compare_entry(gpu, &entry, &mut case.memory, choose)
}
