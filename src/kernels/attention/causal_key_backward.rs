//! The gradient of causal attention with respect to its keys and values.

use super::causal_attention::CASE_HEADS;
use super::causal_attention::{Heads, Split, dot};
use super::causal_query_backward::CausalQueryBackward;
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, Shapes};

/// The gradient of [`super::CausalAttention`] with respect to its keys and values.
pub struct CausalKeyBackward {
    /// Queries [B * N, H * D].
    pub q: Tensor,
    /// Keys, then values [B * T, 2 * K * D].
    pub kv: Tensor,
    /// Logarithms of the sums of exponentials [B * N * H, 4].
    pub stats: Tensor,
    /// `dy · y` of each query and head [B * N * H, 4].
    pub delta: Tensor,
    /// Gradient of the attention's result [B * N, H * D].
    pub dy: Tensor,
    /// Sum to add to the gradient of keys and values [B * T, 2 * K * D].
    pub base: Option<Tensor>,
    /// Gradient of keys and values [B * T, 2 * K * D].
    pub dkv: Tensor,
    /// Sizes of the sequences and heads.
    pub heads: Heads,
}

impl Kernel for CausalKeyBackward {
    fn name(&self) -> &'static str {
        "causal_key_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        self.heads.check(&self.q, &self.kv);
        vec![
            Operand::read("q", &self.q),
            Operand::read("kv", &self.kv),
            Operand::read("stats", &self.stats),
            Operand::read("delta", &self.delta),
            Operand::read("dy", &self.dy),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("dkv", &self.dkv),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.heads.parameters()
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let Heads { batch, tokens, n_kv_heads, .. } = self.heads;
        let apart = Split {
            name: "causal_key_backward",
            source: include_str!("../../../shaders/attention/causal_key_backward.wgsl"),
            over: [batch * tokens, n_kv_heads],
        };
        let shared = Split {
            name: "causal_key_backward_workgroup",
            source: include_str!("../../../shaders/attention/causal_key_backward_workgroup.wgsl"),
            over: [tokens, n_kv_heads],
        };
        self.heads.strategies(can, apart, shared, 8)
    }

    fn cost(&self, _: usize) -> Cost {
        let operations = self.heads.pairs() * (8 * self.heads.head_dim as u64 + 4);
        let read = 2 * self.q.bytes() + self.kv.bytes();
        Cost { read, written: self.kv.bytes(), operations }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (head, scale) = (self.heads.head_dim, self.heads.scale());
        let (q, kv, dy) = (memory.f32(&self.q), memory.f32(&self.kv), memory.f32(&self.dy));
        let (stats, delta) = (memory.f32(&self.stats), memory.f32(&self.delta));
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let mut dkv = base.map_or(vec![0.0; self.dkv.len()], |base| base.to_vec());
        self.heads.each(|query, at, key, value| {
            let (q, dy) = (&q[at..][..head], &dy[at..][..head]);
            let weight = (dot(q, &kv[key..][..head]) * scale - stats[4 * query]).exp();
            let slope = weight * (dot(dy, &kv[value..][..head]) - delta[4 * query]) * scale;
            dkv[key..][..head].iter_mut().zip(q).for_each(|(dk, q)| *dk += slope * q);
            dkv[value..][..head].iter_mut().zip(dy).for_each(|(dv, dy)| *dv += weight * dy);
        });
        memory.f32_mut(&self.dkv).copy_from_slice(&dkv);
    }
}

impl Checked for CausalKeyBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, heads) in CASE_HEADS.into_iter().enumerate() {
            let [queries, keys, each] = heads.shapes();
            let kernel = Self {
                q: cases.filled("q", &queries)?,
                kv: cases.filled("kv", &keys)?,
                stats: cases.filled("stats", &each)?,
                delta: cases.filled("delta", &each)?,
                dy: cases.filled("dy", &queries)?,
                base: cases.filled_if(index % 2 == 1, "base", &keys)?,
                dkv: cases.empty("dkv", &keys)?,
                heads,
            };
            cases.add(format!("{heads:?}"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training causal_key_backward", |cases| {
            let before = CausalQueryBackward::of_grok(cases)?;
            cases.compute(&before);
            let CausalQueryBackward { q, kv, stats, delta, dy, heads, .. } = before;
            let dkv = cases.empty("dkv", kv.shape())?;
            Ok(Self { q, kv, stats, delta, dy, base: None, dkv, heads })
        });
    }
}
