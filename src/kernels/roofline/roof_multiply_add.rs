//! Multiply-adds in registers, as fast as the adapter can.

use super::roof_read::CASE_SIZES;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor, widths,
};
use crate::kernels::checked::{Cases, Checked, Shapes};

/// Independent chains of multiply-adds in registers.
pub struct RoofMultiplyAdd {
    /// Where the chains begin, two of them each [L, 4].
    pub x: Tensor,
    /// Sums of the chains [L, 4], L a multiple of 8.
    pub y: Tensor,
    /// Eights of multiply-adds of each chain.
    pub rounds: usize,
    /// How many chains: enough to hide the latency of a multiply-add, few enough for the registers.
    pub chains: usize,
    /// What is multiplied with, less than 1 so that nothing overflows.
    pub factor: f32,
    /// What is added.
    pub addend: f32,
}

/// Multiply-adds between two looks at the loop's counter.
pub(in crate::kernels) const UNROLL: usize = 8;

/// The operands of multiply-adds.
pub(in crate::kernels) fn chain_operands(x: &Tensor, y: &Tensor) -> Vec<Operand> {
    vec![Operand::read("x", x), Operand::write("y", y)]
}

/// The parameters of multiply-adds.
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
    /// Counts of chains to try: a core that starts two multiplications and additions at a time and
    /// has each four steps later wants sixteen, one of few registers has room for twelve.
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
