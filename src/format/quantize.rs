//! Weights into fewer bits, on all cores: models to ship, unlike [`super::blocks::quantise`].
//!
//! Steps and offsets are searched for where the format knows how ([`Format::search`]).

use super::blocks;
use super::dtype::DType;
use super::quant::Format;
use super::tensor_table::TensorInfo;

/// What the matrices of a model are turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantization {
    /// 32-bit floats
    F32,
    /// Half-precision floats
    F16,
    /// 8.5 bits a weight
    Q8_0,
    /// 4.5 bits a weight in blocks of 32
    Q4_0,
    /// 4.5 bits a weight in blocks of 256, with minima; where rows are not whole blocks, Q5_0
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
/// If the weights are not whole blocks, or one is no number or too large for a step of half
/// precision; the message lacks the name of the tensor.
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
