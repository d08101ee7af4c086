//! Greedy choice on the device.

use super::shared_row::SharedRow;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};

/// `ids[0]` = index of the largest logit (the lowest where several are equal, V where none is a
/// number), `step[0]` += advance.
pub struct Argmax {
    /// Logits [1, V padded to fours].
    pub logits: Tensor,
    /// Count of logits that stand for a token.
    pub count: usize,
    /// Where the choice goes: the next step's input.
    pub ids: Tensor,
    /// Word 0: position, advanced.
    pub step: Tensor,
    /// Tokens the step computed.
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
