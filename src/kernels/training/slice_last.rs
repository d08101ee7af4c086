//! Selects the last rows of each sequence, so that only rows with a loss are computed further.

use super::slice_last_backward::SliceLastBackward;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy, Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::pointwise;

/// `y` = the last `kept` rows of each `period` rows of `x`.
pub struct SliceLast {
    /// Rows [B * period, C].
    pub x: Tensor,
    /// The rows kept [B * kept, C].
    pub y: Tensor,
    /// Rows in a sequence.
    pub period: usize,
    /// Number of rows kept in each sequence.
    pub kept: usize,
}

pub(super) fn parameters(
    texels: usize,
    width: usize,
    period: usize,
    kept: usize,
) -> Vec<Parameter> {
    vec![
        Parameter::U32("texels", texels as u32),
        Parameter::U32("width4", width as u32 / 4),
        Parameter::U32("period", period as u32),
        Parameter::U32("kept", kept as u32),
    ]
}

impl Kernel for SliceLast {
    fn name(&self) -> &'static str {
        "slice_last"
    }

    fn operands(&self) -> Vec<Operand> {
        assert!(
            self.kept <= self.period && self.x.dim(0).is_multiple_of(self.period),
            "{}: rows",
            self.y.label()
        );
        assert_eq!(
            self.x.dim(0) / self.period * self.kept,
            self.y.dim(0),
            "{}: rows",
            self.y.label()
        );
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(self.y.len() / 4, self.y.dim(1), self.period, self.kept)
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        pointwise(
            "slice_last",
            include_str!("../../../shaders/training/slice_last.wgsl"),
            self.y.len() / 4,
            vec![],
            can,
        )
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: 4 * self.y.len() as u64, written: 4 * self.y.len() as u64, operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (width, period, kept) = (self.x.dim(1), self.period, self.kept);
        let x = memory.f32(&self.x);
        let y = memory.f32_mut(&self.y);
        for (x, y) in x.chunks(period * width).zip(y.chunks_mut(kept * width)) {
            y.copy_from_slice(&x[(period - kept) * width..]);
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        if let Some(dy) = gradients.get(&self.y)
            && let Some(Target { to: dx, base }) = gradients.target(&self.x)?
        {
            gradients.push(SliceLastBackward {
                dy,
                base,
                dx,
                period: self.period,
                kept: self.kept,
            });
        }
        Ok(())
    }
}

/// Sequences, tokens in each, and rows kept, in the cases.
pub(in crate::kernels) const CASE_SIZES: [(usize, usize, usize); 4] =
    [(1, 1, 1), (3, 4, 1), (5, 7, 3), (40, 2, 2)];

impl Checked for SliceLast {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (batch, period, kept) in CASE_SIZES {
            let x = cases.filled("x", &[batch * period, 20])?;
            let y = cases.empty("y", &[batch * kept, 20])?;
            let what = format!("{kept} of {period} rows, {batch} times");
            cases.add(what, Self { x, y, period, kept });
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training slice_last", |cases| {
            let x = cases.filled("x", &[grok::ROWS, grok::WIDTH])?;
            let y = cases.empty("y", &[grok::BATCH, grok::WIDTH])?;
            Ok(Self { x, y, period: grok::TOKENS, kept: 1 })
        });
    }
}
