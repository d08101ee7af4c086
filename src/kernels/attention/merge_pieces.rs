//! Combines the attention of one token over pieces of the cache.

use super::attention::Pieces;
use super::case_sizes::PIECES;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, MODEL_STEPS, Shapes};

/// Combines the results of [`super::Attention`] over the pieces of one token's cache into attention
/// over the whole cache.
pub struct MergePieces {
    /// Weighted sums of each piece [P, H * D].
    pub x: Tensor,
    /// The pieces' highest scores and sums of weights.
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
            Parameter::U32("n_heads", self.heads() as u32),
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

    /// One loop over the highest scores and one over the sums.
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

impl Checked for MergePieces {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (heads, key_heads, head, position, count, window) in PIECES {
            // Highest scores of either sign, and sums of weights, in which the highest score has
            // weight 1.
            let mut stats = cases.numbers(4 * count * heads, 1.0);
            stats.chunks_mut(4).for_each(|piece| piece[1] = 1.0 + piece[1].abs());
            let stats = cases.given("stats", &[count, heads, 4], stats)?;
            let kernel = Self {
                x: cases.filled("x", &[count, heads * head])?,
                pieces: Pieces { count, stats },
                y: cases.empty("y", &[1, heads * head])?,
            };
            let what = format!(
                "{heads}/{key_heads} heads of {head} at {position}, \
                 window {window:?}, {count} pieces"
            );
            cases.add(what, kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        for step in MODEL_STEPS.iter().filter(|step| step.tokens == 1) {
            shapes.add_of_model(step, "merge_pieces", |cases, step| {
                let (heads, width) = (step.n_heads, step.n_heads * step.head_dim);
                let stats = cases.given("stats", &[2, heads, 4], vec![1.0; 8 * heads])?;
                Ok(Self {
                    x: cases.filled("x", &[2, width])?,
                    pieces: Pieces { count: 2, stats },
                    y: cases.empty("y", &[1, width])?,
                })
            });
        }
    }
}
