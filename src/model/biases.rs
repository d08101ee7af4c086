//! Attention biases, which some models have although their family does without.

use super::config::Config;
use super::loader::Loader;
use crate::Result;
use crate::format::Source;
use crate::gpu::Tensor;

impl Loader<'_> {
    /// The biases of queries, keys and values, in the order of the product's rows [(H + 2 K) D].
    pub(super) fn query_key_value_bias(&self, index: usize) -> Result<Tensor> {
        let Config { architecture, head_dim, n_heads, n_kv_heads, .. } = *self.config;
        let (query, key) = (n_heads * head_dim, n_kv_heads * head_dim);
        let name = |part: &str| format!("blk.{index}.{part}");
        let floats =
            |part: &str, count| self.bias_floats(&name(part), count, architecture.qkv_bias);
        let mut all = if architecture.fused {
            floats("attn_qkv", query + 2 * key)?
        } else {
            let parts = [("attn_q", query), ("attn_k", key), ("attn_v", key)];
            let parts = parts.map(|(part, count)| floats(part, count));
            let [q, k, v] = parts;
            [q?, k?, v?].concat()
        };
        all[..query + key].chunks_mut(head_dim).for_each(|head_dim| self.pair_up(index, head_dim));
        self.vector(&name("attn_qkv"), all)
    }

    /// The bias of the product after attention [C].
    pub(super) fn attention_output_bias(&self, index: usize) -> Result<Tensor> {
        let Config { architecture, hidden_size, .. } = *self.config;
        let name = format!("blk.{index}.attn_output");
        self.vector(&name, self.bias_floats(&name, hidden_size, architecture.bias)?)
    }

    /// The numbers of an attention bias; zeros if it is not `required` and the file lacks it,
    /// because some files store only part of the biases.
    fn bias_floats(&self, name: &str, count: usize, required: bool) -> Result<Vec<f32>> {
        let name = format!("{name}.bias");
        let is_optional = !required && matches!(self.source, Source::Gguf(_));
        if is_optional && self.source.opt_tensor(&name).is_none() {
            Ok(vec![0.0; count])
        } else {
            self.floats(&name, count)
        }
    }
}
