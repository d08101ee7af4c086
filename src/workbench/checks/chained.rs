//! Whether calls that are one dispatch give what they give one by one: see
//! [`crate::gpu::examine_fused`].

use super::doctor::StrategyReport;
use crate::error::Remedy;
use crate::format::DType;
use crate::gpu::{
    Capabilities, Device, FusedReport, Gpu, Pool, Recording, Tensor, Writer, examine_fused,
    fingerprint, render_chain,
};
use crate::kernels::{
    Attention, CacheType, Cases, Gate, GateUp, Input, Matmul, MergePieces, Pieces, QkvRopeCache,
};
use crate::{Error, Result};
use std::sync::Arc;

impl From<&FusedReport> for StrategyReport {
    /// A row like those of kernels' strategies, to be remembered.
    fn from(report: &FusedReport) -> Self {
        let strategy = report.strategy();
        Self {
            kernel: strategy.name,
            strategy: strategy.name,
            storage: report.storage,
            rows: report.runs,
            cases: report.runs,
            passed: report.passed,
            max_error: if report.quarantined { f32::INFINITY } else { 0.0 },
            quarantined: report.quarantined,
            source: fingerprint(std::slice::from_ref(&strategy)),
            reason: report.reason.clone(),
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
fn layers(gpu: &Arc<Gpu>, cases: &mut Cases) -> Result<(Recording, Tensor)> {
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

    // What differs between layers is in pools, as a model's weights and cache are.
    let device = Device::Gpu(Arc::clone(gpu));
    let pool = Pool::new(&device, Writer::Host, [1 << 17; 4 * LAYERS]);
    let mut matrix = |rows, columns| cases.matrix_in(&pool, dtype, [rows, columns]);
    let mut weights = || -> Result<_> {
        let (qkv, output) =
            (matrix((heads + 2 * key_heads) * head, width)?, matrix(width, heads * head)?);
        Ok((qkv, output, matrix(2 * hidden, width)?, matrix(width, hidden)?))
    };
    let weights: Vec<_> = (0..LAYERS).map(|_| weights()).collect::<Result<_>>()?;
    let pool = Pool::new(&device, Writer::Kernels, [1 << 17; 2 * LAYERS]);
    let mut cache = || cases.cache_in(&pool, CacheType::F16, [capacity, key_heads, head], false);
    let caches: Vec<_> = (0..LAYERS).map(|_| cache()).collect::<Result<_>>()?;

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
        let message = "kernel chain: the calls of a layer cannot be stages of one dispatch in \
                       these textures; use buffers"
            .to_owned();
        Err(Error::Unsupported { path: None, message, remedy: Some(Remedy::UseBuffers) })
    })
}

/// Runs layers of one token's step in one dispatch, and call by call. `None` where this device does
/// not chain calls.
///
/// # Errors
/// When the device is lost. A chain that does not compile or is wrong is a finding.
pub fn examine_chains(gpu: &Arc<Gpu>) -> Result<Option<FusedReport>> {
    let (recording, word) = layers(gpu, &mut Cases::new(Device::Gpu(Arc::clone(gpu))))?;
    examine_fused(gpu, &recording, &word)
}
