//! Normalises and rotates heads in a separate pass, for models and caches where the projection
//! cannot do it.

mod cases;

use super::cache::{CacheType, LayerCache, Side};
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};

/// Normalises queries and keys by head, rotates them, and writes keys and values to the cache.
pub struct QkNormRope {
    /// Projected queries, keys and values [T, (H + 2 K) D, padded]. In queries and keys, numbers
    /// that are rotated together are neighbours.
    pub x: Tensor,
    /// Gains for the heads of queries and of keys, `[D]` each; `None` only rotates.
    pub gains: Option<[Tensor; 2]>,
    /// Added to the mean square of a head.
    pub eps: f32,
    /// Word 0: position of token 0.
    pub step: Tensor,
    /// Cosine and sine of each pair at each position [context, D].
    pub rope: Tensor,
    /// Queries [T, H * D].
    pub q: Tensor,
    /// The cache to which keys and values are written.
    pub cache: LayerCache,
    /// Number of tokens T.
    pub tokens: usize,
}

impl QkNormRope {
    fn head(&self) -> usize {
        self.cache.head
    }
    fn key_heads(&self) -> usize {
        self.cache.key_heads()
    }
    fn heads(&self) -> usize {
        self.q.dim(1) / self.head()
    }
}

impl Kernel for QkNormRope {
    fn name(&self) -> &'static str {
        "qk_norm_rope"
    }

    fn operands(&self) -> Vec<Operand> {
        let needed = (self.heads() + 2 * self.key_heads()) * self.head();
        assert!(self.x.dim(1) >= needed, "{}: too narrow for all heads", self.x.label());
        assert_eq!(self.rope.dim(1), self.head(), "the table is of another head");
        vec![
            Operand::read("x", &self.x),
            Operand::optional("q_gain", self.gains.as_ref().map(|gains| &gains[0])),
            Operand::optional("k_gain", self.gains.as_ref().map(|gains| &gains[1])),
            Operand::read("step", &self.step),
            Operand::read("rope", &self.rope),
            Operand::write("q", &self.q),
            Operand::write("keys", &self.cache.keys),
            Operand::write("values", &self.cache.values),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("width4", self.x.dim(1) as u32 / 4),
            Parameter::U32("n_heads", self.heads() as u32),
            Parameter::U32("n_kv_heads", self.key_heads() as u32),
            Parameter::F32("eps", self.eps),
            self.cache.parameter(),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let lanes = (self.head() as u32 / 8).next_power_of_two().max(8);
        // For a cache of bytes, lanes also exchange their largest numbers and levels.
        let bytes = if self.cache.kind == CacheType::Q8_0 { 16 } else { 4 };
        let all = vec![Strategy {
            name: "qk_norm_rope",
            entry: "qk_norm_rope",
            source: include_str!("../../../shaders/attention/qk_norm_rope.wgsl"),
            constants: [("LANES", Constant::Count(lanes))]
                .into_iter()
                .chain(self.cache.constants())
                .collect(),
            needs: Needs::lanes(lanes).workgroup_bytes(bytes * lanes),
            grid: [(self.heads() + 2 * self.key_heads()) as u32, self.tokens as u32, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let (head, tokens) = (self.head() as u64, self.tokens as u64);
        let (queries, keys) =
            (self.heads() as u64 * head * tokens, self.key_heads() as u64 * head * tokens);
        Cost {
            read: 4 * (queries + 2 * keys + head * tokens),
            written: 4 * queries + self.cache.position_bytes() * tokens,
            operations: 6 * (queries + keys),
        }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (heads, key_heads, head, width) =
            (self.heads(), self.key_heads(), self.head(), self.x.dim(1));
        let start = memory.u32(&self.step)[0] as usize;
        let (x, rope) = (memory.f32(&self.x), memory.f32(&self.rope));
        let gains = self.gains.as_ref().map(|gains| [memory.f32(&gains[0]), memory.f32(&gains[1])]);
        for token in 0..self.tokens {
            let position = start + token;
            for h in 0..heads + 2 * key_heads {
                let mut own = x[token * width + h * head..][..head].to_vec();
                if h >= heads + key_heads {
                    let values = memory.u32_mut(&self.cache.values);
                    self.cache.set_head(
                        Side::Values,
                        values,
                        position,
                        h - heads - key_heads,
                        &own,
                    );
                    continue;
                }
                if let Some(gains) = &gains {
                    let squares: f32 = own.iter().map(|v| v * v).sum();
                    let scale = 1.0 / (squares / head as f32 + self.eps).sqrt();
                    let gain = &gains[usize::from(h >= heads)];
                    own.iter_mut().zip(gain.iter()).for_each(|(v, gain)| *v *= scale * gain);
                }
                for (pair, turn) in own.chunks_mut(2).zip(rope[position * head..].chunks(2)) {
                    let (even, odd) = (pair[0], pair[1]);
                    pair[0] = even * turn[0] - odd * turn[1];
                    pair[1] = even * turn[1] + odd * turn[0];
                }
                if h < heads {
                    memory.f32_mut(&self.q)[(token * heads + h) * head..][..head]
                        .copy_from_slice(&own);
                } else {
                    let keys = memory.u32_mut(&self.cache.keys);
                    self.cache.set_head(Side::Keys, keys, position, h - heads, &own);
                }
            }
        }
    }
}
