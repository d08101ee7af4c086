//! Conversion between stored weights and `f32` on the host, in plain loops: the reference for every
//! kernel that reads blocks. The contents of a block are defined by its [`Format`].

use super::quant::Format;

/// Decodes whole blocks of `format` into `out`, one `f32` for each weight.
///
/// # Errors
/// If `bytes` is not exactly the size of `out.len()` weights. The message does not name the tensor.
pub fn dequantise(format: impl AsRef<Format>, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
    let format = format.as_ref();
    let &Format { name, block_len, block_bytes, .. } = format;
    let due = format.bytes_for(out.len() as u64);
    if due != Some(bytes.len() as u64) {
        let (weights, got) = (out.len(), bytes.len());
        return Err(match due {
            Some(due) => {
                format!("{weights} weights of type {name} take {due} bytes, but there are {got}")
            }
            None => format!("{weights} weights are not whole {name} blocks of {block_len}"),
        });
    }
    let blocks = bytes.chunks_exact(block_bytes).zip(out.chunks_exact_mut(block_len));
    blocks.for_each(|(bytes, out)| (format.dequantise)(bytes, out));
    Ok(())
}

/// Encodes weights into blocks of `format`, each rounded to the nearest value that its block can
/// hold. There is no search for better steps, so this makes weights for tests and benchmarks; for
/// models to distribute see [`quantize`](super::quantize::quantize).
///
/// # Panics
/// If the number of weights is not a multiple of the block length.
#[track_caller]
pub fn quantise(format: impl AsRef<Format>, weights: &[f32]) -> Vec<u8> {
    let format = format.as_ref();
    let &Format { name, block_len, block_bytes, .. } = format;
    let count = weights.len();
    assert!(count.is_multiple_of(block_len), "{count} weights are not whole {name} blocks");
    let mut bytes = Vec::with_capacity(count / block_len * block_bytes);
    for block in weights.chunks_exact(block_len) {
        (format.quantise)(block, &mut bytes);
        debug_assert!(bytes.len().is_multiple_of(block_bytes));
    }
    bytes
}
