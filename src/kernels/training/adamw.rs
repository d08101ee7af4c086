//! The AdamW optimiser: computes the next value of a parameter from its gradient.

use super::optimizer_step::CASE_SIZES;
use super::optimizer_step::Step;
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::pointwise;

/// A step of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
pub struct Adamw {
    /// Learning rate and clipping.
    pub step: Step,
    /// The parameter.
    pub w: Tensor,
    /// Gradient of the parameter.
    pub g: Tensor,
    /// Moving average of the gradients.
    pub m: Tensor,
    /// Moving average of the squared gradients.
    pub v: Tensor,
    /// The next parameter and moving averages.
    pub next: [Tensor; 3],
    /// Decay rates b1 and b2 of the moving averages.
    pub betas: [f32; 2],
    /// Added to the root of the second average.
    pub eps: f32,
    /// Weight decay, multiplied by the learning rate.
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

/// Made-up averages of squares, which are not negative.
fn squares(count: usize) -> Vec<f32> {
    (0..count).map(|n| (n % 7) as f32 * 0.1).collect()
}

impl Checked for Adamw {
    fn cases(cases: &mut Cases) -> Result<()> {
        for count in CASE_SIZES {
            for clipped in [false, true] {
                let kernel = Self {
                    step: Step::of_case(cases, clipped)?,
                    w: cases.filled("w", &[count])?,
                    g: cases.filled("g", &[count])?,
                    m: cases.filled("m", &[count])?,
                    v: cases.given("v", &[count], squares(count))?,
                    next: [
                        cases.empty("w", &[count])?,
                        cases.empty("m", &[count])?,
                        cases.empty("v", &[count])?,
                    ],
                    betas: [0.9, 0.98],
                    eps: 1e-8,
                    decay: 0.1,
                };
                cases.add(format!("{count} numbers, clipped {clipped}"), kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training adamw", |cases| {
            let shape = [grok::NUMBERS];
            Ok(Self {
                step: grok::step(cases)?,
                w: cases.filled("w", &shape)?,
                g: cases.filled("g", &shape)?,
                m: cases.filled("m", &shape)?,
                v: cases.given("v", &shape, squares(grok::NUMBERS))?,
                next: [
                    cases.empty("w", &shape)?,
                    cases.empty("m", &shape)?,
                    cases.empty("v", &shape)?,
                ],
                betas: [0.9, 0.98],
                eps: 1e-8,
                decay: 1.0,
            })
        });
    }
}
