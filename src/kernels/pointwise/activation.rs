//! Activation functions of single numbers and their derivatives.

/// An activation function of a single number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// ReLU: max(x, 0).
    Relu,
    /// GELU, x Φ(x), in its tanh approximation (Hendrycks and Gimpel 2016, arXiv:1606.08415).
    Gelu,
}

impl Activation {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
        }
    }

    /// The function's value and derivative at `x`.
    pub(super) fn at(self, x: f32) -> (f32, f32) {
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

/// GELU in its tanh approximation (Hendrycks and Gimpel 2016, arXiv:1606.08415).
pub(in crate::kernels) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh())
}

/// SiLU, x / (1 + exp(-x)), and its derivative.
pub(in crate::kernels) fn silu(gate: f32) -> (f32, f32) {
    let s = 1.0 / (1.0 + (-gate).exp());
    (gate * s, s * (1.0 + gate * (1.0 - s)))
}
