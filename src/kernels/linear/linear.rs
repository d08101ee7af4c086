//! A product written to a range of columns of its result, with an activation function.

mod cases;

use super::input::{Input, product_methods};
use super::matrix::Part;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::pointwise::activation::gelu;
use crate::kernels::pointwise::normal::gelu_exact;

/// The function applied to the rows of a product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// No function.
    Identity,
    /// GELU in its tanh approximation.
    Gelu,
    /// GELU with the error function.
    GeluExact,
    /// ReLU: max(x, 0).
    Relu,
    /// A soft limit: cap * tanh(x / cap).
    Cap(f32),
}

impl Function {
    /// Name of the file in `shaders/lib` that implements it.
    fn finish(self) -> &'static str {
        match self {
            Self::Identity => "finish_rows",
            Self::Gelu => "finish_gelu",
            Self::GeluExact => "finish_gelu_exact",
            Self::Relu => "finish_relu",
            Self::Cap(_) => "finish_capped",
        }
    }
}

/// `y[t] = f(W · norm(x[t]) + bias)`, where the rows of W go to the columns from `first_row` on in
/// y.
pub struct Linear {
    /// Activations, their normalisation, and the bias of all columns of y.
    pub input: Input,
    /// Weights [R, C], or a part of their rows.
    pub w: Part,
    /// Column of y, and index in the bias, of the first row of w; a multiple of 4.
    pub first_row: usize,
    /// The function f.
    pub function: Function,
    /// The result [T, width].
    pub y: Tensor,
}

impl Kernel for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn operands(&self) -> Vec<Operand> {
        let mut all = self.input.operands(&self.w);
        all.push(Operand::optional("residual", None));
        all.push(Operand::write("y", &self.y));
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut all = self.input.parameters(&self.w);
        all.push(Parameter::U32("width4", self.y.dim(1) as u32 / 4));
        all.push(Parameter::U32("first4", self.first_row as u32 / 4));
        // Without a cap the text equals that of `Matmul`, so its pipeline is shared.
        if let Function::Cap(cap) = self.function {
            all.push(Parameter::F32("softcap", cap));
        }
        all
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.strategies(&self.w, self.function.finish(), false, can)
    }

    fn sizes(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.sizes(&self.w, self.function.finish(), false, can)
    }

    fn necessary(&self, _: usize) -> u64 {
        self.input.necessary(&self.w)
    }

    product_methods!();

    fn cost(&self, _: usize) -> Cost {
        let written = 4 * (self.w.planes.rows4 * 4 * self.input.tokens) as u64;
        self.input.cost(&self.w) + Cost { read: 0, written, operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let products = self.input.reference(&self.w, self.first_row, memory);
        let width = self.y.dim(1);
        let y = memory.f32_mut(&self.y);
        for (token, product) in products {
            for (row, &value) in product.iter().enumerate() {
                y[token * width + self.first_row + row] = match self.function {
                    Function::Identity => value,
                    Function::Gelu => gelu(value),
                    Function::GeluExact => gelu_exact(value),
                    Function::Relu => value.max(0.0),
                    Function::Cap(cap) => cap * (value / cap).tanh(),
                };
            }
        }
    }
}
