//! The gated activation of Llama-like models, and its gradient.

use super::activation::silu;
use super::pointwise::pointwise;
use super::pointwise::{CASE_ROWS, CASE_WIDTH};
use super::swiglu_backward::SwigluBackward;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy, Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// `y = silu(gate) * up` (Shazeer 2020, arXiv:2002.05202), where gate and up are the halves of a
/// row of x.
pub struct Swiglu {
    /// Gate and up [T, 2 F], where F is a multiple of 4.
    pub x: Tensor,
    /// The result [T, F].
    pub y: Tensor,
}

impl Kernel for Swiglu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn operands(&self) -> Vec<Operand> {
        assert!(
            self.x.dim(1) == 2 * self.y.dim(1) && self.y.dim(1).is_multiple_of(4),
            "{}: width",
            self.y.label()
        );
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let texels = self.y.len() as u32 / 4;
        vec![Parameter::U32("texels", texels), Parameter::U32("half4", self.y.dim(1) as u32 / 4)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/pointwise/swiglu.wgsl");
        pointwise("swiglu", source, self.y.len() / 4, vec![], can)
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.y.len() as u64;
        Cost { read: 8 * count, written: 4 * count, operations: 4 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let half = self.y.dim(1);
        let x = memory.f32(&self.x);
        for (y, x) in memory.f32_mut(&self.y).chunks_mut(half).zip(x.chunks(2 * half)) {
            (0..half).for_each(|i| y[i] = silu(x[i]).0 * x[half + i]);
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        if let Some(dy) = gradients.get(&self.y)
            && let Some(Target { to: dx, base }) = gradients.target(&self.x)?
        {
            gradients.push(SwigluBackward { x: self.x.clone(), dy, base, dx });
        }
        Ok(())
    }
}

impl Checked for Swiglu {
    fn cases(cases: &mut Cases) -> Result<()> {
        for rows in CASE_ROWS {
            let x = cases.filled("x", &[rows, 2 * CASE_WIDTH])?;
            let y = cases.empty("y", &[rows, CASE_WIDTH])?;
            cases.add(format!("{rows} rows"), Self { x, y });
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training swiglu", |cases| {
            let x = cases.filled("x", &[grok::ROWS, 2 * grok::HIDDEN])?;
            Ok(Self { x, y: cases.empty("y", &[grok::ROWS, grok::HIDDEN])? })
        });
    }
}
