//! Measures the peak rate of half-precision multiply-adds in registers.

use super::roof_multiply_add::{UNROLL, chain_operands, chain_parameters};
use super::roof_read::CASE_SIZES;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor,
    Tolerance, widths,
};
use crate::kernels::checked::{Cases, Checked, Shapes};
use half::f16;

/// Chains of halves, of which each register holds four.
const CHAINS: usize = 8;

/// Independent chains of half-precision multiply-adds in registers, four to a register.
pub struct RoofMultiplyAddHalf {
    /// Starting values of the chains [L, 4].
    pub x: Tensor,
    /// Sums of the chains [L, 4], where L is a multiple of 8.
    pub y: Tensor,
    /// Multiply-adds in each chain, divided by eight.
    pub rounds: usize,
    /// Factor of the multiply-adds, less than 1 so that nothing overflows.
    pub factor: f32,
    /// Summand of the multiply-adds.
    pub addend: f32,
}

impl Kernel for RoofMultiplyAddHalf {
    fn name(&self) -> &'static str {
        "roof_multiply_add_half"
    }

    fn operands(&self) -> Vec<Operand> {
        chain_operands(&self.x, &self.y)
    }

    fn parameters(&self) -> Vec<Parameter> {
        chain_parameters(self.rounds, self.factor, self.addend)
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/roofline/roof_multiply_add_half.wgsl");
        let of = |half: bool, names| {
            let constants = [
                ("CHAINS", Constant::Count(CHAINS as u32)),
                ("UNROLL", Constant::Count(UNROLL as u32)),
                ("HALF", Constant::Switch(half)),
            ];
            let named = move |mut strategy: Strategy| {
                strategy.entry = "roof_multiply_add_half";
                strategy.needs = if half { strategy.needs.f16() } else { strategy.needs };
                strategy
            };
            widths(can, names, source, self.y.dim(0), &constants).into_iter().map(named)
        };
        let halves = of(true, ["roof_multiply_add_half", "roof_multiply_add_half_wide"]);
        let rounded = of(false, ["roof_multiply_add_rounded", "roof_multiply_add_rounded_wide"]);
        halves.chain(rounded).filter(|strategy| can.allows(&strategy.needs)).collect()
    }

    fn cost(&self, _: usize) -> Cost {
        let operations = (8 * CHAINS * UNROLL * self.rounds * self.y.dim(0)) as u64;
        Cost { read: self.x.bytes(), written: self.y.bytes(), operations }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        let (factor, addend) =
            (f16::from_f32(self.factor).to_f32(), f16::from_f32(self.addend).to_f32());
        for (y, x) in memory.f32_mut(&self.y).iter_mut().zip(x.iter()) {
            let chain = |k: usize| {
                let start = f16::from_f32(x + k as f32);
                let step = |v: f16, _| f16::from_f32(v.to_f32() * factor + addend);
                (0..UNROLL * self.rounds).fold(start, step).to_f32()
            };
            *y = (0..CHAINS).map(chain).sum();
        }
    }

    /// Devices may or may not round the product: a chain near 2 may then differ by a few steps of
    /// 2^-9, and eight chains are summed.
    fn tolerance(&self) -> Tolerance {
        Tolerance { absolute: 0.06, relative: 0.004 }
    }
}

impl RoofMultiplyAddHalf {
    fn made_up(cases: &mut Cases, lanes: usize, rounds: usize) -> Result<Self> {
        let x = cases.filled("x", &[lanes, 4])?;
        let y = cases.empty("y", &[lanes, 4])?;
        Ok(Self { x, y, rounds, factor: 0.75, addend: 0.5 })
    }
}

impl Checked for RoofMultiplyAddHalf {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (lanes, rounds, _) in CASE_SIZES {
            let kernel = Self::made_up(cases, lanes, rounds)?;
            cases.add(format!("{lanes} lanes, {rounds} rounds"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("roof multiply_add_half", |cases| Self::made_up(cases, 2048, 256));
    }
}
