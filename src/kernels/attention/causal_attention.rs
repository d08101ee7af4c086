//! Causal attention of training: many whole sequences, in f32.

use super::causal_key_backward::CausalKeyBackward;
use super::causal_query_backward::CausalQueryBackward;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, Gradients, HostMemory, Kernel, Needs, Operand, Parameter,
    Strategy, Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::rowwise;

/// The sizes of an attention over B sequences of T places, of which the last N have queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// B.
    pub batch: usize,
    /// T.
    pub tokens: usize,
    /// N.
    pub queries: usize,
    /// Query heads H.
    pub n_heads: usize,
    /// Key heads K, a divisor of H.
    pub n_kv_heads: usize,
    /// Width of a head D, a multiple of 4.
    pub head_dim: usize,
}

impl Heads {
    /// Query rows.
    pub(in crate::kernels) fn rows(&self) -> usize {
        self.batch * self.queries
    }

    /// Factor of the scores.
    pub(in crate::kernels) fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    pub(in crate::kernels) fn check(&self, q: &Tensor, kv: &Tensor) {
        let Self { batch, tokens, queries, n_heads, n_kv_heads, head_dim } = *self;
        assert!(
            head_dim.is_multiple_of(4) && n_heads.is_multiple_of(n_kv_heads) && queries <= tokens,
            "{self:?}"
        );
        assert_eq!(q.len(), batch * queries * n_heads * head_dim, "{}: {self:?}", q.label());
        assert_eq!(
            kv.len(),
            batch * tokens * 2 * n_kv_heads * head_dim,
            "{}: {self:?}",
            kv.label()
        );
    }

    pub(in crate::kernels) fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("rows", self.rows() as u32),
            Parameter::U32("tokens", self.tokens as u32),
            Parameter::U32("queries", self.queries as u32),
            Parameter::U32("n_heads", self.n_heads as u32),
            Parameter::U32("group", (self.n_heads / self.n_kv_heads) as u32),
            Parameter::U32("keys4", (self.n_kv_heads * self.head_dim / 4) as u32),
            Parameter::F32("scale", self.scale()),
        ]
    }

    /// Both strategies of a kernel: `apart`, in which a lane owns one of `rows` rows, and `shared`,
    /// in which a workgroup of lanes owns as many of a sequence's `places` in one of `heads` heads,
    /// and `bytes` of workgroup memory in addition to a tile's rows.
    pub(in crate::kernels) fn strategies(
        &self,
        can: &Capabilities,
        apart: Split,
        shared: Split,
        bytes: u32,
    ) -> Vec<Strategy> {
        let head4 = self.head_dim as u32 / 4;
        let [places, heads] = shared.over.map(|count| count as u32);
        // 8 KiB of keys and values, or of queries and gradients.
        let tile = (256 / head4).clamp(1, 32);
        let lanes = if places > 32 { 64 } else { 32 };
        let constants = [("HEAD4", Constant::Count(head4))];
        let tiled = [("LANES", Constant::Count(lanes)), ("TILE", Constant::Count(tile))];
        let workgroup = Strategy {
            name: shared.name,
            entry: shared.name,
            source: shared.source,
            constants: [&constants[..], &tiled].concat(),
            needs: Needs::lanes(lanes).workgroup_bytes(tile * (32 * head4 + bytes)),
            grid: [places.div_ceil(lanes), heads, self.batch as u32],
        };
        let lanes = rowwise(apart.name, apart.source, apart.over.iter().product(), &constants);
        // Short sequences would leave most of a workgroup's lanes without work.
        let workgroups = if places < 16 { vec![] } else { vec![workgroup] };
        can.allowed(lanes, workgroups)
    }

    /// Calls `visit` for each query that sees a key: index of query and head, index of its first
    /// number in q, of the key's and of the value's in kv; keys of one query follow one another.
    pub(in crate::kernels) fn each(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let Self { tokens, queries, n_heads, n_kv_heads, head_dim, .. } = *self;
        for row in 0..self.rows() {
            let first = row / queries * tokens;
            for h in 0..n_heads {
                for t in first..=first + tokens - queries + row % queries {
                    let key = (t * 2 * n_kv_heads + h / (n_heads / n_kv_heads)) * head_dim;
                    visit(
                        row * n_heads + h,
                        (row * n_heads + h) * head_dim,
                        key,
                        key + n_kv_heads * head_dim,
                    );
                }
            }
        }
    }

    /// Pairs of query and key, all heads.
    pub(in crate::kernels) fn pairs(&self) -> u64 {
        let hidden = self.tokens - self.queries;
        (self.batch
            * self.n_heads
            * (self.queries * hidden + self.queries * (self.queries + 1) / 2)) as u64
    }
}

/// A shader and the rows that its lanes own, by places, or queries, and heads.
pub(in crate::kernels) struct Split {
    pub name: &'static str,
    pub source: &'static str,
    pub over: [usize; 2],
}

pub(in crate::kernels) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `y[n, h] = softmax(q[n, h] · keys / sqrt(D)) · values` over the places up to the query's own.
pub struct CausalAttention {
    /// Queries [B * N, H * D].
    pub q: Tensor,
    /// Keys, then values [B * T, 2 * K * D].
    pub kv: Tensor,
    /// The result [B * N, H * D].
    pub y: Tensor,
    /// Logarithm of the sum of exponentials [B * N * H, 4], for the gradient.
    pub stats: Tensor,
    /// Sizes.
    pub heads: Heads,
}

impl Kernel for CausalAttention {
    fn name(&self) -> &'static str {
        "causal_attention"
    }

    fn operands(&self) -> Vec<Operand> {
        self.heads.check(&self.q, &self.kv);
        vec![
            Operand::read("q", &self.q),
            Operand::read("kv", &self.kv),
            Operand::write("y", &self.y),
            Operand::write("stats", &self.stats),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.heads.parameters()
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let Heads { queries, n_heads, .. } = self.heads;
        let apart = Split {
            name: "causal_attention",
            source: include_str!("../../../shaders/attention/causal_attention.wgsl"),
            over: [self.heads.rows(), n_heads],
        };
        let shared = Split {
            name: "causal_attention_workgroup",
            source: include_str!("../../../shaders/attention/causal_attention_workgroup.wgsl"),
            over: [queries, n_heads],
        };
        self.heads.strategies(can, apart, shared, 0)
    }

    fn cost(&self, _: usize) -> Cost {
        let operations = self.heads.pairs() * (4 * self.heads.head_dim as u64 + 4);
        Cost { read: self.q.bytes() + self.kv.bytes(), written: self.y.bytes(), operations }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let head = self.heads.head_dim;
        let (q, kv) = (memory.f32(&self.q), memory.f32(&self.kv));
        let mut scores: Vec<Vec<(f32, usize)>> =
            vec![vec![]; self.heads.rows() * self.heads.n_heads];
        self.heads.each(|query, q_at, key, value| {
            scores[query]
                .push((dot(&q[q_at..][..head], &kv[key..][..head]) * self.heads.scale(), value));
        });
        for (query, scores) in scores.iter().enumerate() {
            let top = scores.iter().map(|score| score.0).fold(f32::NEG_INFINITY, f32::max);
            let total: f32 = scores.iter().map(|score| (score.0 - top).exp()).sum();
            memory.f32_mut(&self.stats)[4 * query..][..4].copy_from_slice(&[
                top + total.ln(),
                0.0,
                0.0,
                0.0,
            ]);
            for d in 0..head {
                let sum: f32 =
                    scores.iter().map(|(s, value)| (s - top).exp() * kv[value + d]).sum();
                memory.f32_mut(&self.y)[query * head + d] = sum / total;
            }
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.get(&self.y) else { return Ok(()) };
        let (q, kv, stats, heads) = (&self.q, &self.kv, &self.stats, self.heads);
        let target = gradients.target(q)?;
        if target.is_none() && !gradients.wants(kv) {
            return Ok(());
        }
        // The gradient of keys and values needs `delta`, which the queries' call computes, even
        // where the gradient of the queries is not wanted.
        let (dq, base) = match target {
            Some(Target { to, base }) => (to, base),
            None => (gradients.scratch("dq", q.shape())?, None),
        };
        let delta = gradients.scratch("delta", self.stats.shape())?;
        gradients.push(CausalQueryBackward {
            q: q.clone(),
            kv: kv.clone(),
            y: self.y.clone(),
            stats: stats.clone(),
            dy: dy.clone(),
            base,
            dq,
            delta: delta.clone(),
            heads,
        });
        if let Some(Target { to: dkv, base }) = gradients.target(kv)? {
            let (q, kv, stats) = (q.clone(), kv.clone(), stats.clone());
            gradients.push(CausalKeyBackward { q, kv, stats, delta, dy, base, dkv, heads });
        }
        Ok(())
    }
}

/// Sizes of the cases of causal attention and of its gradients.
pub(in crate::kernels) const CASE_HEADS: [Heads; 6] = [
    Heads { batch: 1, tokens: 1, queries: 1, n_heads: 1, n_kv_heads: 1, head_dim: 4 },
    Heads { batch: 3, tokens: 4, queries: 4, n_heads: 4, n_kv_heads: 4, head_dim: 8 },
    Heads { batch: 5, tokens: 4, queries: 1, n_heads: 4, n_kv_heads: 2, head_dim: 16 },
    Heads { batch: 2, tokens: 9, queries: 5, n_heads: 6, n_kv_heads: 2, head_dim: 12 },
    Heads { batch: 1, tokens: 40, queries: 40, n_heads: 2, n_kv_heads: 1, head_dim: 32 },
    Heads { batch: 2, tokens: 75, queries: 67, n_heads: 2, n_kv_heads: 2, head_dim: 16 },
];

impl Heads {
    /// The shapes of queries, of keys and values, and of four numbers for each query and head.
    pub(in crate::kernels) fn shapes(&self) -> [[usize; 2]; 3] {
        let Self { batch, tokens, n_heads, n_kv_heads, head_dim, .. } = *self;
        let queries = [self.rows(), n_heads * head_dim];
        [queries, [batch * tokens, 2 * n_kv_heads * head_dim], [self.rows() * n_heads, 4]]
    }
}

impl CausalAttention {
    /// A call with made-up queries, keys and values.
    pub(in crate::kernels) fn made_up(cases: &mut Cases, heads: Heads) -> Result<Self> {
        let [queries, keys, each] = heads.shapes();
        Ok(Self {
            q: cases.filled("q", &queries)?,
            kv: cases.filled("kv", &keys)?,
            y: cases.empty("y", &queries)?,
            stats: cases.empty("stats", &each)?,
            heads,
        })
    }
}

impl Checked for CausalAttention {
    fn cases(cases: &mut Cases) -> Result<()> {
        for heads in CASE_HEADS {
            let kernel = Self::made_up(cases, heads)?;
            cases.add(format!("{heads:?}"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training causal_attention", |cases| Self::made_up(cases, grok::HEADS));
    }
}
