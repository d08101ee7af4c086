//! Finds the fastest strategy and size for a shape: each candidate is compared with the reference,
//! then all are timed in alternation.

use crate::gpu::{
    Access, Entry, Gpu, Kernel, Program, Strategy, Tensor, Tuned, compare_outputs, fingerprint,
    names, sizes,
};
use crate::workbench::checks::cases::Case;
use crate::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The result of one strategy in one size on a shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The strategy's name.
    pub strategy: &'static str,
    /// The strategy's counts by name, such as the tokens in a tile.
    pub sizes: BTreeMap<String, u32>,
    /// The shortest of its runs in microseconds; `None` if it is wrong.
    pub us: Option<f64>,
    /// A description of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The result of tuning a shape.
#[derive(Debug, Clone, Serialize)]
pub struct ShapeTuning {
    /// A description of the shape, as requested.
    pub what: String,
    /// The entry to save; `None` if no candidate was right.
    pub tuned: Option<Tuned>,
    /// All candidates, starting with the one that is used without tuning.
    pub candidates: Vec<Candidate>,
}

/// Limits on the rounds in which each candidate runs once; the actual number depends on the time
/// available.
const ROUNDS: std::ops::RangeInclusive<usize> = 5..=200;
/// A candidate that takes this many times as long as the fastest after two rounds is dropped.
const HOPELESS: f64 = 1.5;
/// The first candidate is kept unless another takes less than this fraction of its time, because
/// timings are not exact.
const CLEARLY: f64 = 0.97;

/// Whether there is more than one way to compute this shape on the device.
pub fn is_tunable(gpu: &Gpu, kernel: &dyn Kernel) -> bool {
    gpu.tunable(kernel).len() > 1
}

/// Estimated seconds of the reference of a call: plain loops do about 10^9 operations per second.
pub fn reference_seconds(kernel: &dyn Kernel, context: usize) -> f64 {
    kernel.cost(context).operations as f64 * 1e-9
}

/// Checks and times every strategy of a call in every size, for about `patience` in addition to the
/// time of the checks.
///
/// # Errors
/// When the device is lost. A candidate's error on a device that still works is reported with that
/// candidate.
pub fn tune(gpu: &Gpu, case: &mut Case, patience: Duration) -> Result<ShapeTuning> {
    let kernel = Arc::clone(&case.kernel);
    let offered = gpu.tunable(&*kernel);
    let writable = prepare(gpu, case);
    let mut candidates = vec![];
    let mut programs = vec![];
    for strategy in &offered {
        let checked = check(gpu, case, &writable, strategy);
        let reason = match checked {
            Ok(program) => {
                programs.push((candidates.len(), program, f64::INFINITY));
                None
            }
            Err(error @ (Error::Kernel { .. } | Error::Mismatch(_))) => Some(error.to_string()),
            Err(error) => Some(survived(gpu, error)?),
        };
        candidates.push(Candidate {
            strategy: strategy.name,
            sizes: sizes(strategy),
            us: None,
            reason,
        });
    }

    let start = Instant::now();
    for round in 0..*ROUNDS.end() {
        if round >= *ROUNDS.start() && start.elapsed() > patience {
            break;
        }
        let mut fastest = f64::INFINITY;
        for (at, program, best) in &mut programs {
            match program.profile(gpu) {
                Ok(seconds) => *best = seconds.into_iter().fold(*best, f64::min),
                Err(error) => candidates[*at].reason = Some(survived(gpu, error)?),
            }
            fastest = fastest.min(*best);
        }
        programs.retain(|(at, ..)| candidates[*at].reason.is_none());
        for (at, _, best) in &programs {
            candidates[*at].us = Some(*best * 1e6);
        }
        if round >= 1 {
            programs.retain(|(_, _, best)| *best <= HOPELESS * fastest);
        }
    }
    candidates
        .iter_mut()
        .filter(|candidate| candidate.reason.is_some())
        .for_each(|wrong| wrong.us = None);
    let tuned = chosen(&candidates).map(|at| {
        let (adapter, driver) = names(gpu.report());
        let us = |at: usize| candidates[at].us.unwrap_or(f64::INFINITY);
        let first = candidates.iter().position(|candidate| candidate.us.is_some()).unwrap_or(at);
        Tuned {
            adapter,
            driver,
            storage: gpu.capabilities().storage,
            kernel: kernel.name().into(),
            shape: kernel.shape(),
            strategy: candidates[at].strategy.into(),
            sizes: candidates[at].sizes.clone(),
            us: round_to_hundredths(us(at)),
            first_us: round_to_hundredths(us(first)),
            source: fingerprint(&offered),
        }
    });
    Ok(ShapeTuning { what: case.what.clone(), tuned, candidates })
}

/// The error of one candidate as text, if the device still works and others may be right.
fn survived(gpu: &Gpu, error: Error) -> Result<String> {
    match gpu.wait() {
        Ok(()) => Ok(error.to_string()),
        Err(_) => Err(error),
    }
}

fn round_to_hundredths(us: f64) -> f64 {
    (us * 100.0).round() / 100.0
}

/// Index of the fastest candidate, or of the first right one if none is clearly faster.
fn chosen(candidates: &[Candidate]) -> Option<usize> {
    let timed =
        || candidates.iter().enumerate().filter_map(|(at, candidate)| Some((at, candidate.us?)));
    let (first, first_us) = timed().next()?;
    let (fastest, us) = timed().min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(if us < CLEARLY * first_us { fastest } else { first })
}

/// A tensor that a call writes, and its contents before the call as bytes of whole texels.
struct Writable {
    tensor: Tensor,
    before: Vec<u8>,
}

/// Runs the reference once, for all candidates, and returns the contents to restore before each.
fn prepare(gpu: &Gpu, case: &mut Case) -> Vec<Writable> {
    let mut all = vec![];
    for operand in case.kernel.operands() {
        let Some(tensor) = operand.tensor.filter(|_| operand.access != Access::Read) else {
            continue;
        };
        if operand.access == Access::Write {
            // Outputs start with this pattern, so that words that are not written do not look
            // right.
            let words = vec![0x5b5b_5b5b; tensor.words()];
            case.memory.set(&tensor, words);
        }
        let mut before: Vec<u8> = bytemuck::cast_slice(&case.memory.u32(&tensor)).to_vec();
        before.resize(tensor.bytes().max(16) as usize, 0x5b);
        tensor.write(gpu, 0, &before);
        all.push(Writable { tensor, before });
    }
    case.kernel.reference(&mut case.memory);
    all
}

/// Runs one candidate and compares its result; returns its program.
fn check(
    gpu: &Gpu,
    case: &mut Case,
    writable: &[Writable],
    strategy: &Strategy,
) -> Result<Program> {
    for Writable { tensor, before } in writable {
        tensor.write(gpu, 0, before);
    }
    let entry = Entry { label: case.what.clone(), kernel: Arc::clone(&case.kernel) };
    let program =
        Program::compile_entries(gpu, std::slice::from_ref(&entry), |_| strategy.clone())?;
    program.run(gpu);
    match compare_outputs(gpu, &entry, &mut case.memory)?.divergence {
        None => Ok(program),
        Some(wrong) => Err(Error::Mismatch(wrong.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_kept_unless_another_is_clearly_faster() {
        let rows: [(&[Option<f64>], Option<usize>); 6] = [
            (&[], None),
            (&[None, None], None),
            (&[Some(10.0), Some(9.9)], Some(0)),
            (&[Some(10.0), Some(9.0), Some(8.0)], Some(2)),
            (&[None, Some(10.0), Some(20.0)], Some(1)),
            (&[Some(10.0), None, Some(9.0)], Some(2)),
        ];
        for (times, expected) in rows {
            let candidates: Vec<_> = times
                .iter()
                .map(|&us| Candidate { strategy: "s", sizes: BTreeMap::new(), us, reason: None })
                .collect();
            assert_eq!(chosen(&candidates), expected, "{times:?}");
        }
    }
}
