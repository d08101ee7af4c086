//! Two matrices on a diagonal: where one product holds two, each with a low-rank addition of its
//! own.

use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy, Target, Tensor,
};
use crate::kernels::pointwise::pointwise::{gradient_operands, pointwise};

/// `y = [[x[..split], 0], [0, x[split..]]]`.
pub struct BlockDiagonal {
    /// Two matrices on top of one another [R, W].
    pub x: Tensor,
    /// The result [R, 2 W].
    pub y: Tensor,
    /// Rows of the first.
    pub split: usize,
}

fn parameters(texels: usize, width: usize, split: usize) -> Vec<Parameter> {
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

/// The gradient of [`BlockDiagonal`].
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
