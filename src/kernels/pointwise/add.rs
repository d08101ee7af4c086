//! Sums of two tensors, such as residuals and gradients of several readers.

use super::pointwise::pointwise;
use super::pointwise::{CASE_ROWS, CASE_WIDTH};
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy, Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// `y = a + b`, where all have equal sizes.
pub struct Add {
    /// First summand.
    pub a: Tensor,
    /// Second summand.
    pub b: Tensor,
    /// The sum.
    pub y: Tensor,
}

impl Add {
    /// Passes the gradient `dy` of a sum on to the summand `x`.
    pub(in crate::kernels) fn pass(
        gradients: &mut Gradients,
        x: &Tensor,
        dy: &Tensor,
    ) -> Result<()> {
        if !gradients.pass(x, dy)
            && let Some(Target { to: y, base: Some(a) }) = gradients.target(x)?
        {
            gradients.push(Self { a, b: dy.clone(), y });
        }
        Ok(())
    }
}

impl Kernel for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn operands(&self) -> Vec<Operand> {
        assert!(self.a.len() == self.y.len() && self.b.len() == self.y.len(), "sizes of a sum");
        vec![Operand::read("a", &self.a), Operand::read("b", &self.b), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("texels", self.y.len().div_ceil(4) as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        pointwise(
            "add",
            include_str!("../../../shaders/pointwise/add.wgsl"),
            self.y.len().div_ceil(4),
            vec![],
            can,
        )
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.y.len() as u64;
        Cost { read: 8 * count, written: 4 * count, operations: count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (a, b) = (memory.f32(&self.a), memory.f32(&self.b));
        let y = memory.f32_mut(&self.y).iter_mut();
        y.zip(a.iter().zip(b.iter())).for_each(|(y, (a, b))| *y = a + b);
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.get(&self.y) else { return Ok(()) };
        Self::pass(gradients, &self.a, &dy)?;
        Self::pass(gradients, &self.b, &dy)
    }
}

impl Checked for Add {
    fn cases(cases: &mut Cases) -> Result<()> {
        for rows in CASE_ROWS {
            let kernel = Self {
                a: cases.filled("a", &[rows, CASE_WIDTH])?,
                b: cases.filled("b", &[rows, CASE_WIDTH])?,
                y: cases.empty("y", &[rows, CASE_WIDTH])?,
            };
            cases.add(format!("{rows} rows"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training add", |cases| {
            let shape = [grok::ROWS, grok::WIDTH];
            let (a, b) = (cases.filled("a", &shape)?, cases.filled("b", &shape)?);
            Ok(Self { a, b, y: cases.empty("y", &shape)? })
        });
    }
}
