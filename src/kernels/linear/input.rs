//! The inputs that all products share: activations, their normalisation, and a bias.

use super::matrix::Part;
use crate::format::DType;
use crate::gpu::{HostMemory, Operand, Parameter, Tensor, Tolerance};
use crate::kernels::moe::experts::Experts;

/// The methods of [`crate::gpu::Kernel`] that are the same for all products: kernels with an
/// [`Input`] `input` and a part of a matrix `w`.
macro_rules! product_methods {
    () => {
        fn surplus(&self, strategy: &$crate::gpu::Strategy, _: usize) -> $crate::gpu::Surplus {
            self.input.surplus(&self.w, strategy)
        }

        fn iterations(&self, strategy: &$crate::gpu::Strategy) -> Option<usize> {
            self.input.iterations(&self.w, strategy)
        }

        fn shape(&self) -> String {
            self.input.shape(&self.w)
        }

        fn tolerance(&self) -> $crate::gpu::Tolerance {
            $crate::kernels::linear::input::TOLERANCE
        }
    };
}

pub(in crate::kernels) use product_methods;

/// The shared part of the products: `W · norm(x[t]) + bias` for tokens t.
#[derive(Clone)]
pub struct Input {
    /// Activations [T, C].
    pub x: Tensor,
    /// RMSNorm's gain `[C]`; `None` uses x without normalisation.
    pub gain: Option<Tensor>,
    /// Epsilon of RMSNorm.
    pub eps: f32,
    /// Added to the rows of the whole matrix, padded to fours: one bias for all tokens `[R]`, or
    /// one for each token [T, R].
    pub bias: Option<Tensor>,
    /// The row of x for token 0.
    pub first_token: usize,
    /// Number of tokens T.
    pub tokens: usize,
    /// The chosen experts, if W is a stack of experts.
    pub experts: Option<Experts>,
}

/// Allows for sums of a thousand terms in another order, with weights up to a few units.
pub(in crate::kernels) const TOLERANCE: Tolerance = Tolerance { absolute: 1e-3, relative: 1e-3 };

impl Input {
    /// The first `tokens` tokens, normalised with `gain`.
    pub fn normed(x: &Tensor, gain: &Tensor, eps: f32, tokens: usize) -> Self {
        Self { gain: Some(gain.clone()), eps, ..Self::plain(x, tokens) }
    }

    /// The first `tokens` tokens without normalisation.
    pub fn plain(x: &Tensor, tokens: usize) -> Self {
        Self {
            x: x.clone(),
            gain: None,
            eps: 0.0,
            bias: None,
            first_token: 0,
            tokens,
            experts: None,
        }
    }

    /// This input with `bias` added to the products.
    pub fn with_bias(self, bias: Option<&Tensor>) -> Self {
        Self { bias: bias.cloned(), ..self }
    }

    pub(in crate::kernels) fn operands(&self, w: &Part) -> Vec<Operand> {
        let label = w.tensor.label();
        assert_eq!(self.x.dim(1), w.planes.blocks * 32, "{label}: x and W differ in width");
        if let Some(experts) = &self.experts {
            assert!(self.bias.is_none() && self.first_token == 0, "{label}: experts have neither");
            experts.check(w);
        }
        let mut all = vec![
            Operand::read("x", &self.x),
            Operand::optional("gain", self.gain.as_ref()),
            Operand::read_halves("w", &w.tensor, w.dtype() == DType::F16),
            Operand::optional("bias", self.bias.as_ref()),
            Operand::optional("routes", self.experts.as_ref().map(|experts| &experts.routes)),
        ];
        let groups = self.experts.as_ref().and_then(|experts| experts.groups.as_ref());
        all.extend(groups.map(|groups| Operand::read("groups", groups)));
        all
    }

    pub(in crate::kernels) fn parameters(&self, w: &Part) -> Vec<Parameter> {
        let mut all = w.parameters(self.rows(w) / 4);
        all.extend([
            Parameter::F32("columns", w.columns() as f32),
            Parameter::F32("eps", self.eps),
            Parameter::U32("first_token", self.first_token as u32),
            Parameter::U32("tokens", self.tokens as u32),
            Parameter::U32("bias_width4", self.bias_width() as u32 / 4),
        ]);
        if let Some(experts) = &self.experts {
            all.extend(experts.parameters(w, self.tokens));
        }
        all
    }

    /// Rows that a token is multiplied with: those of W or of one expert, padded to fours.
    pub(in crate::kernels) fn rows(&self, w: &Part) -> usize {
        self.experts.as_ref().map_or(w.planes.rows4 * 4, |experts| experts.rows)
    }

    /// Numbers between the biases of consecutive tokens.
    fn bias_width(&self) -> usize {
        self.bias.as_ref().filter(|bias| bias.shape().len() == 2).map_or(0, |bias| bias.dim(1))
    }

    /// Computes the tokens' products in plain loops, each with its token index and padded to fours.
    /// Row 0 uses number `first` of the bias. Tokens whose expert is in another part are left out.
    pub(in crate::kernels) fn reference(
        &self,
        w: &Part,
        first: usize,
        memory: &mut HostMemory,
    ) -> Vec<(usize, Vec<f32>)> {
        let width = w.planes.blocks * 32;
        let rows = self.rows(w);
        let normed = self.reference_norm(w, memory);
        let bias = self.bias.as_ref().map(|bias| memory.f32(bias));
        let stride = self.bias_width();
        // The first row of each token's expert.
        let begin: Vec<Option<usize>> = match &self.experts {
            None => vec![Some(0); self.tokens],
            Some(experts) => experts.reference_rows(w, self.tokens, memory),
        };
        let mut y: Vec<Vec<f32>> = vec![vec![0.0; rows]; self.tokens];
        let mut weights = vec![0.0; w.columns()];
        for stack_row in 0..w.rows() {
            let mut read = false;
            for token in 0..self.tokens {
                let Some(begin) = begin[token] else { continue };
                if !(begin..begin + rows).contains(&stack_row) {
                    continue;
                }
                if !read {
                    w.row_f32(stack_row, &mut weights);
                    read = true;
                }
                let row = stack_row - begin;
                let x = &normed[token * width..];
                let sum: f32 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
                y[token][row] =
                    sum + bias.as_ref().map_or(0.0, |bias| bias[token * stride + first + row]);
            }
        }
        let computed = y.into_iter().enumerate();
        computed.filter(|(token, _)| begin[*token].is_some()).collect()
    }

    /// The normalised activations of the tokens [tokens, width].
    fn reference_norm(&self, w: &Part, memory: &mut HostMemory) -> Vec<f32> {
        let width = w.planes.blocks * 32;
        let x = memory.f32(&self.x);
        let gain = self.gain.as_ref().map(|gain| memory.f32(gain));
        let share = self.experts.as_ref().map_or(1, |experts| experts.share);
        let normed = |token: usize| {
            let x = &x[(self.first_token + token / share) * width..][..width];
            match &gain {
                None => x.to_vec(),
                Some(gain) => {
                    let squares: f32 = x.iter().map(|v| v * v).sum();
                    let rms = 1.0 / (squares / w.columns() as f32 + self.eps).sqrt();
                    x.iter().zip(gain.iter()).map(|(v, g)| v * rms * g).collect()
                }
            }
        };
        (0..self.tokens).flat_map(normed).collect()
    }
}
