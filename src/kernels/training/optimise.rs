//! Optimisers: from a parameter and its gradient to the next parameter.
//!
//! A lane reads what it writes and nothing else: where a tensor can be bound to be read and to be
//! written, its successor may take its place. Elsewhere it is beside it.

use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::pointwise::pointwise::pointwise;

/// What the steps of all parameters share.
#[derive(Clone)]
pub struct Step {
    /// Word 0: which row of the schedule.
    pub clock: Tensor,
    /// Rows of rate, 1 / (1 - b1^step), 1 / (1 - b2^step), 0: bits of f32, a uniform tensor.
    pub schedule: Tensor,
    /// The square of the norm of all gradients, and the largest norm to be left as it is.
    pub clip: Option<(Tensor, f32)>,
}

impl Step {
    fn operands(&self) -> [Operand; 3] {
        [
            Operand::read("clock", &self.clock),
            Operand::read("schedule", &self.schedule),
            Operand::optional("squares", self.clip.as_ref().map(|(squares, _)| squares)),
        ]
    }

    fn limit(&self) -> Parameter {
        Parameter::F32("limit", self.clip.as_ref().map_or(0.0, |(_, limit)| *limit))
    }

    /// The row of the schedule, and the factor of gradients.
    fn now(&self, memory: &mut HostMemory) -> ([f32; 3], f32) {
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

/// A step of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
pub struct Adamw {
    /// Rate and clipping.
    pub step: Step,
    /// The parameter.
    pub w: Tensor,
    /// Its gradient.
    pub g: Tensor,
    /// Mean of gradients.
    pub m: Tensor,
    /// Mean of their squares.
    pub v: Tensor,
    /// The next parameter, and means.
    pub next: [Tensor; 3],
    /// Decay of the means, b1 and b2.
    pub betas: [f32; 2],
    /// Added to the deviation.
    pub eps: f32,
    /// Decay of the parameter, a share of the rate.
    pub decay: f32,
}

impl Kernel for Adamw {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn operands(&self) -> Vec<Operand> {
        let mut all: Vec<_> = self.step.operands().into();
        let read = [("w", &self.w), ("g", &self.g), ("m", &self.m), ("v", &self.v)];
        all.extend(read.map(|(name, tensor)| Operand::read(name, tensor)));
        let [w, m, v] = &self.next;
        let written = [("w_next", w), ("m_next", m), ("v_next", v)];
        all.extend(written.map(|(name, tensor)| Operand::write(name, tensor)));
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("texels", self.w.len().div_ceil(4) as u32),
            Parameter::F32("beta1", self.betas[0]),
            Parameter::F32("beta2", self.betas[1]),
            Parameter::F32("eps", self.eps),
            Parameter::F32("decay", self.decay),
            self.step.limit(),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/training/adamw.wgsl");
        pointwise("adamw", source, self.w.len().div_ceil(4), vec![], can)
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.w.len() as u64;
        Cost { read: 16 * count, written: 12 * count, operations: 16 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let ([rate, mean, square], clip) = self.step.now(memory);
        let [w, g, m, v] = [&self.w, &self.g, &self.m, &self.v].map(|tensor| memory.f32(tensor));
        let [b1, b2] = self.betas;
        for i in 0..w.len() {
            let g = g[i] * clip;
            let m = b1 * m[i] + (1.0 - b1) * g;
            let v = b2 * v[i] + (1.0 - b2) * g * g;
            let change = mean * m / ((v * square).sqrt() + self.eps);
            let w = w[i] - rate * self.decay * w[i] - rate * change;
            for (tensor, value) in self.next.iter().zip([w, m, v]) {
                memory.f32_mut(tensor)[i] = value;
            }
        }
    }
}

/// A step of SGD with momentum.
pub struct Sgd {
    /// Rate and clipping.
    pub step: Step,
    /// The parameter.
    pub w: Tensor,
    /// Its gradient.
    pub g: Tensor,
    /// Momentum.
    pub m: Tensor,
    /// The next parameter, and momentum.
    pub next: [Tensor; 2],
    /// Share of the momentum that stays.
    pub momentum: f32,
    /// Decay of the parameter, as part of its gradient.
    pub decay: f32,
}

impl Kernel for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn operands(&self) -> Vec<Operand> {
        let mut all: Vec<_> = self.step.operands().into();
        let read = [("w", &self.w), ("g", &self.g), ("m", &self.m)];
        all.extend(read.map(|(name, tensor)| Operand::read(name, tensor)));
        let [w, m] = &self.next;
        all.extend(
            [("w_next", w), ("m_next", m)].map(|(name, tensor)| Operand::write(name, tensor)),
        );
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("texels", self.w.len().div_ceil(4) as u32),
            Parameter::F32("momentum", self.momentum),
            Parameter::F32("decay", self.decay),
            self.step.limit(),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        pointwise(
            "sgd",
            include_str!("../../../shaders/training/sgd.wgsl"),
            self.w.len().div_ceil(4),
            vec![],
            can,
        )
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.w.len() as u64;
        Cost { read: 12 * count, written: 8 * count, operations: 6 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let ([rate, ..], clip) = self.step.now(memory);
        let [w, g, m] = [&self.w, &self.g, &self.m].map(|tensor| memory.f32(tensor));
        for i in 0..w.len() {
            let m = self.momentum * m[i] + g[i] * clip + self.decay * w[i];
            memory.f32_mut(&self.next[0])[i] = w[i] - rate * m;
            memory.f32_mut(&self.next[1])[i] = m;
        }
    }
}

/// `total[0]` = sum of squares of x (+ `base[0]`): the norm of all gradients, one after another.
pub struct SquareSum {
    /// The numbers.
    pub x: Tensor,
    /// The sum so far, bits of f32, a uniform tensor of 4.
    pub base: Option<Tensor>,
    /// The sum.
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
