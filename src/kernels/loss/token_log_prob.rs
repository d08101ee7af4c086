//! What judging a text needs of the logits, computed where they are: 16 bytes a token instead of a
//! row.

use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, VOCAB_SIZE};
use crate::kernels::rows::shared_row::SharedRow;

/// `scores[t] = (ln Σ exp(logits[t]), logits[t][targets[t]], argmax of logits[t], 0)`.
///
/// The negative log likelihood of the target is the first number less the second, in nats.
pub struct TokenLogProb {
    /// Logits [T or more, V padded to fours].
    pub logits: Tensor,
    /// Count of logits that stand for a token, V: below 2^24, so that an index is exact as a float.
    pub count: usize,
    /// The token ids that follow [T or more].
    pub targets: Tensor,
    /// The result [T or more, 4].
    pub scores: Tensor,
    /// Count of tokens T.
    pub tokens: usize,
}

impl Kernel for TokenLogProb {
    fn name(&self) -> &'static str {
        "token_log_prob"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("logits", &self.logits),
            Operand::read("targets", &self.targets),
            Operand::write("scores", &self.scores),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let width4 = self.logits.dim(1) as u32 / 4;
        vec![
            Parameter::U32("count", self.count as u32),
            Parameter::U32("width4", width4),
            Parameter::U32("rows", self.tokens as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "token_log_prob",
            entry: "token_log_prob",
            source: include_str!("../../../shaders/loss/token_log_prob.wgsl"),
            constants: vec![],
            needs: Needs::lanes(64).workgroup_bytes(64 * 12),
            grid: [self.tokens as u32, 1, 1],
        }];
        let shared = SharedRow {
            names: ["token_log_prob_subgroup_row", "token_log_prob_workgroup_row"],
            entry: "token_log_prob_shared_row",
            source: include_str!("../../../shaders/loss/token_log_prob_shared_row.wgsl"),
            texels: self.count.div_ceil(4),
            rows: self.tokens,
        };
        can.allowed(all, shared.strategies(&[]))
    }

    fn cost(&self, _: usize) -> Cost {
        let (logits, tokens) = ((self.tokens * self.count) as u64, self.tokens as u64);
        // A comparison, a difference, an exponential and an addition for each.
        Cost { read: 4 * logits + 4 * tokens, written: 16 * tokens, operations: 4 * logits }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (logits, targets) = (memory.f32(&self.logits), memory.u32(&self.targets));
        let scores = memory.f32_mut(&self.scores);
        let rows = logits.chunks(self.logits.dim(1)).zip(targets.iter());
        for ((row, &target), score) in rows.zip(scores.chunks_mut(4)).take(self.tokens) {
            let row = &row[..self.count];
            let (mut best, mut largest) = (0, f32::MIN);
            for (index, &logit) in row.iter().enumerate() {
                if logit > largest {
                    (best, largest) = (index, logit);
                }
            }
            let sum: f64 = row.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
            let logsumexp = f64::from(largest) + sum.ln();
            score.copy_from_slice(&[logsumexp as f32, row[target as usize], best as f32, 0.0]);
        }
    }
}

/// Count of tokens, of logits, and the rows' width, of the cases: fewer logits than lanes, not
/// whole texels, rows wider than the count.
pub(super) const CASE_SIZES: [(usize, usize, usize); 4] =
    [(1, 3, 4), (3, 257, 264), (2, 1021, 1024), (5, 4096, 4096)];

impl TokenLogProb {
    pub(super) fn targets(cases: &mut Cases, tokens: usize, count: usize) -> Result<Tensor> {
        let targets: Vec<u32> = (0..tokens).map(|token| (token * 7919 % count) as u32).collect();
        cases.words("targets", &targets)
    }
}

impl Checked for TokenLogProb {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (tokens, count, width) in CASE_SIZES {
            let kernel = Self {
                logits: cases.filled("logits", &[tokens, width])?,
                count,
                targets: Self::targets(cases, tokens, count)?,
                scores: cases.empty("scores", &[tokens, 4])?,
                tokens,
            };
            cases.add(format!("{tokens} rows of {count} logits"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("SmolLM2-135M perplexity likelihood", |cases| {
            let (tokens, count) = (32, VOCAB_SIZE);
            Ok(Self {
                logits: cases.filled("logits", &[tokens, count])?,
                count,
                targets: Self::targets(cases, tokens, count)?,
                scores: cases.empty("scores", &[tokens, 4])?,
                tokens,
            })
        });
    }
}
