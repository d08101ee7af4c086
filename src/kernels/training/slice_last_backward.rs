//! The gradient of the last rows of each sequence.

use super::slice_last::CASE_SIZES;
use super::slice_last::parameters;
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::{gradient_operands, pointwise};

/// The gradient of [`SliceLast`](crate::kernels::SliceLast).
pub struct SliceLastBackward {
    /// Gradient of the rows kept [B * kept, C].
    pub dy: Tensor,
    /// Gradient of all rows so far.
    pub base: Option<Tensor>,
    /// Gradient of all rows [B * period, C].
    pub dx: Tensor,
    /// Rows of a sequence.
    pub period: usize,
    /// How many of them were kept.
    pub kept: usize,
}

impl Kernel for SliceLastBackward {
    fn name(&self) -> &'static str {
        "slice_last_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        gradient_operands(&self.dy, self.base.as_ref(), &self.dx)
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(self.dx.len() / 4, self.dx.dim(1), self.period, self.kept)
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        pointwise(
            "slice_last_backward",
            include_str!("../../../shaders/training/slice_last_backward.wgsl"),
            self.dx.len() / 4,
            vec![],
            can,
        )
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: 4 * self.dy.len() as u64, written: 4 * self.dx.len() as u64, operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (width, period, kept) = (self.dx.dim(1), self.period, self.kept);
        let dy = memory.f32(&self.dy);
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let dx = memory.f32_mut(&self.dx);
        match base {
            Some(base) => dx.copy_from_slice(&base),
            None => dx.fill(0.0),
        }
        for (dx, dy) in dx.chunks_mut(period * width).zip(dy.chunks(kept * width)) {
            dx[(period - kept) * width..].iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy);
        }
    }
}

impl Checked for SliceLastBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, (batch, period, kept)) in CASE_SIZES.into_iter().enumerate() {
            let all = [batch * period, 20];
            let kernel = Self {
                dy: cases.filled("dy", &[batch * kept, 20])?,
                base: cases.filled_if(index % 2 == 1, "base", &all)?,
                dx: cases.empty("dx", &all)?,
                period,
                kept,
            };
            cases.add(format!("{kept} of {period} rows, {batch} times"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training slice_last_backward", |cases| {
            let dy = cases.filled("dy", &[grok::BATCH, grok::WIDTH])?;
            let dx = cases.empty("dx", &[grok::ROWS, grok::WIDTH])?;
            Ok(Self { dy, base: None, dx, period: grok::TOKENS, kept: 1 })
        });
    }
}
