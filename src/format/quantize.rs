//! Quantises weights on all cores, for models to distribute, unlike [`super::blocks::quantise`].
//!
//! Steps and offsets are searched for if the format supports it ([`Format::search`]).

use super::blocks;
use super::dtype::DType;
use super::quant::Format;
use super::tensor_table::TensorInfo;
use crate::platform::on_all_cores;

/// The target type of a model's matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantization {
    /// 32-bit floats.
    F32,
    /// Half-precision floats.
    F16,
    /// 8.5 bits for each weight.
    Q8_0,
    /// 4.5 bits for each weight in blocks of 32.
    Q4_0,
    /// 4.5 bits for each weight in blocks of 256, with minima; Q5_0 if rows are not whole blocks.
    Q4K,
}

/// The largest weight for which the step is a finite half in every type.
const LARGEST_WEIGHT: f32 = 65504.0;

impl Quantization {
    /// The tensor type with the same name.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Q8_0 => DType::Q8_0,
            Self::Q4_0 => DType::Q4_0,
            Self::Q4K => DType::Q4K,
        }
    }

    /// The value of `general.file_type` in a GGUF file, from ggml's `enum llama_ftype`.
    pub fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
            Self::Q4_0 => 2,
            Self::Q4K => 14,
        }
    }

    /// The type of a tensor after quantisation. Vectors, norms, positions and routers keep theirs,
    /// because they are small and affect quality most. The output matrix (`is_output`) keeps 8 bits
    /// where others get 4.
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

/// The name of the output matrix: the embedding table if there is no separate one.
pub fn output(tensors: &[TensorInfo]) -> &'static str {
    let untied = tensors.iter().any(|tensor| tensor.name == "output.weight");
    if untied { "output.weight" } else { "token_embd.weight" }
}

/// The types of a model's tensors after quantisation.
pub fn plan(quantization: Quantization, tensors: &[TensorInfo]) -> Vec<DType> {
    let output = output(tensors);
    tensors.iter().map(|tensor| quantization.for_tensor(tensor, tensor.name == output)).collect()
}

/// Weights converted in one step by a thread.
const PIECE: usize = 1 << 16;

/// Converts whole rows from type `from` to type `to`, on all cores. Rows that already have that
/// type are copied.
///
/// # Errors
/// If the bytes are not whole blocks of `from`, the weights are not whole blocks of `to`, or a
/// weight is not finite or too large for a half-precision step. The message does not name the
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
    // Whole rows of blocks, so that each piece has an end of its own.
    let piece = |number: usize| -> Result<Vec<u8>, String> {
        let first = number * piece_bytes;
        let piece = &bytes[first..bytes.len().min(first + piece_bytes)];
        let mut values = vec![0.0; piece.len() / from.block_bytes() * from.block_len()];
        blocks::dequantise(from, piece, &mut values)?;
        quantize(to, &values)
    };
    let mut done = vec![vec![]; pieces];
    on_all_cores(pieces, piece, |number, part| {
        done[number] = part?;
        Ok::<_, String>(())
    })?;
    let mut out = Vec::with_capacity(weights / to.block_len() * to.block_bytes());
    for part in done {
        out.extend(part);
    }
    Ok(out)
}

/// Quantises weights into blocks of `dtype` on this thread.
///
/// # Errors
/// If the weights are not whole blocks, or a weight is not finite or too large for a half-precision
/// step. The message does not name the tensor.
pub fn quantize(dtype: DType, weights: &[f32]) -> Result<Vec<u8>, String> {
    let len = dtype.block_len();
    if !weights.len().is_multiple_of(len) {
        return Err(format!("{} weights are not whole {dtype} blocks of {len}", weights.len()));
    }
    let wrong = |w: &&f32| dtype != DType::F32 && (w.is_nan() || w.abs() > LARGEST_WEIGHT);
    if let Some(wrong) = weights.iter().find(wrong) {
        return Err(format!("a weight is {wrong}, which {dtype} cannot hold"));
    }
    let Format { quantise, search, .. } = dtype.format();
    let mut bytes = Vec::with_capacity(weights.len() / len * dtype.block_bytes());
    for block in weights.chunks_exact(len) {
        search.unwrap_or(*quantise)(block, &mut bytes);
    }
    Ok(bytes)
}
