//! Rotary positions of training, forwards and backwards.

use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy, Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::pointwise;
use crate::kernels::training::slice_last::CASE_SIZES;

/// Turns neighbouring numbers by the angle of their row's position (Su et al. 2021,
/// arXiv:2104.09864).
#[derive(Clone)]
pub struct Rope {
    /// Rows [T, W].
    pub x: Tensor,
    /// Cosine and sine of each position and pair [positions, D].
    pub rope: Tensor,
    /// Added to the result: a gradient so far.
    pub base: Option<Tensor>,
    /// The result [T, W].
    pub y: Tensor,
    /// How many columns are turned, from the first on, whole heads; the others are copied.
    pub rotated: usize,
    /// Position of a sequence's first row.
    pub first: usize,
    /// Rows of a sequence.
    pub period: usize,
    /// Turn the other way, as the gradient does.
    pub backwards: bool,
}

impl Kernel for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn operands(&self) -> Vec<Operand> {
        let head = self.rope.dim(1);
        assert!(
            self.rotated.is_multiple_of(head) && head.is_multiple_of(4),
            "{}: heads",
            self.x.label()
        );
        assert!(self.first + self.period <= self.rope.dim(0), "{}: positions", self.x.label());
        vec![
            Operand::read("x", &self.x),
            Operand::read("angles", &self.rope),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("texels", self.y.len() as u32 / 4),
            Parameter::U32("width4", self.x.dim(1) as u32 / 4),
            Parameter::U32("rotated4", self.rotated as u32 / 4),
            Parameter::U32("head4", self.rope.dim(1) as u32 / 4),
            Parameter::U32("first", self.first as u32),
            Parameter::U32("period", self.period as u32),
            Parameter::F32("sign", if self.backwards { -1.0 } else { 1.0 }),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/attention/rope.wgsl");
        pointwise("rope", source, self.y.len() / 4, vec![], can)
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.y.len() as u64;
        Cost { read: 8 * count, written: 4 * count, operations: 3 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (width, head) = (self.x.dim(1), self.rope.dim(1));
        let (x, rope) = (memory.f32(&self.x), memory.f32(&self.rope));
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let y = memory.f32_mut(&self.y);
        for row in 0..x.len() / width {
            let position = self.first + row % self.period;
            for column in (0..width).step_by(2) {
                let at = row * width + column;
                let (cos, sin) = if column < self.rotated {
                    (
                        rope[position * head + column % head],
                        rope[position * head + column % head + 1],
                    )
                } else {
                    (1.0, 0.0)
                };
                let sin = if self.backwards { -sin } else { sin };
                y[at] = x[at] * cos - x[at + 1] * sin + base.as_ref().map_or(0.0, |base| base[at]);
                y[at + 1] =
                    x[at] * sin + x[at + 1] * cos + base.as_ref().map_or(0.0, |base| base[at + 1]);
            }
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        if let Some(dy) = gradients.get(&self.y)
            && let Some(Target { to: y, base }) = gradients.target(&self.x)?
        {
            gradients.push(Self { x: dy, base, y, backwards: !self.backwards, ..self.clone() });
        }
        Ok(())
    }
}

impl Checked for Rope {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, (batch, period, kept)) in CASE_SIZES.into_iter().enumerate() {
            let shape = [batch * period, 20];
            let kernel = Self {
                x: cases.filled("x", &shape)?,
                rope: cases.filled("rope", &[period + 3, 8])?,
                base: cases.filled_if(index % 2 == 1, "base", &shape)?,
                y: cases.empty("y", &shape)?,
                rotated: 16,
                first: index,
                period,
                backwards: index > 1,
            };
            cases.add(format!("{kept} of {period} rows, {batch} times"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training rope", |cases| {
            let shape = [grok::ROWS, grok::WIDTH];
            Ok(Self {
                x: cases.filled("x", &shape)?,
                rope: cases.filled("rope", &[grok::TOKENS, grok::HEADS.head_dim])?,
                base: None,
                y: cases.empty("y", &shape)?,
                rotated: grok::WIDTH,
                first: 0,
                period: grok::TOKENS,
                backwards: false,
            })
        });
    }
}
