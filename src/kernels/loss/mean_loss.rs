//! Mean loss and accuracy over the rows that count.

use super::mean_loss_backward::MeanLossBackward;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Target,
    Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// Mean loss and accuracy over the rows that count.
pub struct MeanLoss {
    /// What [`CrossEntropy`](crate::kernels::CrossEntropy) found [R, 4].
    pub rows: Tensor,
    /// Mean loss, share of right answers, rows that count, 0: bits of f32, a uniform tensor of 4.
    pub totals: Tensor,
    /// Word 0: which number of the mean loss's gradient is for this pass; the first without.
    pub clock: Option<Tensor>,
}

impl Kernel for MeanLoss {
    fn name(&self) -> &'static str {
        "mean_loss"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![Operand::read("rows", &self.rows), Operand::write("totals", &self.totals)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("rows", self.rows.dim(0) as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "mean_loss",
            entry: "mean_loss",
            source: include_str!("../../../shaders/loss/mean_loss.wgsl"),
            constants: vec![],
            needs: Needs::lanes(64).workgroup_bytes(64 * 16),
            grid: [1, 1, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: self.rows.bytes(), written: 16, operations: self.rows.len() as u64 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let rows = memory.f32(&self.rows);
        let sum = |part: usize| rows.chunks(4).map(|row| row[part]).sum::<f32>();
        let count = sum(3).max(1.0);
        let found = [sum(0) / count, sum(2) / count, sum(3), 0.0].map(f32::to_bits);
        memory.u32_mut(&self.totals).copy_from_slice(&found);
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        if let Some(dtotals) = gradients.get(&self.totals)
            && let Some(Target { to: drows, .. }) = gradients.target(&self.rows)?
        {
            let (rows, totals, clock) =
                (self.rows.clone(), self.totals.clone(), self.clock.clone());
            gradients.push(MeanLossBackward { rows, totals, dtotals, clock, drows });
        }
        Ok(())
    }
}

/// Rows of the cases: one, a workgroup's lanes, and more.
pub(super) const CASE_ROWS: [usize; 3] = [1, 64, 130];

impl MeanLoss {
    /// Losses that are small whole numbers, of which the first `counting` count: sums of bits are
    /// compared as bits, and these are alike in every order of summation.
    fn of_whole(cases: &mut Cases, rows: usize, counting: usize) -> Result<Self> {
        let row = |r: usize| {
            if r < counting { [(r % 5) as f32, 0.0, (r % 2) as f32, 1.0] } else { [0.0; 4] }
        };
        Ok(Self {
            rows: cases.given("rows", &[rows, 4], (0..rows).flat_map(row).collect())?,
            totals: cases.words("totals", &[0; 4])?,
            clock: None,
        })
    }
}

impl Checked for MeanLoss {
    fn cases(cases: &mut Cases) -> Result<()> {
        for rows in CASE_ROWS {
            // Dividing by a power of two is exact.
            let kernel = Self::of_whole(cases, rows, 1 << rows.ilog2())?;
            cases.add(format!("{rows} rows"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training mean_loss", |cases| Self::of_whole(cases, grok::BATCH, grok::BATCH));
    }
}
