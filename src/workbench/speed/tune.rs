//! Which strategy, in which size, is fastest for a shape: each is held to the reference first, then
//! all are timed in alternation.

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

/// One strategy in one size on a shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The strategy's name.
    pub strategy: &'static str,
    /// Its counts, such as the tokens of a tile.
    pub sizes: BTreeMap<String, u32>,
    /// The best of its runs, microseconds; `None` where it is wrong.
    pub us: Option<f64>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was found of a shape.
#[derive(Debug, Clone, Serialize)]
pub struct ShapeTuning {
    /// The shape as it was asked for, in words.
    pub what: String,
    /// What is to be remembered; `None` where no candidate was right.
    pub tuned: Option<Tuned>,
    /// All that were tried, the one that comes first untuned leading.
    pub candidates: Vec<Candidate>,
}

/// Rounds in which each candidate runs once: as many as the patience allows, between these.
const ROUNDS: std::ops::RangeInclusive<usize> = 5..=200;
/// A candidate that takes so many times the fastest's time after two rounds is not run again.
const HOPELESS: f64 = 1.5;
/// A first choice is kept unless another takes less than this share of its time: timings are not
/// exact.
const CLEARLY: f64 = 0.97;

/// Whether there is more than one way to compute this shape here.
pub fn is_tunable(gpu: &Gpu, kernel: &dyn Kernel) -> bool {
    gpu.tunable(kernel).len() > 1
}

/// Seconds the reference of a call will take, roughly: plain loops do about 10^9 operations a
/// second.
pub fn reference_seconds(kernel: &dyn Kernel, context: usize) -> f64 {
    kernel.cost(context).operations as f64 * 1e-9
}

/// Checks and times every strategy of a call in every size, for about `patience` beyond what the
/// checks take.
///
/// # Errors
/// When the device is lost. What one candidate does to a device that answers afterwards is its own
/// finding.
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

/// What one candidate did to a device that still answers; the others may be right all the same.
fn survived(gpu: &Gpu, error: Error) -> Result<String> {
    match gpu.wait() {
        Ok(()) => Ok(error.to_string()),
        Err(_) => Err(error),
    }
}

fn round_to_hundredths(us: f64) -> f64 {
    (us * 100.0).round() / 100.0
}

/// The fastest candidate, or the first right one where none is clearly faster.
fn chosen(candidates: &[Candidate]) -> Option<usize> {
    let timed =
        || candidates.iter().enumerate().filter_map(|(at, candidate)| Some((at, candidate.us?)));
    let (first, first_us) = timed().next()?;
    let (fastest, us) = timed().min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(if us < CLEARLY * first_us { fastest } else { first })
}

/// A tensor that a call writes, and what it holds before, as bytes of whole texels.
struct Writable {
    tensor: Tensor,
    before: Vec<u8>,
}

/// Computes the reference once, for all candidates; gives what is to be put back before each.
fn prepare(gpu: &Gpu, case: &mut Case) -> Vec<Writable> {
    let mut all = vec![];
    for operand in case.kernel.operands() {
        let Some(tensor) = operand.tensor.filter(|_| operand.access != Access::Read) else {
            continue;
        };
        if operand.access == Access::Write {
            // A word that is not written must not look right.
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

/// Runs one candidate and compares; gives its program.
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
