//! Measures the peak rate of multiply-adds in registers.

use super::roof_read::CASE_SIZES;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor, widths,
};
use crate::kernels::checked::{Cases, Checked, Shapes};

/// Independent chains of multiply-adds in registers.
pub struct RoofMultiplyAdd {
    /// Two starting values for the chains of each lane, [L, 4] each.
    pub x: Tensor,
    /// Sums of the chains [L, 4], where L is a multiple of 8.
    pub y: Tensor,
    /// Multiply-adds in each chain, divided by eight.
    pub rounds: usize,
    /// Number of chains: enough to hide the latency of a multiply-add, and few enough for the
    /// registers.
    pub chains: usize,
    /// Factor of the multiply-adds, less than 1 so that nothing overflows.
    pub factor: f32,
    /// Summand of the multiply-adds.
    pub addend: f32,
}

/// Multiply-adds in one loop iteration.
pub(in crate::kernels) const UNROLL: usize = 8;

/// The operands of multiply-add kernels.
pub(in crate::kernels) fn chain_operands(x: &Tensor, y: &Tensor) -> Vec<Operand> {
    vec![Operand::read("x", x), Operand::write("y", y)]
}

/// The parameters of multiply-add kernels.
pub(in crate::kernels) fn chain_parameters(
    rounds: usize,
    factor: f32,
    addend: f32,
) -> Vec<Parameter> {
    vec![
        Parameter::U32("rounds", rounds as u32),
        Parameter::F32("factor", factor),
        Parameter::F32("addend", addend),
    ]
}

impl RoofMultiplyAdd {
    /// Numbers of chains to try. A core that starts two multiplications and two additions at a
    /// time, each with a latency of four steps, needs sixteen; one with few registers has room
    /// for twelve.
    pub const CHAINS: [usize; 4] = [8, 12, 16, 24];
}

impl Kernel for RoofMultiplyAdd {
    fn name(&self) -> &'static str {
        "roof_multiply_add"
    }

    fn operands(&self) -> Vec<Operand> {
        chain_operands(&self.x, &self.y)
    }

    fn parameters(&self) -> Vec<Parameter> {
        chain_parameters(self.rounds, self.factor, self.addend)
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/roofline/roof_multiply_add.wgsl");
        let chains = [
            ("CHAINS", Constant::Count(self.chains as u32)),
            ("UNROLL", Constant::Count(UNROLL as u32)),
        ];
        let names = ["roof_multiply_add", "roof_multiply_add_wide"];
        widths(can, names, source, self.y.dim(0), &chains)
    }

    fn cost(&self, _: usize) -> Cost {
        let operations = (2 * self.chains * UNROLL * self.rounds * self.y.dim(0)) as u64;
        Cost { read: self.x.bytes(), written: self.y.bytes(), operations }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        for (sums, x) in memory.f32_mut(&self.y).chunks_mut(4).zip(x.chunks(4)) {
            sums.fill(0.0);
            for chain in 0..self.chains {
                let start = x[chain % 4] + chain as f32;
                let end = (0..UNROLL * self.rounds)
                    .fold(start, |value, _| value * self.factor + self.addend);
                sums[chain % 4] += end;
            }
        }
    }
}

impl RoofMultiplyAdd {
    fn made_up(cases: &mut Cases, lanes: usize, rounds: usize, chains: usize) -> Result<Self> {
        let x = cases.filled("x", &[lanes, 4])?;
        let y = cases.empty("y", &[lanes, 4])?;
        Ok(Self { x, y, rounds, chains, factor: 0.75, addend: 0.5 })
    }
}

impl Checked for RoofMultiplyAdd {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (lanes, rounds, _) in CASE_SIZES {
            for chains in Self::CHAINS {
                let kernel = Self::made_up(cases, lanes, rounds, chains)?;
                cases.add(format!("{lanes} lanes, {rounds} rounds of {chains} chains"), kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("roof multiply_add", |cases| Self::made_up(cases, 2048, 256, Self::CHAINS[0]));
    }
}
