//! Activations: ReLU, GELU, and their gradients.

use super::activate_backward::ActivateBackward;
use super::activation::Activation;
use super::pointwise::pointwise;
use super::pointwise::{CASE_ROWS, CASE_WIDTH};
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy,
    Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// `y = f(x)` for each number.
pub struct Activate {
    /// Input of any shape.
    pub x: Tensor,
    /// The result, with the size of x.
    pub y: Tensor,
    /// The function f.
    pub kind: Activation,
}

impl Kernel for Activate {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_eq!(self.x.len(), self.y.len(), "{}: size", self.y.label());
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("texels", self.y.len().div_ceil(4) as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let constants = vec![("KIND", Constant::Word(self.kind.word()))];
        let source = include_str!("../../../shaders/pointwise/activate.wgsl");
        pointwise("activate", source, self.y.len().div_ceil(4), constants, can)
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.y.len() as u64;
        Cost { read: 4 * count, written: 4 * count, operations: count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        memory.f32_mut(&self.y).iter_mut().zip(x.iter()).for_each(|(y, &x)| *y = self.kind.at(x).0);
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        if let Some(dy) = gradients.get(&self.y)
            && let Some(Target { to: dx, base }) = gradients.target(&self.x)?
        {
            gradients.push(ActivateBackward { x: self.x.clone(), dy, base, dx, kind: self.kind });
        }
        Ok(())
    }
}

impl Checked for Activate {
    fn cases(cases: &mut Cases) -> Result<()> {
        for rows in CASE_ROWS {
            for kind in [Activation::Relu, Activation::Gelu] {
                let x = cases.filled("x", &[rows, CASE_WIDTH])?;
                let y = cases.empty("y", &[rows, CASE_WIDTH])?;
                cases.add(format!("{kind:?}, {rows} rows"), Self { x, y, kind });
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training activate", |cases| {
            let x = cases.filled("x", &[grok::ROWS, grok::HIDDEN])?;
            let y = cases.empty("y", &[grok::ROWS, grok::HIDDEN])?;
            Ok(Self { x, y, kind: Activation::Relu })
        });
    }
}
