//! Projects queries, keys and values, rotates them, and writes keys and values to the cache in one
//! kernel.

mod cases;

use super::input::{Input, product_methods};
use super::matrix::Part;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::attention::cache::{CacheType, LayerCache, Side};

/// Projects queries, keys and values of the tokens, rotates queries and keys, and writes keys and
/// values to the cache.
pub struct QkvRopeCache {
    /// Activations and their normalisation.
    pub input: Input,
    /// Weights [(H + 2 K) D, C]: rows of the queries, keys and values, or a part of them. In
    /// queries and keys, numbers that are rotated together are neighbours.
    pub w: Part,
    /// Index of the first row of w in the whole stack.
    pub first_row: usize,
    /// Word 0: position of token 0.
    pub step: Tensor,
    /// Cosine and sine of each pair at each position [context, D].
    pub rope: Tensor,
    /// Rotated queries [T, H * D].
    pub q: Tensor,
    /// The cache to which keys and values are written. It must not hold bytes, because those need
    /// all numbers of a head in one workgroup ([`crate::kernels::QkNormRope`]).
    pub cache: LayerCache,
}

impl QkvRopeCache {
    fn head(&self) -> usize {
        self.rope.dim(1)
    }
    fn query(&self) -> usize {
        self.q.dim(1)
    }
    fn key(&self) -> usize {
        self.cache.key_heads() * self.cache.head
    }

    /// The strategies with the cache's constants added.
    fn stored(&self, mut strategies: Vec<Strategy>) -> Vec<Strategy> {
        strategies
            .iter_mut()
            .for_each(|strategy| strategy.constants.extend(self.cache.constants()));
        strategies
    }
}

impl Kernel for QkvRopeCache {
    fn name(&self) -> &'static str {
        "qkv_rope_cache"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_ne!(self.cache.kind, CacheType::Q8_0, "bytes are stored by heads");
        let mut all = self.input.operands(&self.w);
        all.extend([
            Operand::read("step", &self.step),
            Operand::read("rope", &self.rope),
            Operand::write("q", &self.q),
            Operand::write("keys", &self.cache.keys),
            Operand::write("values", &self.cache.values),
        ]);
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut all = self.input.parameters(&self.w);
        all.extend([
            Parameter::U32("query4", self.query() as u32 / 4),
            Parameter::U32("key4", self.key() as u32 / 4),
            Parameter::U32("first4", self.first_row as u32 / 4),
            self.cache.parameter(),
        ]);
        all
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        self.stored(self.input.strategies(&self.w, "finish_rope_cache", false, can))
    }

    fn sizes(&self, can: &Capabilities) -> Vec<Strategy> {
        self.stored(self.input.sizes(&self.w, "finish_rope_cache", false, can))
    }

    fn necessary(&self, _: usize) -> u64 {
        self.input.necessary(&self.w) + self.cache.position_bytes() * self.input.tokens as u64
    }

    product_methods!();

    fn cost(&self, _: usize) -> Cost {
        let tokens = self.input.tokens as u64;
        let rotated = (self.query() + self.key()) as u64 * tokens;
        let written = (4 * self.query() as u64 + self.cache.position_bytes()) * tokens;
        let rope = 4 * self.head() as u64 * tokens;
        self.input.cost(&self.w) + Cost { read: rope, written, operations: 3 * rotated }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (head, query, key) = (self.head(), self.query(), self.key());
        let products = self.input.reference(&self.w, self.first_row, memory);
        let start = memory.u32(&self.step)[0] as usize;
        let rope = memory.f32(&self.rope);
        for (token, product) in products {
            let position = start + token;
            for (at, &value) in product.iter().enumerate().take(self.w.rows()) {
                let row = self.first_row + at;
                if row >= query + key {
                    let (values, row) = (memory.u32_mut(&self.cache.values), row - query - key);
                    self.cache.set_number(Side::Values, values, position, row, value);
                    continue;
                }
                let turn = &rope[position * head + row % head / 2 * 2..][..2];
                let (even, odd) = (product[at / 2 * 2], product[at / 2 * 2 + 1]);
                let rotated = match row % 2 {
                    0 => even * turn[0] - odd * turn[1],
                    _ => even * turn[1] + odd * turn[0],
                };
                if row < query {
                    memory.f32_mut(&self.q)[token * query + row] = rotated;
                } else {
                    let keys = memory.u32_mut(&self.cache.keys);
                    self.cache.set_number(Side::Keys, keys, position, row - query, rotated);
                }
            }
        }
    }
}
