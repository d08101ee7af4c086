//! How far two models' distributions are apart, computed where both rows of logits are.

use super::token_log_prob::CASE_SIZES;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor, Tolerance,
};
use crate::kernels::checked::{Cases, Checked, Shapes, VOCAB_SIZE};
use crate::kernels::rows::shared_row::SharedRow;

/// `y[t][0] = Σ a (ln a - ln b)`, a and b the softmax of row t of both logits: the divergence of b
/// from a, in nats (Kullback and Leibler 1951). The other three numbers of `y[t]` are zero.
pub struct Divergence {
    /// The first model's logits [T or more, at least V].
    pub logits_a: Tensor,
    /// The second model's.
    pub logits_b: Tensor,
    /// What [`super::TokenLogProb`] made of the first [T or more, 4].
    pub scores_a: Tensor,
    /// What it made of the second.
    pub scores_b: Tensor,
    /// Count of logits that stand for a token, V.
    pub count: usize,
    /// The result [T or more, 4].
    pub y: Tensor,
    /// Count of tokens T.
    pub tokens: usize,
}

impl Kernel for Divergence {
    fn name(&self) -> &'static str {
        "divergence"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("logits_a", &self.logits_a),
            Operand::read("logits_b", &self.logits_b),
            Operand::read("scores_a", &self.scores_a),
            Operand::read("scores_b", &self.scores_b),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let width4 = |logits: &Tensor| logits.dim(1) as u32 / 4;
        vec![
            Parameter::U32("count", self.count as u32),
            Parameter::U32("width_a4", width4(&self.logits_a)),
            Parameter::U32("width_b4", width4(&self.logits_b)),
            Parameter::U32("rows", self.tokens as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "divergence",
            entry: "divergence",
            source: include_str!("../../../shaders/loss/divergence.wgsl"),
            constants: vec![],
            needs: Needs::lanes(64).workgroup_bytes(64 * 4),
            grid: [self.tokens as u32, 1, 1],
        }];
        let shared = SharedRow {
            names: ["divergence_subgroup_row", "divergence_workgroup_row"],
            entry: "divergence_shared_row",
            source: include_str!("../../../shaders/loss/divergence_shared_row.wgsl"),
            texels: self.count.div_ceil(4),
            rows: self.tokens,
        };
        can.allowed(all, shared.strategies(&[]))
    }

    fn cost(&self, _: usize) -> Cost {
        let (logits, tokens) = ((self.tokens * self.count) as u64, self.tokens as u64);
        Cost { read: 8 * logits + 32 * tokens, written: 16 * tokens, operations: 6 * logits }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (a, b) = (memory.f32(&self.logits_a), memory.f32(&self.logits_b));
        let (whole_a, whole_b) = (memory.f32(&self.scores_a), memory.f32(&self.scores_b));
        let y = memory.f32_mut(&self.y);
        for token in 0..self.tokens {
            let row_a = &a[token * self.logits_a.dim(1)..][..self.count];
            let row_b = &b[token * self.logits_b.dim(1)..][..self.count];
            let mut sum = 0.0;
            for (a, b) in row_a.iter().zip(row_b) {
                let (ln_a, ln_b) = (a - whole_a[4 * token], b - whole_b[4 * token]);
                let share = f64::from(ln_a).exp();
                if share > 0.0 {
                    sum += share * f64::from(ln_a - ln_b);
                }
            }
            y[4 * token..][..4].copy_from_slice(&[sum as f32, 0.0, 0.0, 0.0]);
        }
    }

    fn tolerance(&self) -> Tolerance {
        // Positive and negative terms cancel: the error is that of the larger ones.
        Tolerance { absolute: 1e-3, relative: 1e-3 }
    }
}

impl Divergence {
    /// A call on two made-up sets of logits, whose rows may differ in width; `count` logits of a
    /// row stand for a token.
    fn made_up(cases: &mut Cases, count: usize, a: [usize; 2], b: [usize; 2]) -> Result<Self> {
        let tokens = a[0];
        Ok(Self {
            logits_a: cases.filled("logits_a", &a)?,
            logits_b: cases.filled("logits_b", &b)?,
            scores_a: cases.filled("scores_a", &[tokens, 4])?,
            scores_b: cases.filled("scores_b", &[tokens, 4])?,
            count,
            y: cases.empty("y", &[tokens, 4])?,
            tokens,
        })
    }
}

impl Checked for Divergence {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (tokens, count, width) in CASE_SIZES {
            let kernel = Self::made_up(cases, count, [tokens, width], [tokens + 1, width + 4])?;
            cases.add(format!("{tokens} rows of {count} logits"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("SmolLM2-135M compare divergence", |cases| {
            Self::made_up(cases, VOCAB_SIZE, [32, VOCAB_SIZE], [32, VOCAB_SIZE])
        });
    }
}
