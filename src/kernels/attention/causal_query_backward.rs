//! The gradient of causal attention with respect to its queries.

use super::causal_attention::{CASE_HEADS, CausalAttention};
use super::causal_attention::{Heads, Split, dot};
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// The gradient of [`super::CausalAttention`] with respect to its queries.
pub struct CausalQueryBackward {
    /// Queries [B * N, H * D].
    pub q: Tensor,
    /// Keys, then values [B * T, 2 * K * D].
    pub kv: Tensor,
    /// Result of the attention [B * N, H * D].
    pub y: Tensor,
    /// Logarithms of the sums of exponentials [B * N * H, 4].
    pub stats: Tensor,
    /// Gradient of the result [B * N, H * D].
    pub dy: Tensor,
    /// Sum to add to the gradient of the queries [B * N, H * D].
    pub base: Option<Tensor>,
    /// Gradient of the queries [B * N, H * D].
    pub dq: Tensor,
    /// `dy · y` of each query and head [B * N * H, 4], for the gradient of keys and values.
    pub delta: Tensor,
    /// Sizes of the sequences and heads.
    pub heads: Heads,
}

impl Kernel for CausalQueryBackward {
    fn name(&self) -> &'static str {
        "causal_query_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        self.heads.check(&self.q, &self.kv);
        vec![
            Operand::read("q", &self.q),
            Operand::read("kv", &self.kv),
            Operand::read("y", &self.y),
            Operand::read("stats", &self.stats),
            Operand::read("dy", &self.dy),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("dq", &self.dq),
            Operand::write("delta", &self.delta),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.heads.parameters()
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let Heads { queries, n_heads, .. } = self.heads;
        let apart = Split {
            name: "causal_query_backward",
            source: include_str!("../../../shaders/attention/causal_query_backward.wgsl"),
            over: [self.heads.rows(), n_heads],
        };
        let shared = Split {
            name: "causal_query_backward_workgroup",
            source: include_str!("../../../shaders/attention/causal_query_backward_workgroup.wgsl"),
            over: [queries, n_heads],
        };
        self.heads.strategies(can, apart, shared, 0)
    }

    fn cost(&self, _: usize) -> Cost {
        let operations = self.heads.pairs() * (6 * self.heads.head_dim as u64 + 4);
        let read = 3 * self.q.bytes() + self.kv.bytes();
        Cost { read, written: self.q.bytes(), operations }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (head, scale) = (self.heads.head_dim, self.heads.scale());
        let (q, kv, y) = (memory.f32(&self.q), memory.f32(&self.kv), memory.f32(&self.y));
        let (stats, dy) = (memory.f32(&self.stats), memory.f32(&self.dy));
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let mut dq = base.map_or(vec![0.0; self.dq.len()], |base| base.to_vec());
        let delta: Vec<f32> =
            dy.chunks(head).zip(y.chunks(head)).map(|(dy, y)| dot(dy, y)).collect();
        self.heads.each(|query, at, key, value| {
            let (key, value) = (&kv[key..][..head], &kv[value..][..head]);
            let weight = (dot(&q[at..][..head], key) * scale - stats[4 * query]).exp();
            let slope = weight * (dot(&dy[at..][..head], value) - delta[query]) * scale;
            dq[at..][..head].iter_mut().zip(key).for_each(|(dq, key)| *dq += slope * key);
        });
        memory.f32_mut(&self.dq).copy_from_slice(&dq);
        for (texel, delta) in memory.f32_mut(&self.delta).chunks_mut(4).zip(delta) {
            texel.copy_from_slice(&[delta, 0.0, 0.0, 0.0]);
        }
    }
}

impl CausalQueryBackward {
    /// The gradient of attention in a training step of `kaiwu grok`.
    pub(super) fn of_grok(cases: &mut Cases) -> Result<Self> {
        let forward = CausalAttention::made_up(cases, grok::HEADS)?;
        cases.compute(&forward);
        let CausalAttention { q, kv, y, stats, heads } = forward;
        let dq = cases.empty("dq", q.shape())?;
        let delta = cases.empty("delta", stats.shape())?;
        let dy = cases.filled("dy", y.shape())?;
        Ok(Self { q, kv, y, stats, dy, base: None, dq, delta, heads })
    }
}

impl Checked for CausalQueryBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, heads) in CASE_HEADS.into_iter().enumerate() {
            let [queries, keys, each] = heads.shapes();
            let kernel = Self {
                q: cases.filled("q", &queries)?,
                kv: cases.filled("kv", &keys)?,
                y: cases.filled("y", &queries)?,
                stats: cases.filled("stats", &each)?,
                dy: cases.filled("dy", &queries)?,
                base: cases.filled_if(index % 2 == 1, "base", &queries)?,
                dq: cases.empty("dq", &queries)?,
                delta: cases.empty("delta", &each)?,
                heads,
            };
            cases.add(format!("{heads:?}"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training causal_query_backward", Self::of_grok);
    }
}
