//! Measures workgroup barriers.

use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes};

/// Passes texels from lane to lane through workgroup memory: `y[lane] = x[(lane + rounds) mod 64]`.
pub struct RoofBarrier {
    /// Input [64, 4].
    pub x: Tensor,
    /// The result [64, 4].
    pub y: Tensor,
    /// How many times the texels are passed on, with two barriers each.
    pub rounds: usize,
}

impl RoofBarrier {
    /// Lanes in the workgroup.
    pub const LANES: usize = 64;
}

impl Kernel for RoofBarrier {
    fn name(&self) -> &'static str {
        "roof_barrier"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("rounds", self.rounds as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let strategy = Strategy {
            name: "roof_barrier",
            entry: "roof_barrier",
            source: include_str!("../../../shaders/roofline/roof_barrier.wgsl"),
            constants: vec![],
            needs: Needs::lanes(64).workgroup_bytes(64 * 16),
            grid: [1, 1, 1],
        };
        can.allowed(vec![strategy], vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: self.x.bytes(), written: self.y.bytes(), operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        for (lane, y) in memory.f32_mut(&self.y).chunks_mut(4).enumerate() {
            y.copy_from_slice(&x[4 * ((lane + self.rounds) % Self::LANES)..][..4]);
        }
    }
}

impl Checked for RoofBarrier {
    fn cases(cases: &mut Cases) -> Result<()> {
        for rounds in [0, 1, 63, 65] {
            let x = cases.filled("x", &[Self::LANES, 4])?;
            let y = cases.empty("y", &[Self::LANES, 4])?;
            cases.add(format!("{rounds} rounds"), Self { x, y, rounds });
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("roof barrier", |cases| {
            let x = cases.filled("x", &[Self::LANES, 4])?;
            Ok(Self { x, y: cases.filled("y", &[Self::LANES, 4])?, rounds: 1024 })
        });
    }
}
