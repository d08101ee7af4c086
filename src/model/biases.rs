//! Biases of attention, which some models have beyond what their family has.

use super::config::Config;
use super::loader::Loader;
use crate::Result;
use crate::format::Source;
use crate::gpu::Tensor;

impl Loader<'_> {
    /// Those of queries, keys and values, in the order of their rows.
    pub(super) fn query_key_value_bias(&self, index: usize) -> Result<Tensor> {
        let Config { architecture, head_dim, n_heads, n_kv_heads, .. } = *self.config;
        let (query, key) = (n_heads * head_dim, n_kv_heads * head_dim);
        let name = |part: &str| format!("blk.{index}.{part}");
        let floats =
            |part: &str, count| self.bias_floats(&name(part), count, architecture.qkv_bias);
        let mut all = match architecture.fused {
            true => floats("attn_qkv", query + 2 * key)?,
            false => {
                let parts = [("attn_q", query), ("attn_k", key), ("attn_v", key)];
                let parts = parts.map(|(part, count)| floats(part, count));
                let [q, k, v] = parts;
                [q?, k?, v?].concat()
            }
        };
        all[..query + key].chunks_mut(head_dim).for_each(|head_dim| self.pair_up(index, head_dim));
        self.vector(&name("attn_qkv"), all)
    }

    /// That of the product after attention.
    pub(super) fn attention_output_bias(&self, index: usize) -> Result<Tensor> {
        let Config { architecture, hidden_size, .. } = *self.config;
        let name = format!("blk.{index}.attn_output");
        self.vector(&name, self.bias_floats(&name, hidden_size, architecture.bias)?)
    }

    /// The numbers of a bias of attention. Files of a family that does without may have some of
    /// them all the same.
    fn bias_floats(&self, name: &str, count: usize, required: bool) -> Result<Vec<f32>> {
        let name = format!("{name}.bias");
        let is_optional = !required && matches!(self.source, Source::Gguf(_));
        match is_optional && self.source.opt_tensor(&name).is_none() {
            true => Ok(vec![0.0; count]),
            false => self.floats(&name, count),
        }
    }
}
