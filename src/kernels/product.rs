//! Products of a weight matrix with activations, with the normalisation before and what follows in the same kernel.

use super::matrix::Part;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Surplus, Tensor, Tolerance,
};

/// The shared half of the products: `W · norm(x[t]) + bias` for tokens t.
#[derive(Clone)]
pub struct Input {
    /// Activations [T, C].
    pub x: Tensor,
    /// RMSNorm's gain `[C]`; without it x is taken as it is.
    pub gain: Option<Tensor>,
    /// RMSNorm's epsilon.
    pub eps: f32,
    /// What is added to the rows of the whole matrix, padded to fours.
    pub bias: Option<Tensor>,
    /// Row of x that token 0 stands for.
    pub first_token: usize,
    /// Count of tokens.
    pub tokens: usize,
}

impl Input {
    /// `tokens` tokens from the first on, normalised with `gain`.
    pub fn normed(x: &Tensor, gain: &Tensor, eps: f32, tokens: usize) -> Self {
        Self { x: x.clone(), gain: Some(gain.clone()), eps, bias: None, first_token: 0, tokens }
    }

    /// `tokens` tokens from the first on, as they are.
    pub fn plain(x: &Tensor, tokens: usize) -> Self {
        Self { x: x.clone(), gain: None, eps: 0.0, bias: None, first_token: 0, tokens }
    }

    /// And with a bias.
    pub fn with_bias(self, bias: Option<&Tensor>) -> Self {
        Self { bias: bias.cloned(), ..self }
    }

    pub(super) fn operands(&self, w: &Part) -> Vec<Operand> {
        assert_eq!(self.x.dim(1), w.planes.blocks * 32, "{}: x and W differ in width", w.tensor.label());
        vec![
            Operand::read("x", &self.x),
            Operand::optional("gain", self.gain.as_ref()),
            Operand::read("w", &w.tensor),
            Operand::optional("bias", self.bias.as_ref()),
        ]
    }

    pub(super) fn parameters(&self, w: &Part) -> Vec<Parameter> {
        let mut all = w.parameters();
        all.extend([
            Parameter::F32("columns", w.columns() as f32),
            Parameter::F32("eps", self.eps),
            Parameter::U32("first_token", self.first_token as u32),
            Parameter::U32("tokens", self.tokens as u32),
        ]);
        all
    }

    /// The product [tokens, rows] in plain loops, rows padded to fours. Row 0 takes number `first` of the bias.
    pub(super) fn reference(&self, w: &Part, first: usize, memory: &mut HostMemory) -> Vec<f32> {
        let width = w.planes.blocks * 32;
        let rows = w.planes.rows4 * 4;
        let x = memory.f32(&self.x);
        let gain = self.gain.as_ref().map(|gain| memory.f32(gain));
        let bias = self.bias.as_ref().map(|bias| memory.f32(bias));
        let normed: Vec<f32> = (0..self.tokens)
            .flat_map(|token| {
                let x = &x[(self.first_token + token) * width..][..width];
                match &gain {
                    None => x.to_vec(),
                    Some(gain) => {
                        let squares: f32 = x.iter().map(|v| v * v).sum();
                        let rms = 1.0 / (squares / w.columns() as f32 + self.eps).sqrt();
                        x.iter().zip(gain.iter()).map(|(v, g)| v * rms * g).collect()
                    }
                }
            })
            .collect();
        let mut y = vec![0.0; self.tokens * rows];
        let mut weights = vec![0.0; w.columns()];
        for row in 0..w.rows() {
            w.row_f32(row, &mut weights);
            for token in 0..self.tokens {
                let x = &normed[token * width..];
                let sum: f32 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
                y[token * rows + row] = sum + bias.as_ref().map_or(0.0, |bias| bias[first + row]);
            }
        }
        y
    }
}

/// Sums of a thousand terms in another order, of weights up to a few units.
pub(super) const TOLERANCE: Tolerance = Tolerance { absolute: 1e-3, relative: 1e-3 };

/// `y[t] = W · norm(x[t]) + bias + residual[t]`.
pub struct Product {
    /// Activations and their normalisation.
    pub input: Input,
    /// Weights [R, C], or a part of their rows.
    pub w: Part,
    /// What is added, of y's shape.
    pub residual: Option<Tensor>,
    /// The result [T, width]; row r of the matrix goes to column r.
    pub y: Tensor,
}

impl Kernel for Product {
    fn name(&self) -> &'static str {
        "product"
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
        all.push(Parameter::U32("first4", self.w.first as u32 / 4));
        all
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.strategies(&self.w, "finish_rows", false, can)
    }

    fn sizes(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.sizes(&self.w, "finish_rows", false, can)
    }

    fn necessary(&self, _: usize) -> u64 {
        self.w.row_bytes() * self.w.rows() as u64
    }

    fn surplus(&self, strategy: &Strategy, _: usize) -> Surplus {
        self.input.surplus(&self.w, strategy)
    }

    fn shape(&self) -> String {
        self.input.shape(&self.w)
    }

    fn cost(&self, _: usize) -> Cost {
        let written = 4 * (self.w.planes.rows4 * 4 * self.input.tokens) as u64;
        let residual = if self.residual.is_some() { written } else { 0 };
        self.input.cost(&self.w) + Cost { read: residual, written, operations: residual / 4 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let rows = self.w.planes.rows4 * 4;
        let product = self.input.reference(&self.w, self.w.first, memory);
        let residual = self.residual.as_ref().map(|residual| memory.f32(residual));
        let width = self.y.dim(1);
        let y = memory.f32_mut(&self.y);
        for (token, product) in product.chunks(rows).enumerate() {
            for (row, value) in product.iter().enumerate() {
                let at = token * width + self.w.first + row;
                y[at] = value + residual.as_ref().map_or(0.0, |residual| residual[at]);
            }
        }
    }

    fn tolerance(&self) -> Tolerance {
        TOLERANCE
    }
}

/// What a gate goes through before it is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// x / (1 + exp(-x)).
    Silu,
    /// GELU in its approximation by tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415).
    Gelu,
}

impl Gate {
    /// The file in `shaders/lib`.
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

/// The approximation by tanh.
pub(super) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh())
}

/// `y[t] = gate(W_gate · x) * (W_up · x)`, the rows of W being those of the gate and then those of up. No bias.
pub struct GateUp {
    /// Activations and their normalisation.
    pub input: Input,
    /// Weights [2 F, C], F a multiple of 64.
    pub w: Part,
    /// The result [T, F].
    pub y: Tensor,
    /// What the gate goes through.
    pub gate: Gate,
}

impl Kernel for GateUp {
    fn name(&self) -> &'static str {
        "gate_up"
    }

    fn operands(&self) -> Vec<Operand> {
        // The slots of a gate group and its up group differ by a whole number of sixteens.
        assert_eq!(self.w.rows() % 128, 0, "{}: gate and up are not whole tiles", self.w.tensor.label());
        assert!(self.input.bias.is_none(), "{}: gate and up have no bias", self.w.tensor.label());
        let mut all = self.input.operands(&self.w);
        all.push(Operand::write("y", &self.y));
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut all = self.input.parameters(&self.w);
        all.push(Parameter::U32("half4", self.w.planes.rows4 as u32 / 2));
        all
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.strategies(&self.w, self.gate.finish(), true, can)
    }

    fn sizes(&self, can: &Capabilities) -> Vec<Strategy> {
        self.input.sizes(&self.w, self.gate.finish(), true, can)
    }

    fn necessary(&self, _: usize) -> u64 {
        self.w.row_bytes() * self.w.rows() as u64
    }

    fn surplus(&self, strategy: &Strategy, _: usize) -> Surplus {
        self.input.surplus(&self.w, strategy)
    }

    fn shape(&self) -> String {
        self.input.shape(&self.w)
    }

    fn cost(&self, _: usize) -> Cost {
        let outputs = (self.y.dim(1) * self.input.tokens) as u64;
        self.input.cost(&self.w) + Cost { read: 0, written: 4 * outputs, operations: 4 * outputs }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let half = self.y.dim(1);
        let product = self.input.reference(&self.w, self.w.first, memory);
        let y = memory.f32_mut(&self.y);
        for (y, product) in y.chunks_mut(half).zip(product.chunks(2 * half)) {
            let (gate, up) = product.split_at(half);
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                *y = self.gate.apply(*gate) * up;
            }
        }
    }

    fn tolerance(&self) -> Tolerance {
        TOLERANCE
    }
}
