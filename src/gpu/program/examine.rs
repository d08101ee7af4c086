//! Checks whether blocks fused into one dispatch give the same bits as their calls run one by one.

use super::executor::Executor;
use super::program::Program;
use crate::Result;
use crate::gpu::adapter::storage::StorageKind;
use crate::gpu::device::device::Gpu;
use crate::gpu::kernel::kernel::{Access, Strategy};
use crate::gpu::kernel::recording::Recording;
use crate::gpu::software::chain;
use crate::gpu::tensor::tensor::Tensor;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Runs of an examination: several, because errors in the order of threads are rare.
const RUNS: usize = 32;

/// Pause after a run whose threads missed each other, because the disturbance may pass.
const BREATH: Duration = Duration::from_millis(5);

/// The result of examining fused blocks.
#[derive(Debug, Clone, Serialize)]
pub struct FusedReport {
    /// Where the tensors were stored.
    pub storage: StorageKind,
    /// Calls in the recording.
    pub calls: usize,
    /// Dispatches of the fused program.
    pub dispatches: usize,
    /// Number of runs.
    pub runs: usize,
    /// Runs that gave the same bits as the calls one by one.
    pub passed: usize,
    /// Runs whose threads waited for each other beyond the bound; a model then computes the step
    /// call by call.
    pub missed: usize,
    /// Whether fused blocks must not be used with this adapter and driver, because a run was wrong.
    /// Runs whose threads missed each other do not count as wrong: they are repeated, and on a busy
    /// machine they may be all runs.
    pub quarantined: bool,
    /// The shortest run in microseconds; `None` if none succeeded.
    pub us: Option<f64>,
    /// The shortest run of the calls one by one, in microseconds.
    pub single_us: f64,
    /// A description of the first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl FusedReport {
    /// The strategy under which a quarantine lists fused blocks.
    pub fn strategy(&self) -> Strategy {
        chain::as_strategy()
    }
}

fn microseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

/// The words that the calls of `recording` wrote, for each tensor.
fn written(gpu: &Gpu, recording: &Recording) -> Result<Vec<Vec<u32>>> {
    outputs(recording).map(|tensor| tensor.read(gpu)).collect()
}

fn outputs(recording: &Recording) -> impl Iterator<Item = Tensor> + '_ {
    let operands = recording.entries().iter().flat_map(|entry| entry.kernel.operands());
    operands.filter(|operand| operand.access == Access::Write).filter_map(|operand| operand.tensor)
}

/// Runs a recording fused and call by call, and compares the two. `word` is any uniform tensor.
/// Every call must give the same result when it is run again. Returns `None` if this device fuses
/// no block.
///
/// # Errors
/// When the device is lost. Blocks that do not compile or are wrong are reported in the result.
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
        // Clear the outputs, so that values that are not written do not look right.
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
