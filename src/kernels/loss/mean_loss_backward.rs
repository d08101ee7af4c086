//! The gradient of the mean loss with respect to the rows' losses.

use super::mean_loss::CASE_ROWS;
use crate::Result;
use crate::gpu::{Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::pointwise;

/// The gradient of the mean loss of [`MeanLoss`](crate::kernels::MeanLoss); rows have no other
/// reader.
pub struct MeanLossBackward {
    /// What [`CrossEntropy`](crate::kernels::CrossEntropy) found [R, 4].
    pub rows: Tensor,
    /// What [`MeanLoss`](crate::kernels::MeanLoss) found.
    pub totals: Tensor,
    /// Gradients of the mean loss, one for each tick of the clock, padded to fours.
    pub dtotals: Tensor,
    /// Word 0: which of them; the first without.
    pub clock: Option<Tensor>,
    /// Gradient of the losses, first of each four [R, 4].
    pub drows: Tensor,
}

impl Kernel for MeanLossBackward {
    fn name(&self) -> &'static str {
        "mean_loss_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("rows", &self.rows),
            Operand::read("totals", &self.totals),
            Operand::read("dtotals", &self.dtotals),
            Operand::optional("clock", self.clock.as_ref()),
            Operand::write("drows", &self.drows),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("texels", self.rows.dim(0) as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/loss/mean_loss_backward.wgsl");
        pointwise("mean_loss_backward", source, self.rows.dim(0), vec![], can)
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.rows.len() as u64;
        Cost { read: 4 * count, written: 4 * count, operations: count / 4 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let rows = memory.f32(&self.rows);
        let count = f32::from_bits(memory.u32(&self.totals)[2]).max(1.0);
        let at = self.clock.as_ref().map_or(0, |clock| memory.u32(clock)[0] as usize);
        let slope = memory.f32(&self.dtotals)[at];
        for (row, drow) in memory.f32_mut(&self.drows).chunks_mut(4).enumerate() {
            drow.copy_from_slice(&[slope * rows[4 * row + 3] / count, 0.0, 0.0, 0.0]);
        }
    }
}

impl Checked for MeanLossBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, rows) in CASE_ROWS.into_iter().enumerate() {
            let clock = [5 * index as u32, 0, 0, 0];
            let kernel = Self {
                rows: cases.filled("rows", &[rows, 4])?,
                totals: cases.words("totals", &[1.0f32, 0.5, 7.0, 0.0].map(f32::to_bits))?,
                dtotals: cases.filled("dtotals", &[12])?,
                clock: if index > 0 { Some(cases.words("clock", &clock)?) } else { None },
                drows: cases.empty("drows", &[rows, 4])?,
            };
            cases.add(format!("{rows} rows"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training mean_loss_backward", |cases| {
            let totals = [1.0f32, 0.5, grok::BATCH as f32, 0.0].map(f32::to_bits);
            Ok(Self {
                rows: cases.filled("rows", &[grok::BATCH, 4])?,
                totals: cases.words("totals", &totals)?,
                dtotals: cases.filled("dtotals", &[4])?,
                clock: None,
                drows: cases.empty("drows", &[grok::BATCH, 4])?,
            })
        });
    }
}
