//! Greedy choice of the next token on the device.

use super::shared_row::SharedRow;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, MODEL_STEPS, Shapes};

/// `ids[0]` = index of the largest logit (the lowest index among equals, V if no logit is a
/// number), `step[0]` += advance.
pub struct Argmax {
    /// Logits [1, V padded to fours].
    pub logits: Tensor,
    /// Number of logits without padding V.
    pub count: usize,
    /// Receives the choice: the next step's input.
    pub ids: Tensor,
    /// Word 0: the position, which is advanced.
    pub step: Tensor,
    /// Tokens computed in the step.
    pub advance: usize,
}

impl Kernel for Argmax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("logits", &self.logits),
            Operand::write("ids", &self.ids),
            Operand::read_write("step", &self.step),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("count", self.count as u32),
            Parameter::U32("advance", self.advance as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "argmax",
            entry: "argmax",
            source: include_str!("../../../shaders/rows/argmax.wgsl"),
            constants: vec![],
            needs: Needs::lanes(64).workgroup_bytes(64 * 8),
            grid: [1, 1, 1],
        }];
        let shared = SharedRow {
            names: ["argmax_subgroup_row", "argmax_workgroup_row"],
            entry: "argmax_shared_row",
            source: include_str!("../../../shaders/rows/argmax_shared_row.wgsl"),
            texels: self.count.div_ceil(4),
            rows: 1,
        };
        can.allowed(all, shared.strategies(&[]))
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: 4 * self.count as u64, written: 8, operations: self.count as u64 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let logits = memory.f32(&self.logits);
        let (mut best, mut value) = (self.count, f32::MIN);
        for (index, &logit) in logits.iter().enumerate().take(self.count) {
            if logit > value {
                (best, value) = (index, logit);
            }
        }
        memory.u32_mut(&self.ids)[0] = best as u32;
        memory.u32_mut(&self.step)[0] += self.advance as u32;
    }
}

impl Checked for Argmax {
    fn cases(cases: &mut Cases) -> Result<()> {
        // The largest logit first, last, twice (the first counts), in the padding (does not count),
        // all equal, and no numbers.
        let rows: [(usize, &[(usize, f32)]); 6] = [
            (1, &[(0, 1.0)]),
            (1021, &[(1020, 9.0)]),
            (1024, &[(700, 9.0), (300, 9.0)]),
            (33, &[(34, 99.0), (7, 9.0)]),
            (49152, &[]),
            (5, &[(0, -9.0), (1, -8.0), (2, -7.0), (3, -8.0), (4, -9.0)]),
        ];
        for (count, largest) in rows {
            let padded = count.next_multiple_of(4);
            let mut values = cases.numbers(padded, 1.0);
            if largest.is_empty() {
                values.fill(0.0);
            }
            for &(index, value) in largest {
                values[index.min(padded - 1)] = value;
            }
            let kernel = Self {
                logits: cases.given("logits", &[1, padded], values)?,
                count,
                ids: cases.words("ids", &[5])?,
                step: cases.words("step", &[41])?,
                advance: 3,
            };
            cases.add(format!("{count} logits, largest {largest:?}"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        for step in MODEL_STEPS.iter().filter(|step| step.vocab_size > 0 && step.tokens == 1) {
            shapes.add_of_model(step, "argmax", |cases, step| {
                Ok(Self {
                    logits: cases.filled("logits", &[1, step.vocab_size])?,
                    count: step.vocab_size,
                    ids: cases.words("ids", &[0])?,
                    step: cases.words("step", &[0])?,
                    advance: 0,
                })
            });
        }
    }
}
