//! Places two matrices on a diagonal, for a product that holds two matrices with a low-rank
//! addition each.

use super::block_diagonal_backward::BlockDiagonalBackward;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy, Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes};
use crate::kernels::pointwise::pointwise::pointwise;

/// `y = [[x[..split], 0], [0, x[split..]]]`: two matrices on a diagonal.
pub struct BlockDiagonal {
    /// Two matrices stacked by rows [R, W].
    pub x: Tensor,
    /// The result [R, 2 W].
    pub y: Tensor,
    /// Rows in the first matrix.
    pub split: usize,
}

pub(super) fn parameters(texels: usize, width: usize, split: usize) -> Vec<Parameter> {
    vec![
        Parameter::U32("texels", texels as u32),
        Parameter::U32("width4", width as u32 / 4),
        Parameter::U32("split", split as u32),
    ]
}

impl Kernel for BlockDiagonal {
    fn name(&self) -> &'static str {
        "block_diagonal"
    }

    fn operands(&self) -> Vec<Operand> {
        let [rows, width] = [self.x.dim(0), self.x.dim(1)];
        assert_eq!(self.y.shape(), [rows, 2 * width], "{}: shape", self.y.label());
        assert!(self.split <= rows && width.is_multiple_of(4), "{}: size", self.x.label());
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(self.y.len() / 4, self.x.dim(1), self.split)
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        pointwise(
            "block_diagonal",
            include_str!("../../../shaders/training/block_diagonal.wgsl"),
            self.y.len() / 4,
            vec![],
            can,
        )
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.x.len() as u64;
        Cost { read: 4 * count, written: 8 * count, operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.x.dim(1);
        let x = memory.f32(&self.x);
        for (row, y) in memory.f32_mut(&self.y).chunks_mut(2 * width).enumerate() {
            y.fill(0.0);
            let first = if row < self.split { 0 } else { width };
            y[first..][..width].copy_from_slice(&x[row * width..][..width]);
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        if let Some(dy) = gradients.get(&self.y)
            && let Some(Target { to: dx, base }) = gradients.target(&self.x)?
        {
            gradients.push(BlockDiagonalBackward { dy, base, dx, split: self.split });
        }
        Ok(())
    }
}

/// Rows, columns, and rows of the first matrix in the cases.
pub(super) const CASE_SIZES: [(usize, usize, usize); 4] =
    [(1, 4, 1), (5, 4, 2), (70, 12, 33), (257, 8, 0)];

impl Checked for BlockDiagonal {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (rows, width, split) in CASE_SIZES {
            let x = cases.filled("x", &[rows, width])?;
            let y = cases.empty("y", &[rows, 2 * width])?;
            cases.add(format!("[{rows}, {width}], {split} rows first"), Self { x, y, split });
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training block_diagonal", |cases| {
            // The B matrices of gate and up in SmolLM2-135M at rank 16.
            let x = cases.filled("x", &[3072, 16])?;
            Ok(Self { x, y: cases.empty("y", &[3072, 32])?, split: 1536 })
        });
    }
}
