//! Stochastic gradient descent with momentum: computes the next value of a parameter from its
//! gradient.

use super::optimizer_step::CASE_SIZES;
use super::optimizer_step::Step;
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::pointwise;

/// A step of SGD with momentum.
pub struct Sgd {
    /// Learning rate and clipping.
    pub step: Step,
    /// The parameter.
    pub w: Tensor,
    /// Gradient of the parameter.
    pub g: Tensor,
    /// The momentum.
    pub m: Tensor,
    /// The next parameter and momentum.
    pub next: [Tensor; 2],
    /// Fraction of the momentum that is kept.
    pub momentum: f32,
    /// Weight decay, added to the gradient.
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

impl Checked for Sgd {
    fn cases(cases: &mut Cases) -> Result<()> {
        for count in CASE_SIZES {
            for clipped in [false, true] {
                let kernel = Self {
                    step: Step::of_case(cases, clipped)?,
                    w: cases.filled("w", &[count])?,
                    g: cases.filled("g", &[count])?,
                    m: cases.filled("m", &[count])?,
                    next: [cases.empty("w", &[count])?, cases.empty("m", &[count])?],
                    momentum: 0.9,
                    decay: 0.1,
                };
                cases.add(format!("{count} numbers, clipped {clipped}"), kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training sgd", |cases| {
            let shape = [grok::NUMBERS];
            Ok(Self {
                step: grok::step(cases)?,
                w: cases.filled("w", &shape)?,
                g: cases.filled("g", &shape)?,
                m: cases.filled("m", &shape)?,
                next: [cases.empty("w", &shape)?, cases.empty("m", &shape)?],
                momentum: 0.9,
                decay: 0.1,
            })
        });
    }
}
