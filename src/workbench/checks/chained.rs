//! Whether calls that are one dispatch give what they give one by one: see [`crate::gpu`]'s chains.

use super::doctor::StrategyReport;
use crate::format::DType;
use crate::gpu::{
    Access, Capabilities, Device, Gpu, Program, Readback, Recording, Runs, StorageKind, Tensor,
    chain_as_strategy, fingerprint, render_chain,
};
use crate::kernels::{
    Attention, CacheType, Cases, Gate, GateUp, Input, Matmul, MergePieces, Pieces, QkvRopeCache,
};
use crate::{Error, Result};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs of a chain. Threads that meet in the wrong order do so now and then only.
const RUNS: usize = 32;

/// After a run in which threads missed each other: what disturbed them may pass.
const BREATH: Duration = Duration::from_millis(5);

/// What was found of calls as one dispatch.
#[derive(Debug, Clone, Serialize)]
pub struct ChainReport {
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

impl ChainReport {
    /// The report in the form of a strategy's, to be remembered among them.
    pub fn as_strategy(&self) -> StrategyReport {
        let strategy = chain_as_strategy();
        StrategyReport {
            kernel: strategy.name,
            strategy: strategy.name,
            storage: self.storage,
            rows: self.runs,
            cases: self.runs,
            passed: self.passed,
            max_error: if self.quarantined { f32::INFINITY } else { 0.0 },
            quarantined: self.quarantined,
            source: fingerprint(std::slice::from_ref(&strategy)),
            reason: self.reason.clone(),
        }
    }
}

/// Width, heads, key heads, head, inner width, positions before: of a layer.
const LAYER: [usize; 6] = [192, 6, 2, 32, 512, 70];

/// Layers of it, and calls of each.
const LAYERS: usize = 2;
const CALLS: usize = 6;

/// Layers of one token of a small model, as `model::forward` records them, but that both read
/// the same x, for calls must give the same when they are run again. Gives a word that they leave
/// alone, too.
fn layers(gpu: &Gpu, cases: &mut Cases) -> Result<(Recording, Tensor)> {
    let [width, heads, key_heads, head, hidden, position] = LAYER;
    let dtype = DType::Q4_1;
    let capacity = (position + 1usize).next_multiple_of(64);
    let (x, gain) = (cases.filled("x", &[1, width])?, cases.filled("gain", &[width])?);
    let step = cases.words("step", &[position as u32])?;
    let [q, attended] = ["q", "attended"].map(|name| cases.empty(name, &[1, heads * head]));
    let (q, attended) = (q?, attended?);
    let partial = cases.empty("partial", &[2, heads * head])?;
    let pieces = Pieces { count: 2, stats: cases.empty("stats", &[2, heads, 4])? };
    let [middle, y] = ["middle", "y"].map(|name| cases.empty(name, &[1, width]));
    let (middle, y, gated) = (middle?, y?, cases.empty("gated", &[1, hidden])?);
    let rope = cases.filled("rope", &[capacity, head])?;

    // What differs between layers is in arenas, as a model's weights and cache are.
    let arena = gpu.open_arena([1 << 17; 4 * LAYERS], false);
    let mut matrix = |rows, columns| cases.matrix(dtype, rows, columns);
    let mut weights = || -> Result<_> {
        let (qkv, output) =
            (matrix((heads + 2 * key_heads) * head, width)?, matrix(width, heads * head)?);
        Ok((qkv, output, matrix(2 * hidden, width)?, matrix(width, hidden)?))
    };
    let weights: Vec<_> = (0..LAYERS).map(|_| weights()).collect::<Result<_>>()?;
    drop(arena);
    let arena = gpu.open_arena([1 << 17; 2 * LAYERS], true);
    let mut cache = || cases.cache(CacheType::F16, [capacity, key_heads, head], false);
    let caches: Vec<_> = (0..LAYERS).map(|_| cache()).collect::<Result<_>>()?;
    drop(arena);

    let mut recording = Recording::default();
    for (layer, ((qkv, output, gate_up, down), cache)) in
        weights.into_iter().zip(caches).enumerate()
    {
        let first = recording.entries().len();
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (step, rope, q) = (step.clone(), rope.clone(), q.clone());
        let input = Input::normed(&x, &gain, 1e-5, 1);
        let (step_, cache_, q_) = (step.clone(), cache.clone(), q.clone());
        recording.push(
            name("attn_qkv"),
            QkvRopeCache { input, w: qkv, step: step_, rope, first_row: 0, q: q_, cache: cache_ },
        );
        let (scale, y_, kept) = (1.0 / (head as f32).sqrt(), partial.clone(), Some(pieces.clone()));
        recording.push(
            name("attention"),
            Attention {
                step,
                q,
                cache,
                y: y_,
                pieces: kept,
                tokens: 1,
                scale,
                window: None,
                cap: None,
            },
        );
        let (x_, pieces, y_) = (partial.clone(), pieces.clone(), attended.clone());
        recording.push(name("merge_pieces"), MergePieces { x: x_, pieces, y: y_ });
        let (input, residual, y_) = (Input::plain(&attended, 1), Some(x.clone()), middle.clone());
        recording.push(name("attn_output"), Matmul { input, w: output, residual, y: y_ });
        let input = Input::normed(&middle, &gain, 1e-5, 1);
        recording.push(
            name("ffn_gate_up"),
            GateUp { input, w: gate_up, y: gated.clone(), gate: Gate::Silu },
        );
        let (input, residual, y) = (Input::plain(&gated, 1), Some(middle.clone()), y.clone());
        recording.push(name("ffn_down"), Matmul { input, w: down, residual, y });
        recording.block_from(first);
    }
    Ok((recording, step))
}

/// The text of one of these layers as one dispatch, for an adapter with two cores where this one
/// does not chain calls.
///
/// # Errors
/// When the device cannot hold the layer, or the text does not render.
pub fn chain_text(gpu: &Arc<Gpu>) -> Result<String> {
    let (recording, _) = layers(gpu, &mut Cases::new(Device::Gpu(Arc::clone(gpu))))?;
    let can = Capabilities { software: true, subgroup: 8, ..gpu.capabilities().clone() };
    let layer = &recording.entries()[..CALLS];
    let strategies = layer.iter().map(|entry| entry.kernel.strategies(&can).swap_remove(0));
    let workers =
        std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 16) as u32);
    render_chain(layer, strategies.collect(), workers).unwrap_or_else(|| {
        let message =
            "the calls of a layer cannot be stages of one dispatch in these textures; use --storage buffer";
        Err(Error::Kernel { kernel: "chain".into(), message: message.into() })
    })
}

/// Runs layers of one token's step in one dispatch, and call by call. `None` where this device does
/// not chain calls.
///
/// # Errors
/// When the device is lost. A chain that does not compile or is wrong is a finding.
pub fn examine_chains(gpu: &Arc<Gpu>) -> Result<Option<ChainReport>> {
    let (recording, word) = layers(gpu, &mut Cases::new(Device::Gpu(Arc::clone(gpu))))?;
    examine_chain(gpu, &recording, &word)
}

/// What all calls of `recording` wrote, as words, one tensor after the other.
fn written(gpu: &Gpu, recording: &Recording) -> Result<Vec<Vec<u32>>> {
    outputs(recording).map(|tensor| tensor.read(gpu)).collect()
}

fn outputs(recording: &Recording) -> impl Iterator<Item = Tensor> + '_ {
    let operands = recording.entries().iter().flat_map(|entry| entry.kernel.operands());
    operands.filter(|operand| operand.access == Access::Write).filter_map(|operand| operand.tensor)
}

/// Runs a recording that marks blocks in fused dispatches, and call by call, as [`examine_chains`]
/// does with its own; `word` is any uniform tensor. Each call must compute the same again from what
/// it reads.
///
/// # Errors
/// When the device is lost.
pub fn examine_chain(
    gpu: &Gpu,
    recording: &Recording,
    word: &Tensor,
) -> Result<Option<ChainReport>> {
    let readback = Readback::new(gpu, word, 1);
    let timed = |program: &Program| -> Result<(Runs, f64)> {
        let start = Instant::now();
        let runs = program.run_and_read(gpu, 1, word, &readback)?;
        Ok((runs, start.elapsed().as_secs_f64() * 1e6))
    };
    let single = Program::compile(gpu, recording)?;
    let mut report = ChainReport {
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
        report.single_us = report.single_us.min(timed(&single)?.1);
    }
    let expected = written(gpu, recording)?;
    let chained = match Program::compile_fused(gpu, recording) {
        Ok(program) if !program.is_chained() => return Ok(None),
        Ok(program) => program,
        Err(error) => {
            gpu.wait()?;
            (report.quarantined, report.reason) = (true, Some(error.to_string()));
            return Ok(Some(report));
        }
    };
    report.dispatches = chained.dispatches();
    for run in 0..RUNS {
        // A word that is not written must not look right.
        for (tensor, words) in outputs(recording).zip(&before) {
            let mut bytes: Vec<u8> = bytemuck::cast_slice(words).to_vec();
            bytes.resize(bytes.len().next_multiple_of(16), 0);
            tensor.write(gpu, 0, &bytes);
        }
        let (runs, us) = timed(&chained)?;
        if runs.after.is_empty() {
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
