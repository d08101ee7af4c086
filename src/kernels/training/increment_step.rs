//! The counter that distinguishes the steps of a submission.

use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes};

/// `clock[0] += 1`, so that each step of a submission has its own number.
pub struct IncrementStep {
    /// The clock, a uniform tensor.
    pub clock: Tensor,
}

impl Kernel for IncrementStep {
    fn name(&self) -> &'static str {
        "increment_step"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![Operand::read_write("clock", &self.clock)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("by", 1)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "increment_step",
            entry: "increment_step",
            source: include_str!("../../../shaders/training/increment_step.wgsl"),
            constants: vec![],
            needs: Needs::lanes(1),
            grid: [1, 1, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: 4, written: 4, operations: 1 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        memory.u32_mut(&self.clock)[0] += 1;
    }
}

impl Checked for IncrementStep {
    fn cases(cases: &mut Cases) -> Result<()> {
        let clock = cases.words("clock", &[6])?;
        cases.add("from 6", Self { clock });
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training increment_step", |cases| {
            Ok(Self { clock: cases.words("clock", &[0])? })
        });
    }
}
