//! Shared by the optimisers: the learning rate of a step, and gradient clipping.
//!
//! A lane reads only the numbers that it writes. So the successor of a tensor may have the same
//! memory where the device can bind a tensor for reading and writing; elsewhere the two are
//! separate.

use crate::Result;
use crate::gpu::{HostMemory, Operand, Parameter, Tensor};
use crate::kernels::checked::Cases;

/// The inputs shared by the steps of all parameters.
#[derive(Clone)]
pub struct Step {
    /// Word 0: the row of the schedule to use.
    pub clock: Tensor,
    /// Rows of rate, 1 / (1 - b1^step), 1 / (1 - b2^step), 0: bits of f32, a uniform tensor.
    pub schedule: Tensor,
    /// The squared norm of all gradients, and the largest norm that is not clipped; `None` never
    /// clips.
    pub clip: Option<(Tensor, f32)>,
}

impl Step {
    pub(super) fn operands(&self) -> [Operand; 3] {
        [
            Operand::read("clock", &self.clock),
            Operand::read("schedule", &self.schedule),
            Operand::optional("squares", self.clip.as_ref().map(|(squares, _)| squares)),
        ]
    }

    pub(super) fn limit(&self) -> Parameter {
        Parameter::F32("limit", self.clip.as_ref().map_or(0.0, |(_, limit)| *limit))
    }

    /// The current row of the schedule, and the factor of the gradients.
    pub(super) fn now(&self, memory: &mut HostMemory) -> ([f32; 3], f32) {
        let row = memory.u32(&self.clock)[0] as usize;
        let schedule = memory.u32(&self.schedule);
        let now = [0, 1, 2].map(|part| f32::from_bits(schedule[4 * row + part]));
        let clip = self.clip.as_ref().map_or(1.0, |(squares, limit)| {
            let norm = f32::from_bits(memory.u32(squares)[0]).sqrt();
            (limit / (norm + 1e-6)).min(1.0)
        });
        (now, clip)
    }
}

/// Sizes of a parameter in the cases of the optimisers.
pub(super) const CASE_SIZES: [usize; 3] = [4, 256, 1300];

impl Step {
    /// The second of three rows of a schedule, with or without clipping.
    pub(super) fn of_case(cases: &mut Cases, clipped: bool) -> Result<Self> {
        let schedule = [[0.0f32; 4], [0.01, 2.0, 3.0, 0.0], [9.0; 4]].concat();
        let squares = [4.0f32, 0.0, 0.0, 0.0].map(f32::to_bits);
        Ok(Self {
            clock: cases.words("clock", &[1])?,
            schedule: cases.words("schedule", bytemuck::cast_slice(&schedule))?,
            clip: if clipped { Some((cases.words("squares", &squares)?, 1.5)) } else { None },
        })
    }
}
