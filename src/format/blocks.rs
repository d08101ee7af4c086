//! Host conversion between stored weights and `f32`, in plain loops: the reference for every kernel
//! that reads blocks. What a block looks like is its [`Format`]'s business.

use super::quant::Format;

/// Turns whole blocks of `format` into `out`, one `f32` a weight.
///
/// # Errors
/// If `bytes` is not exactly the size of `out.len()` weights; the message lacks the name of the
/// tensor.
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

/// Turns weights into blocks of `format`, each rounded to the nearest value its block can hold.
/// There is no search for better steps: this makes weights of every type for tests and benches, not
/// models to ship, for which there is [`quantize`](super::quantize::quantize).
///
/// # Panics
/// If the weights are not whole blocks.
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
