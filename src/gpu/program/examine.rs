//! Whether blocks that are one dispatch give what their calls give one by one.

use super::executor::Executor;
use super::program::Program;
use crate::Result;
use crate::gpu::adapter::storage::StorageKind;
use crate::gpu::device::device::Gpu;
use crate::gpu::kernel::kernel::{Access, Strategy};
use crate::gpu::kernel::recording::Recording;
use crate::gpu::software::chain;
use crate::gpu::tensor::tensor::Tensor;
use crate::platform::Instant;
use serde::Serialize;
use std::time::Duration;

/// Runs of an examination. Threads that meet in the wrong order do so now and then only.
const RUNS: usize = 32;

/// After a run in which threads missed each other: what disturbed them may pass.
const BREATH: Duration = Duration::from_millis(5);

/// What was found of blocks as one dispatch.
#[derive(Debug, Clone, Serialize)]
pub struct FusedReport {
    /// Where the tensors were.
    pub storage: StorageKind,
    /// Calls of the recording.
    pub calls: usize,
    /// Dispatches they were.
    pub dispatches: usize,
    /// Runs.
    pub runs: usize,
    /// Those with the same bits as the calls one by one.
    pub passed: usize,
    /// Those in which threads waited for each other beyond the bound; a model then computes the
    /// step call by call.
    pub missed: usize,
    /// Not to be used on this adapter with this driver: a run was wrong. Threads that miss each
    /// other are no harm: what they should have done is done again, and on a machine with other
    /// work it may be all of them.
    pub quarantined: bool,
    /// The best run, microseconds; `None` where none went well.
    pub us: Option<f64>,
    /// The best run of the calls one by one, microseconds.
    pub single_us: f64,
    /// The first thing that went wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl FusedReport {
    /// What a quarantine knows fused blocks by.
    pub fn strategy(&self) -> Strategy {
        chain::as_strategy()
    }
}

fn microseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

/// What all calls of `recording` wrote, as words, one tensor after the other.
fn written(gpu: &Gpu, recording: &Recording) -> Result<Vec<Vec<u32>>> {
    outputs(recording).map(|tensor| tensor.read(gpu)).collect()
}

fn outputs(recording: &Recording) -> impl Iterator<Item = Tensor> + '_ {
    let operands = recording.entries().iter().flat_map(|entry| entry.kernel.operands());
    operands.filter(|operand| operand.access == Access::Write).filter_map(|operand| operand.tensor)
}

/// Runs a recording with its blocks as one dispatch each, and call by call. `word` is any uniform
/// tensor. Each call must compute the same again from what it reads. `None` where this device fuses
/// no block.
///
/// # Errors
/// When the device is lost. Blocks that do not compile or are wrong are a finding.
pub fn examine_fused(
    gpu: &Gpu,
    recording: &Recording,
    word: &Tensor,
) -> Result<Option<FusedReport>> {
    let single = Program::compile(gpu, recording)?;
    let mut report = FusedReport {
        storage: gpu.capabilities().storage,
        calls: single.dispatches(),
        dispatches: 1,
        runs: RUNS,
        passed: 0,
        missed: 0,
        quarantined: false,
        us: None,
        single_us: f64::INFINITY,
        reason: None,
    };
    let before = written(gpu, recording)?;
    for _ in 0..8 {
        let start = Instant::now();
        single.run(gpu);
        word.read(gpu)?;
        report.single_us = report.single_us.min(microseconds(start));
    }
    let expected = written(gpu, recording)?;
    let executor = match Executor::compile(gpu, recording, std::slice::from_ref(word), 1) {
        Ok(executor) => executor,
        Err(error) => {
            gpu.wait()?;
            (report.quarantined, report.reason) = (true, Some(error.to_string()));
            return Ok(Some(report));
        }
    };
    let Some(fused) = executor.fused() else { return Ok(None) };
    report.dispatches = executor.dispatches();
    for run in 0..RUNS {
        // What is not written must not look right.
        for (tensor, words) in outputs(recording).zip(&before) {
            let mut bytes: Vec<u8> = bytemuck::cast_slice(words).to_vec();
            bytes.resize(bytes.len().next_multiple_of(16), 0);
            tensor.write(gpu, 0, &bytes);
        }
        let start = Instant::now();
        let (_, went_well) = executor.attempt(gpu, Some(fused), 1)?;
        let us = microseconds(start);
        if went_well == 0 {
            report.missed += 1;
            std::thread::sleep(BREATH);
            continue;
        }
        let found = written(gpu, recording)?;
        match found.iter().zip(&expected).position(|(found, expected)| found != expected) {
            None => {
                report.passed += 1;
                report.us = Some(report.us.unwrap_or(f64::INFINITY).min(us));
            }
            Some(at) if report.reason.is_none() => {
                let tensor = outputs(recording).nth(at);
                let label = tensor.as_ref().map_or("", |tensor| tensor.label());
                report.reason =
                    Some(format!("{label} has other bits than call by call in run {}", run + 1));
            }
            Some(_) => {}
        }
    }
    report.quarantined = report.reason.is_some();
    Ok(Some(report))
}
