//! The gradient of an activation function.

use super::activation::Activation;
use super::pointwise::pointwise;
use super::pointwise::{CASE_ROWS, CASE_WIDTH};
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// `dx = f'(x) * dy (+ base)`.
pub struct ActivateBackward {
    /// Input of the activation.
    pub x: Tensor,
    /// Gradient of the output.
    pub dy: Tensor,
    /// Sum to add to the gradient of the input.
    pub base: Option<Tensor>,
    /// Gradient of the input.
    pub dx: Tensor,
    /// The function f.
    pub kind: Activation,
}

impl Kernel for ActivateBackward {
    fn name(&self) -> &'static str {
        "activate_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("x", &self.x),
            Operand::read("dy", &self.dy),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("dx", &self.dx),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("texels", self.dx.len().div_ceil(4) as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let constants = vec![("KIND", Constant::Word(self.kind.word()))];
        let source = include_str!("../../../shaders/pointwise/activate_backward.wgsl");
        pointwise("activate_backward", source, self.dx.len().div_ceil(4), constants, can)
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.dx.len() as u64;
        Cost { read: 8 * count, written: 4 * count, operations: 2 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (x, dy) = (memory.f32(&self.x), memory.f32(&self.dy));
        let base = self.base.as_ref().map(|base| memory.f32(base));
        for (i, dx) in memory.f32_mut(&self.dx).iter_mut().enumerate() {
            *dx = self.kind.at(x[i]).1 * dy[i] + base.as_ref().map_or(0.0, |base| base[i]);
        }
    }
}

impl Checked for ActivateBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, rows) in CASE_ROWS.into_iter().enumerate() {
            let shape = [rows, CASE_WIDTH];
            for kind in [Activation::Relu, Activation::Gelu] {
                let kernel = Self {
                    x: cases.filled("x", &shape)?,
                    dy: cases.filled("dy", &shape)?,
                    base: cases.filled_if(index % 2 == 1, "base", &shape)?,
                    dx: cases.empty("dx", &shape)?,
                    kind,
                };
                cases.add(format!("{kind:?}, {rows} rows"), kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training activate_backward", |cases| {
            let shape = [grok::ROWS, grok::HIDDEN];
            let (x, dy) = (cases.filled("x", &shape)?, cases.filled("dy", &shape)?);
            let dx = cases.empty("dx", &shape)?;
            Ok(Self { x, dy, base: None, dx, kind: Activation::Relu })
        });
    }
}
