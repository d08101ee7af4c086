//! What a token's experts give together.

use super::made_up;
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, PROMPT, Shapes};
use crate::kernels::pointwise::pointwise::pointwise;

/// `y[t] = residual[t] + Σ share[t, k] · x[t * chosen + k]`.
pub struct MixExperts {
    /// What each chosen expert gives [T * chosen, C or more].
    pub x: Tensor,
    /// Choices (expert, share, 0, 0), as [`super::Route`] writes them [T * chosen, 4].
    pub routes: Tensor,
    /// Experts a token.
    pub chosen: usize,
    /// What is added [T, C].
    pub residual: Tensor,
    /// The result [T, C].
    pub y: Tensor,
    /// Count of tokens T.
    pub tokens: usize,
}

impl Kernel for MixExperts {
    fn name(&self) -> &'static str {
        "mix_experts"
    }

    fn operands(&self) -> Vec<Operand> {
        assert!(self.x.dim(1) >= self.y.dim(1), "{}: narrower than the result", self.x.label());
        assert_eq!(self.residual.dim(1), self.y.dim(1), "{}: width", self.residual.label());
        vec![
            Operand::read("x", &self.x),
            Operand::read("routes", &self.routes),
            Operand::read("residual", &self.residual),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("texels", (self.tokens * self.y.dim(1)) as u32 / 4),
            Parameter::U32("width4", self.y.dim(1) as u32 / 4),
            Parameter::U32("x_width4", self.x.dim(1) as u32 / 4),
            Parameter::U32("chosen", self.chosen as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let texels = self.tokens * self.y.dim(1) / 4;
        pointwise(
            "mix_experts",
            include_str!("../../../shaders/moe/mix_experts.wgsl"),
            texels,
            vec![],
            can,
        )
    }

    fn cost(&self, _: usize) -> Cost {
        let (numbers, chosen) = ((self.tokens * self.y.dim(1)) as u64, self.chosen as u64);
        Cost {
            read: 4 * numbers * (1 + chosen),
            written: 4 * numbers,
            operations: 2 * numbers * chosen,
        }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (width, x_width) = (self.y.dim(1), self.x.dim(1));
        let (x, routes) = (memory.f32(&self.x), memory.f32(&self.routes));
        let residual = memory.f32(&self.residual);
        let y = memory.f32_mut(&self.y);
        for at in 0..self.tokens * width {
            let (token, column) = (at / width, at % width);
            let choices = token * self.chosen..(token + 1) * self.chosen;
            let sum: f32 = choices.map(|k| routes[4 * k + 1] * x[k * x_width + column]).sum();
            y[at] = residual[at] + sum;
        }
    }
}

impl Checked for MixExperts {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (width, x_width, chosen, tokens) in
            [(32, 64, 3, 1), (160, 160, 8, 5), (1024, 1024, 1, 2)]
        {
            let kernel = Self {
                x: cases.filled("x", &[tokens * chosen, x_width])?,
                routes: made_up::routes(cases, 4, tokens * chosen)?,
                chosen,
                residual: cases.filled("residual", &[tokens, width])?,
                y: cases.empty("y", &[tokens, width])?,
                tokens,
            };
            let what = format!("{chosen} for each of {tokens} tokens, {width} of {x_width}");
            cases.add(what, kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        for (phase, tokens) in [("decode", 1), ("prefill of 256", PROMPT)] {
            shapes.add(format!("Qwen3-30B-A3B {phase} mix_experts"), move |cases| {
                let (width, chosen) = (made_up::WIDTH, made_up::CHOSEN);
                Ok(Self {
                    x: cases.filled("x", &[tokens * chosen, width])?,
                    routes: made_up::even_routes(cases, made_up::EXPERTS, tokens)?,
                    chosen,
                    residual: cases.filled("residual", &[tokens, width])?,
                    y: cases.empty("y", &[tokens, width])?,
                    tokens,
                })
            });
        }
    }
}
