//! The gated half of a feed-forward layer: two matrix products and their combination.

mod cases;

use super::input::{Input, product_methods};
use super::matrix::Part;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::pointwise::activation::gelu;

/// The activation function of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// x / (1 + exp(-x)).
    Silu,
    /// GELU in its approximation by tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415).
    Gelu,
}

impl Gate {
    /// Name of the file in `shaders/lib` that implements it.
    fn finish(self) -> &'static str {
        match self {
            Self::Silu => "finish_swiglu",
            Self::Gelu => "finish_geglu",
        }
    }

    fn apply(self, x: f32) -> f32 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Gelu => gelu(x),
        }
    }
}

/// `y[t] = gate(W_gate · x) * (W_up · x)`. W, or the part of each expert in it, has the rows of
/// W_gate followed by those of W_up.
pub struct GateUp {
    /// Activations and their normalisation.
    pub input: Input,
    /// Weights [2 F, C], where F is a multiple of 64.
    pub w: Part,
    /// The result [T, F].
    pub y: Tensor,
    /// The activation function of the gate.
    pub gate: Gate,
}

impl Kernel for GateUp {
    fn name(&self) -> &'static str {
        "gate_up"
    }

    fn operands(&self) -> Vec<Operand> {
        // The slots of a gate group and its up group differ by a multiple of sixteen.
        let rows = self.input.rows(&self.w);
        assert_eq!(rows % 128, 0, "{}: gate and up are not whole tiles", self.w.tensor.label());
        assert_eq!(
            rows,
            2 * self.y.dim(1),
            "{}: gate and up are of another width",
            self.w.tensor.label()
        );
        let mut all = self.input.operands(&self.w);
        all.push(Operand::write("y", &self.y));
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut all = self.input.parameters(&self.w);
        all.push(Parameter::U32("half4", self.y.dim(1) as u32 / 4));
        all
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.strategies(&self.w, self.gate.finish(), true, can)
    }

    fn sizes(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.sizes(&self.w, self.gate.finish(), true, can)
    }

    fn necessary(&self, _: usize) -> u64 {
        self.input.necessary(&self.w)
    }

    product_methods!();

    fn cost(&self, _: usize) -> Cost {
        let outputs = (self.y.dim(1) * self.input.tokens) as u64;
        self.input.cost(&self.w) + Cost { read: 0, written: 4 * outputs, operations: 4 * outputs }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let half = self.y.dim(1);
        let products = self.input.reference(&self.w, 0, memory);
        let y = memory.f32_mut(&self.y);
        for (token, product) in products {
            let (gate, up) = product.split_at(half);
            let y = &mut y[token * half..][..half];
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                *y = self.gate.apply(*gate) * up;
            }
        }
    }
}
