//! One token's attention, from pieces of the cache.

use super::attention::Pieces;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};

/// What [`super::Attention`] gives for pieces of one token's cache, put together as if there were
/// one.
pub struct MergePieces {
    /// Weighted sums of each piece [P, H * D].
    pub x: Tensor,
    /// Their highest scores and sums of weights.
    pub pieces: Pieces,
    /// The result [1, H * D].
    pub y: Tensor,
}

impl MergePieces {
    fn heads(&self) -> usize {
        self.pieces.stats.dim(1)
    }
    fn width(&self) -> usize {
        self.x.dim(1)
    }
}

impl Kernel for MergePieces {
    fn name(&self) -> &'static str {
        "merge_pieces"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_eq!(self.x.dim(0), self.pieces.count, "{}: pieces", self.x.label());
        assert!(self.y.dim(1) >= self.width(), "{}: narrower than the pieces", self.y.label());
        vec![
            Operand::read("x", &self.x),
            Operand::read("stats", &self.pieces.stats),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("texels", self.width() as u32 / 4),
            Parameter::U32("pieces", self.pieces.count as u32),
            Parameter::U32("heads", self.heads() as u32),
            Parameter::U32("head4", (self.width() / self.heads()) as u32 / 4),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let only = Strategy {
            name: "merge_pieces",
            entry: "merge_pieces",
            source: include_str!("../../../shaders/attention/merge_pieces.wgsl"),
            constants: vec![],
            needs: Needs::lanes(8),
            grid: [(self.width() / 4).div_ceil(8) as u32, 1, 1],
        };
        can.allowed(vec![only], vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let (all, width) = (self.x.len() as u64, self.width() as u64);
        Cost {
            read: 4 * all + self.pieces.stats.bytes(),
            written: 4 * width,
            operations: 2 * all + width,
        }
    }

    /// Once over the highest scores, once over the sums.
    fn iterations(&self, _: &Strategy) -> Option<usize> {
        Some(2 * self.pieces.count)
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (heads, width, count) = (self.heads(), self.width(), self.pieces.count);
        let (x, stats) = (memory.f32(&self.x), memory.f32(&self.pieces.stats));
        let y = memory.f32_mut(&self.y);
        for (at, y) in y.iter_mut().enumerate().take(width) {
            let of = |piece: usize| &stats[4 * (piece * heads + at / (width / heads))..][..2];
            let high = (0..count).map(|piece| of(piece)[0]).fold(f32::NEG_INFINITY, f32::max);
            let share = |piece: usize| (of(piece)[0] - high).exp();
            let sum: f32 = (0..count).map(|piece| share(piece) * x[piece * width + at]).sum();
            *y = sum / (0..count).map(|piece| share(piece) * of(piece)[1]).sum::<f32>();
        }
    }
}
