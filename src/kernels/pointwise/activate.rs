//! Activations: ReLU, GELU, and their gradients.

use super::pointwise::pointwise;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy,
    Target, Tensor,
};
use crate::kernels::linear::matmul::gelu;

/// A function of single numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// x Φ(x) in its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415)
    Gelu,
}

impl Activation {
    fn word(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
        }
    }

    /// Its value and its slope.
    fn at(self, x: f32) -> (f32, f32) {
        match self {
            Self::Relu => (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }),
            Self::Gelu => {
                let root = (2.0 / std::f32::consts::PI).sqrt();
                let t = (root * (x + 0.044715 * x * x * x)).tanh();
                let slope = 0.5 * x * (1.0 - t * t) * root * (1.0 + 3.0 * 0.044715 * x * x);
                (gelu(x), 0.5 * (1.0 + t) + slope)
            }
        }
    }
}

/// `y = f(x)`.
pub struct Activate {
    /// Input.
    pub x: Tensor,
    /// The result, as large.
    pub y: Tensor,
    /// f.
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

/// `dx = f'(x) * dy (+ base)`.
pub struct ActivateBackward {
    /// Input of the activation.
    pub x: Tensor,
    /// Gradient of its output.
    pub dy: Tensor,
    /// Gradient of its input so far.
    pub base: Option<Tensor>,
    /// Gradient of its input.
    pub dx: Tensor,
    /// f.
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
