//! The gradient of the gated activation of Llama-like models.

use super::activation::silu;
use super::pointwise::pointwise;
use super::pointwise::{CASE_ROWS, CASE_WIDTH};
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// The gradient of [`Swiglu`](crate::kernels::Swiglu).
pub struct SwigluBackward {
    /// Gate and up [T, 2 F].
    pub x: Tensor,
    /// Gradient of the result [T, F].
    pub dy: Tensor,
    /// Gradient of gate and up so far.
    pub base: Option<Tensor>,
    /// Gradient of gate and up [T, 2 F].
    pub dx: Tensor,
}

impl Kernel for SwigluBackward {
    fn name(&self) -> &'static str {
        "swiglu_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("x", &self.x),
            Operand::read("dy", &self.dy),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("dx", &self.dx),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let texels = self.dy.len() as u32 / 4;
        vec![Parameter::U32("texels", texels), Parameter::U32("half4", self.dy.dim(1) as u32 / 4)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/pointwise/swiglu_backward.wgsl");
        pointwise("swiglu_backward", source, self.dy.len() / 4, vec![], can)
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.dy.len() as u64;
        Cost { read: 12 * count, written: 8 * count, operations: 10 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let half = self.dy.dim(1);
        let (x, dy) = (memory.f32(&self.x), memory.f32(&self.dy));
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let dx = memory.f32_mut(&self.dx);
        for (i, &dy) in dy.iter().enumerate() {
            let gate = i / half * 2 * half + i % half;
            let up = gate + half;
            let (value, slope) = silu(x[gate]);
            dx[gate] = dy * x[up] * slope + base.as_ref().map_or(0.0, |base| base[gate]);
            dx[up] = dy * value + base.as_ref().map_or(0.0, |base| base[up]);
        }
    }
}

impl Checked for SwigluBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, rows) in CASE_ROWS.into_iter().enumerate() {
            let wide = [rows, 2 * CASE_WIDTH];
            let kernel = Self {
                x: cases.filled("x", &wide)?,
                dy: cases.filled("dy", &[rows, CASE_WIDTH])?,
                base: cases.filled_if(index % 2 == 1, "base", &wide)?,
                dx: cases.empty("dx", &wide)?,
            };
            cases.add(format!("{rows} rows"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training swiglu_backward", |cases| {
            let wide = [grok::ROWS, 2 * grok::HIDDEN];
            let x = cases.filled("x", &wide)?;
            let dy = cases.filled("dy", &[grok::ROWS, grok::HIDDEN])?;
            Ok(Self { x, dy, base: None, dx: cases.empty("dx", &wide)? })
        });
    }
}
