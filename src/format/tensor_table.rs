//! The tensor table of a GGUF file: names, shapes, types, and where the bytes lie.
//!
//! Specification: `docs/gguf.md` of ggml-org/ggml, "gguf_tensor_info_t".

use super::cursor::{Cursor, Parsed, shown};
use super::dtype::{DType, ggml_type_name};

/// ggml's bound on the axes of a tensor.
const MAX_AXES: u32 = 4;

/// The least bytes an entry takes: the length of the name, axes, one axis, type, offset.
const MIN_ENTRY_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// GGUF's name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// Sizes in elements, slowest axis first (ggml lists them in reverse): `[rows, columns]`. 1 to
    /// 4 axes, none 0. In GGUF files the first of several is not 1: a matrix of one row has one
    /// axis.
    pub shape: Vec<u64>,
    /// How the elements are stored; the last axis is whole blocks.
    pub dtype: DType,
    /// The first byte, counted from the start of the file.
    pub offset: u64,
    /// Which of the model's files it is in: 0 unless it has several.
    pub file: usize,
    /// Size in bytes.
    pub bytes: u64,
}

impl TensorInfo {
    /// The number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product() // checked when the table was read
    }
}

/// Reads `count` entries; their offsets are still relative to the data section, which starts after
/// the table.
pub(super) fn read_entries(cursor: &mut Cursor, count: u64) -> Parsed<Vec<TensorInfo>> {
    let count = cursor.expect_room(count, MIN_ENTRY_BYTES, "tensors")?;
    let mut tensors = Vec::with_capacity(count);
    for i in 0..count {
        let at = cursor.position();
        let name =
            cursor.string().map_err(|e| format!("the name of tensor {i} (at byte {at}): {e}"))?;
        tensors.push(read_entry(cursor, name).map_err(|e| format!("tensor {}: {e}", shown(name)))?);
    }
    Ok(tensors)
}

fn read_entry(cursor: &mut Cursor, name: &str) -> Parsed<TensorInfo> {
    let axes = cursor.u32()?;
    if !(1..=MAX_AXES).contains(&axes) {
        return Err(format!(
            "it has {axes} axes, allowed are 1 to {MAX_AXES}; the file is damaged"
        ));
    }
    let mut shape = (0..axes).map(|_| cursor.u64()).collect::<Result<Vec<u64>, _>>()?;
    shape.reverse();
    if shape.contains(&0) {
        return Err(format!("its shape {shape:?} has an axis of size 0; the file is damaged"));
    }
    let type_id = cursor.u32()?;
    let dtype = DType::from_ggml(type_id).ok_or_else(|| {
        format!(
            "it has type {}, which is not supported; supported are {}; choose or convert to \
             another quantisation",
            ggml_type_name(type_id),
            DType::supported()
        )
    })?;
    // Which axes of 1 are written at the slow end is chance: ggml does not count them.
    let ones = shape.iter().take(shape.len() - 1).take_while(|&&axis| axis == 1).count();
    shape.drain(..ones);
    let row = shape[shape.len() - 1];
    if !row.is_multiple_of(dtype.block_len() as u64) {
        let block = dtype.block_len();
        return Err(format!(
            "its rows of {row} elements are not whole {dtype} blocks of {block}; the file is \
             damaged"
        ));
    }
    let bytes = shape.iter().try_fold(1u64, |product, axis| product.checked_mul(*axis));
    let bytes = bytes.and_then(|elements| dtype.bytes_for(elements));
    let bytes = bytes
        .ok_or_else(|| format!("the size of its shape {shape:?} overflows; the file is damaged"))?;
    Ok(TensorInfo { name: name.to_owned(), shape, dtype, offset: cursor.u64()?, file: 0, bytes })
}

/// Makes offsets absolute, and checks that each tensor is aligned, inside the file, and alone on
/// its bytes.
pub(super) fn place(
    tensors: &mut [TensorInfo],
    data_start: u64,
    alignment: u64,
    file_bytes: u64,
) -> Parsed<()> {
    for tensor in tensors.iter_mut() {
        if !tensor.offset.is_multiple_of(alignment) {
            return Err(format!(
                "tensor {}: its offset {} is not a multiple of the alignment {alignment}; the \
                 file is damaged",
                shown(&tensor.name),
                tensor.offset
            ));
        }
        let start = tensor.offset.checked_add(data_start);
        let end = start.and_then(|start| start.checked_add(tensor.bytes));
        match (start, end) {
            (Some(start), Some(end)) if end <= file_bytes => tensor.offset = start,
            _ => {
                return Err(format!(
                    "tensor {}: its {} bytes at offset {} of the data (which starts at byte \
                     {data_start}) reach past \
                     the end of the file at byte {file_bytes}; it is damaged or was not fully \
                     downloaded, fetch it \
                     again",
                    shown(&tensor.name),
                    tensor.bytes,
                    tensor.offset
                ));
            }
        }
    }
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_unstable_by_key(|tensor| tensor.offset);
    match order.windows(2).find(|pair| pair[0].offset + pair[0].bytes > pair[1].offset) {
        None => Ok(()),
        Some(pair) => Err(format!(
            "tensors {} and {} overlap at byte {}; the file is damaged",
            shown(&pair[0].name),
            shown(&pair[1].name),
            pair[1].offset
        )),
    }
}
