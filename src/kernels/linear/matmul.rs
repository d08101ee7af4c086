//! Products of a weight matrix with activations; normalisation, bias and residual are part of the
//! kernel.

mod cases;

use super::input::{Input, product_methods};
use super::matrix::Part;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};

/// `y[t] = W · norm(x[t]) + bias + residual[t]`.
pub struct Matmul {
    /// Activations and their normalisation.
    pub input: Input,
    /// Weights [R, C], or a part of their rows.
    pub w: Part,
    /// Added to the result, with the shape of y.
    pub residual: Option<Tensor>,
    /// The result [T, width]; row r of the matrix is written to column r.
    pub y: Tensor,
}

impl Matmul {
    /// The column of y for row 0 of this part.
    fn first(&self) -> usize {
        if self.input.experts.is_some() { 0 } else { self.w.first }
    }
}

impl Kernel for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn operands(&self) -> Vec<Operand> {
        let mut all = self.input.operands(&self.w);
        all.push(Operand::optional("residual", self.residual.as_ref()));
        all.push(Operand::write("y", &self.y));
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut all = self.input.parameters(&self.w);
        all.push(Parameter::U32("width4", self.y.dim(1) as u32 / 4));
        all.push(Parameter::U32("first4", self.first() as u32 / 4));
        all
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.strategies(&self.w, "finish_rows", false, can)
    }

    fn sizes(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.sizes(&self.w, "finish_rows", false, can)
    }

    fn necessary(&self, _: usize) -> u64 {
        self.input.necessary(&self.w)
    }

    product_methods!();

    fn cost(&self, _: usize) -> Cost {
        let written = 4 * (self.input.rows(&self.w) * self.input.tokens) as u64;
        let residual = if self.residual.is_some() { written } else { 0 };
        self.input.cost(&self.w) + Cost { read: residual, written, operations: residual / 4 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let first = self.first();
        let products = self.input.reference(&self.w, first, memory);
        let residual = self.residual.as_ref().map(|residual| memory.f32(residual));
        let width = self.y.dim(1);
        let y = memory.f32_mut(&self.y);
        for (token, product) in products {
            for (row, value) in product.iter().enumerate() {
                let at = token * width + first + row;
                y[at] = value + residual.as_ref().map_or(0.0, |residual| residual[at]);
            }
        }
    }
}
