//! The gradient of a block-diagonal matrix with respect to its blocks.

use super::block_diagonal::CASE_SIZES;
use super::block_diagonal::parameters;
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, Shapes};
use crate::kernels::pointwise::pointwise::{gradient_operands, pointwise};

/// The gradient of [`BlockDiagonal`](crate::kernels::BlockDiagonal).
pub struct BlockDiagonalBackward {
    /// Gradient of the result [R, 2 W].
    pub dy: Tensor,
    /// Gradient of the matrices so far.
    pub base: Option<Tensor>,
    /// Gradient of the matrices [R, W].
    pub dx: Tensor,
    /// Rows of the first.
    pub split: usize,
}

impl Kernel for BlockDiagonalBackward {
    fn name(&self) -> &'static str {
        "block_diagonal_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        gradient_operands(&self.dy, self.base.as_ref(), &self.dx)
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(self.dx.len() / 4, self.dx.dim(1), self.split)
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/training/block_diagonal_backward.wgsl");
        pointwise("block_diagonal_backward", source, self.dx.len() / 4, vec![], can)
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.dx.len() as u64;
        Cost { read: 8 * count, written: 4 * count, operations: count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.dx.dim(1);
        let dy = memory.f32(&self.dy);
        let base = self.base.as_ref().map(|base| memory.f32(base));
        for (i, dx) in memory.f32_mut(&self.dx).iter_mut().enumerate() {
            let block = usize::from(i / width >= self.split);
            let at = (2 * (i / width) + block) * width + i % width;
            *dx = dy[at] + base.as_ref().map_or(0.0, |base| base[i]);
        }
    }
}

impl Checked for BlockDiagonalBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, (rows, width, split)) in CASE_SIZES.into_iter().enumerate() {
            let kernel = Self {
                dy: cases.filled("dy", &[rows, 2 * width])?,
                base: cases.filled_if(index % 2 == 1, "base", &[rows, width])?,
                dx: cases.empty("dx", &[rows, width])?,
                split,
            };
            cases.add(format!("[{rows}, {width}], {split} rows first"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training block_diagonal_backward", |cases| {
            let dy = cases.filled("dy", &[3072, 32])?;
            Ok(Self { dy, base: None, dx: cases.empty("dx", &[3072, 16])?, split: 1536 })
        });
    }
}
