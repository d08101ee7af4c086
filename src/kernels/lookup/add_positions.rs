//! Adds learned position embeddings.

use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, PROMPT, Shapes};

/// `y[t] = x[t] + W[step + t]`: adds the learned embedding of each token's position.
pub struct AddPositions {
    /// Word 0: position of token 0.
    pub step: Tensor,
    /// Embeddings [T, C].
    pub x: Tensor,
    /// Embeddings by position [positions, C].
    pub w: Tensor,
    /// The result [T, C].
    pub y: Tensor,
    /// Number of tokens T.
    pub tokens: usize,
}

impl Kernel for AddPositions {
    fn name(&self) -> &'static str {
        "add_positions"
    }

    fn operands(&self) -> Vec<Operand> {
        let widths = [&self.x, &self.w, &self.y].map(|tensor| tensor.dim(1));
        assert!(
            widths.iter().all(|width| *width == widths[0]),
            "{}: widths differ",
            self.w.label()
        );
        vec![
            Operand::read("step", &self.step),
            Operand::read("x", &self.x),
            Operand::read("w", &self.w),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("width4", self.x.dim(1) as u32 / 4)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "add_positions",
            entry: "add_positions",
            source: include_str!("../../../shaders/lookup/add_positions.wgsl"),
            constants: vec![],
            needs: Needs::lanes(32),
            grid: [(self.x.dim(1) as u32 / 4).div_ceil(32), self.tokens as u32, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let numbers = (self.tokens * self.x.dim(1)) as u64;
        Cost { read: 8 * numbers, written: 4 * numbers, operations: numbers }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.x.dim(1);
        let start = memory.u32(&self.step)[0] as usize * width;
        let (x, w) = (memory.f32(&self.x), memory.f32(&self.w));
        let y = memory.f32_mut(&self.y);
        for at in 0..self.tokens * width {
            y[at] = x[at] + w[start + at];
        }
    }
}

impl AddPositions {
    fn made_up(
        cases: &mut Cases,
        [width, tokens, positions]: [usize; 3],
        position: u32,
    ) -> Result<Self> {
        Ok(Self {
            step: cases.words("step", &[position])?,
            x: cases.filled("x", &[tokens, width])?,
            w: cases.filled("w", &[positions, width])?,
            y: cases.empty("y", &[tokens, width])?,
            tokens,
        })
    }
}

impl Checked for AddPositions {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (width, tokens, position) in [(4, 1, 0), (160, 3, 5), (1024, 2, 61)] {
            let kernel = Self::made_up(cases, [width, tokens, 64], position)?;
            cases.add(format!("{tokens} of {width} at {position}"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("GPT-2 prefill of 256 positions", |cases| {
            Self::made_up(cases, [768, PROMPT, 1024], 0)
        });
    }
}
