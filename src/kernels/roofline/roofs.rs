//! Kernels that do one thing as fast as the adapter can: what the others are measured against.

pub use crate::gpu::RoofRead;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
    widths,
};

/// `y = x`.
pub struct RoofCopy {
    /// [L * reads, 4], L a multiple of 8.
    pub x: Tensor,
    /// Of x's shape.
    pub y: Tensor,
    /// Texels each lane copies.
    pub reads: usize,
}

impl Kernel for RoofCopy {
    fn name(&self) -> &'static str {
        "roof_copy"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_eq!(self.x.len(), self.y.len(), "x and y differ");
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("reads", self.reads as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/roofline/roof_copy.wgsl");
        widths(can, ["roof_copy", "roof_copy_wide"], source, self.x.dim(0) / self.reads, &[])
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: self.x.bytes(), written: self.y.bytes(), operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        memory.f32_mut(&self.y).copy_from_slice(&x);
    }
}

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

/// Chains of halves, four to a register.
pub(in crate::kernels) const CHAINS: usize = 8;
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

/// Texels handed from lane to lane through workgroup memory: `y[lane] = x[(lane + rounds) mod 64]`.
pub struct RoofBarrier {
    /// [64, 4].
    pub x: Tensor,
    /// [64, 4].
    pub y: Tensor,
    /// Times they are handed on, with two barriers each.
    pub rounds: usize,
}

impl RoofBarrier {
    /// Lanes of its workgroup.
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
