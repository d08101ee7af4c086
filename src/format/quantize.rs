//! Weights into fewer bits, on all cores: models to ship, unlike [`super::blocks::quantise`].
//!
//! Steps and offsets are searched for: a few candidates around the plain choice are rounded with,
//! each gets the least-squares step of its levels, and the one with the smallest squared error is
//! taken, as llama.cpp does for its K types. There larger weights count more; for the symmetric
//! types that was measured to be worse.

use super::blocks::{self, bounds, largest, nearest};
use super::dtype::DType;
use super::tensor_table::TensorInfo;

/// What the matrices of a model are turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Quantization {
    /// 32-bit floats
    F32,
    /// Half-precision floats
    F16,
    /// 8.5 bits a weight
    #[value(name = "q8_0")]
    Q8_0,
    /// 4.5 bits a weight in blocks of 32
    #[value(name = "q4_0")]
    Q4_0,
    /// 4.5 bits a weight in blocks of 256, with minima; where rows are not whole blocks, Q5_0
    #[value(name = "q4_k")]
    Q4K,
}

/// The largest weight whose step is a finite half in every type.
const LARGEST_WEIGHT: f32 = 65504.0;

impl Quantization {
    /// The type it is named for.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Q8_0 => DType::Q8_0,
            Self::Q4_0 => DType::Q4_0,
            Self::Q4K => DType::Q4K,
        }
    }

    /// `general.file_type` of a GGUF file, after ggml's `enum llama_ftype`.
    pub fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
            Self::Q4_0 => 2,
            Self::Q4K => 14,
        }
    }

    /// What a tensor becomes. Vectors, norms, positions and routers stay as they are: they are
    /// small and matter much. The matrix of the logits (`is_output`) keeps 8 bits where the others
    /// get 4.
    pub fn for_tensor(self, tensor: &TensorInfo, is_output: bool) -> DType {
        let TensorInfo { name, shape, dtype, .. } = tensor;
        let kept = ["_norm", "position_embd", "token_types", "ffn_gate_inp"];
        let is_matrix = shape.len() >= 2
            && name.ends_with(".weight")
            && !kept.iter().any(|part| name.contains(part));
        let columns = shape.last().copied().unwrap_or(0);
        let fits = |dtype: DType| columns.is_multiple_of(dtype.block_len() as u64);
        let wanted = match self.dtype() {
            DType::Q4_0 | DType::Q4K if is_output => DType::Q8_0,
            DType::Q4K if !fits(DType::Q4K) => DType::Q5_0,
            dtype => dtype,
        };
        if is_matrix && fits(wanted) { wanted } else { *dtype }
    }
}

/// The name of the matrix of the logits: the table of embeddings where the model has no other.
pub fn output(tensors: &[TensorInfo]) -> &'static str {
    let untied = tensors.iter().any(|tensor| tensor.name == "output.weight");
    if untied { "output.weight" } else { "token_embd.weight" }
}

/// What each tensor of a model becomes.
pub fn plan(quantization: Quantization, tensors: &[TensorInfo]) -> Vec<DType> {
    let output = output(tensors);
    tensors.iter().map(|tensor| quantization.for_tensor(tensor, tensor.name == output)).collect()
}

/// Weights turned at a time by one thread.
const PIECE: usize = 1 << 16;

/// Turns whole rows stored as `from` into `to`, on all cores. Rows that are of that type already
/// stay as they are.
///
/// # Errors
/// If the bytes are not whole blocks of `from`, the weights not whole blocks of `to`, or a weight
/// is no number or too large for a step of half precision; the message lacks the name of the
/// tensor.
pub fn convert(from: DType, bytes: &[u8], to: DType) -> Result<Vec<u8>, String> {
    if from == to {
        return Ok(bytes.to_vec());
    }
    let weights = bytes.len() / from.block_bytes() * from.block_len();
    if !bytes.len().is_multiple_of(from.block_bytes()) || !weights.is_multiple_of(to.block_len()) {
        return Err(format!(
            "{} bytes of {from} are not whole blocks of it and of {to}",
            bytes.len()
        ));
    }
    let piece_bytes = PIECE / from.block_len() * from.block_bytes();
    let pieces = bytes.len().div_ceil(piece_bytes).max(1);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(pieces);
    let share = pieces.div_ceil(threads) * piece_bytes;
    let done: Vec<Result<Vec<u8>, String>> = std::thread::scope(|scope| {
        let turn = |bytes: &[u8]| -> Result<Vec<u8>, String> {
            let mut out = vec![];
            let mut values = vec![];
            for piece in bytes.chunks(piece_bytes) {
                values.resize(piece.len() / from.block_bytes() * from.block_len(), 0.0);
                blocks::dequantise(from, piece, &mut values)?;
                out.extend(quantize(to, &values)?);
            }
            Ok(out)
        };
        let handles: Vec<_> =
            bytes.chunks(share).map(|bytes| scope.spawn(move || turn(bytes))).collect();
        let ended = |_| Err("a thread ended early".to_owned());
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(ended)).collect()
    });
    let mut out = Vec::with_capacity(weights / to.block_len() * to.block_bytes());
    for part in done {
        out.extend(part?);
    }
    Ok(out)
}

/// Turns weights into blocks of `dtype` on this thread.
///
/// # Errors
/// As [`convert`].
pub fn quantize(dtype: DType, weights: &[f32]) -> Result<Vec<u8>, String> {
    let len = dtype.block_len();
    if !weights.len().is_multiple_of(len) {
        return Err(format!("{} weights are not whole {dtype} blocks of {len}", weights.len()));
    }
    let wrong = |w: &&f32| dtype != DType::F32 && (w.is_nan() || w.abs() > LARGEST_WEIGHT);
    if let Some(wrong) = weights.iter().find(wrong) {
        return Err(format!("a weight is {wrong}, which {dtype} cannot hold"));
    }
    let mut bytes = Vec::with_capacity(weights.len() / len * dtype.block_bytes());
    for block in weights.chunks_exact(len) {
        match dtype {
            DType::Q4_0 => {
                blocks::put_symmetric(dtype, &mut bytes, block, symmetric_step(block, 8))
            }
            DType::Q5_0 => {
                blocks::put_symmetric(dtype, &mut bytes, block, symmetric_step(block, 16))
            }
            DType::Q4K => {
                let (mut steps, mut mins) = ([0.0; 8], [0.0; 8]);
                for (g, group) in block.chunks_exact(32).enumerate() {
                    (steps[g], mins[g]) = step_and_min(group, 15);
                }
                blocks::put_k_with_mins(dtype, &mut bytes, block, &steps, &mins);
            }
            _ => bytes.extend(blocks::quantise(dtype, block)),
        }
    }
    Ok(bytes)
}

/// The step d of weights `d * q` with q from -half to half - 1.
fn symmetric_step(block: &[f32], half: i32) -> f32 {
    let extreme = largest(block);
    if extreme == 0.0 {
        return 0.0;
    }
    let (mut step, mut most) = (extreme / -half as f32, 0.0);
    for candidate in -9..=9 {
        let inverse = -(half as f32 + 0.1 * candidate as f32) / extreme;
        let (mut xq, mut qq) = (0.0, 0.0);
        for &x in block {
            let q = nearest(x * inverse, -half, half - 1) as f32;
            xq += x * q;
            qq += q * q;
        }
        // With the step xq / qq the error is Σ x² - xq² / qq.
        if qq > 0.0 && xq * xq > most * qq {
            (step, most) = (xq / qq, xq * xq / qq);
        }
    }
    step
}

/// Step d and minimum m >= 0 of weights `d * q - m` with q from 0 to `top`.
fn step_and_min(group: &[f32], top: i32) -> (f32, f32) {
    let (low, high) = bounds(group);
    let low = low.min(0.0);
    if high <= low {
        return (0.0, -low);
    }
    let mean_square = group.iter().map(|x| x * x).sum::<f32>() / group.len() as f32;
    let weights = group.iter().map(|x| mean_square.sqrt() + x.abs());
    let (mut best, mut least) = (((high - low) / top as f32, -low), f32::INFINITY);
    for candidate in -10..=10 {
        let inverse = (top as f32 + 0.1 * candidate as f32) / (high - low);
        let level = |x: f32| nearest((x - low) * inverse, 0, top) as f32;
        let (mut w_, mut wx, mut wq, mut wxq, mut wqq) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (&x, w) in group.iter().zip(weights.clone()) {
            let q = level(x);
            w_ += w;
            wx += w * x;
            wq += w * q;
            wxq += w * x * q;
            wqq += w * q * q;
        }
        let determinant = w_ * wqq - wq * wq;
        if determinant <= 0.0 || wqq <= 0.0 {
            continue;
        }
        let (mut step, mut offset) =
            ((w_ * wxq - wx * wq) / determinant, (wqq * wx - wq * wxq) / determinant);
        if offset > 0.0 {
            (step, offset) = (wxq / wqq, 0.0);
        }
        let error = |(x, w): (&f32, f32)| w * (step * level(*x) + offset - x).powi(2);
        let error: f32 = group.iter().zip(weights.clone()).map(error).sum();
        if error < least && step > 0.0 {
            (best, least) = ((step, -offset), error);
        }
    }
    best
}
