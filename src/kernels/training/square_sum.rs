//! Sums of squares, for clipping gradients by the norm of all of them.

use super::optimizer_step::CASE_SIZES;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// `total[0]` = sum of squares of x (+ `base[0]`). Chained over all gradients, this gives the
/// square of their norm.
pub struct SquareSum {
    /// The numbers to square.
    pub x: Tensor,
    /// The sum so far, bits of f32, a uniform tensor of 4.
    pub base: Option<Tensor>,
    /// The sum, bits of f32, a uniform tensor of 4.
    pub total: Tensor,
}

impl Kernel for SquareSum {
    fn name(&self) -> &'static str {
        "square_sum"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("x", &self.x),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("total", &self.total),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("texels", self.x.len().div_ceil(4) as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "square_sum",
            entry: "square_sum",
            source: include_str!("../../../shaders/training/square_sum.wgsl"),
            constants: vec![],
            needs: Needs::lanes(64).workgroup_bytes(64 * 4),
            grid: [1, 1, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.x.len() as u64;
        Cost { read: 4 * count, written: 4, operations: 2 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let sum: f32 = memory.f32(&self.x).iter().map(|x| x * x).sum();
        let base = self.base.as_ref().map_or(0.0, |base| f32::from_bits(memory.u32(base)[0]));
        memory.u32_mut(&self.total).copy_from_slice(&[(sum + base).to_bits(), 0, 0, 0]);
    }
}

impl SquareSum {
    /// Whole numbers, whose sums are exact in every order, so that results can be compared as bits.
    fn of_whole(cases: &mut Cases, count: usize, base: Option<Tensor>) -> Result<Self> {
        let whole = (0..count).map(|n| (n % 3) as f32).collect();
        let x = cases.given("x", &[count], whole)?;
        Ok(Self { x, base, total: cases.words("total", &[0; 4])? })
    }
}

impl Checked for SquareSum {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, count) in CASE_SIZES.into_iter().enumerate() {
            let base = match index {
                0 => None,
                _ => Some(cases.words("base", &[5f32.to_bits(), 0, 0, 0])?),
            };
            let kernel = Self::of_whole(cases, count, base)?;
            cases.add(format!("{count} numbers"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training square_sum", |cases| Self::of_whole(cases, grok::NUMBERS, None));
    }
}
