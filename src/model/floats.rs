//! The weights of a Llama as f32, matrix by matrix, for training.

use super::config::Config;
use super::loader::{Loader, Rows};
use crate::Result;
use crate::format::{Source, blocks};
use crate::gpu::Device;

/// Gives `take` the name and the numbers of each parameter. Numbers of a head that are rotated
/// together are neighbours; `blk.N.attn_kv` has the rows of keys and then of values, `blk.N.ffn_up`
/// the rows of gate and then up, and there is no `output` where the embedding table is also the
/// output matrix.
///
/// # Errors
/// When a tensor is missing, has another shape, or has no place in such a model; or when `take`
/// fails.
pub fn floats(
    source: &Source,
    config: &Config,
    mut take: impl FnMut(&str, Vec<f32>) -> Result<()>,
) -> Result<()> {
    let Config { hidden_size, intermediate_size, vocab_size, n_heads, head_dim, .. } = *config;
    let loader = Loader::new(&Device::Reference, source, config, None);
    let widened = |parts: &[Rows]| -> Result<Vec<f32>> {
        let mut values = vec![];
        for rows in parts {
            let first = values.len();
            values.resize(first + rows.rows() * rows.columns(), 0.0f32);
            for (row, values) in values[first..].chunks_mut(rows.columns()).enumerate() {
                blocks::dequantise(rows.dtype(), rows.row(row), values)
                    .map_err(|message| source.path_error(message))?;
            }
            rows.release();
        }
        Ok(values)
    };
    let matrix = |name: &str, rows, columns| loader.rows(&format!("{name}.weight"), rows, columns);
    let mut give = |name: &str, parts: &[Rows]| take(name, widened(parts)?);
    give("token_embd", &[matrix("token_embd", vocab_size, hidden_size)?])?;
    if !config.tied.unwrap_or_else(|| source.opt_tensor("output.weight").is_none()) {
        give("output", &[matrix("output", vocab_size, hidden_size)?])?;
    }
    for layer in 0..config.n_layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let matrix = |part: &str, rows, columns| matrix(&name(part), rows, columns);
        let qkv = loader.query_key_value_rows(layer)?;
        give(&name("attn_q"), &qkv[..1])?;
        give(&name("attn_kv"), &qkv[1..])?;
        give(&name("attn_output"), &[matrix("attn_output", hidden_size, n_heads * head_dim)?])?;
        give(
            &name("ffn_up"),
            &[
                matrix("ffn_gate", intermediate_size, hidden_size)?,
                matrix("ffn_up", intermediate_size, hidden_size)?,
            ],
        )?;
        give(&name("ffn_down"), &[matrix("ffn_down", hidden_size, intermediate_size)?])?;
    }
    let norms = (0..config.n_layers)
        .flat_map(|layer| ["attn_norm", "ffn_norm"].map(|part| format!("blk.{layer}.{part}")));
    for name in norms.chain(["output_norm".into()]) {
        take(&name, loader.floats(&format!("{name}.weight"), hidden_size)?)?;
    }
    loader.all_used()
}
