//! The loss of a prediction, row by row, and its gradient.

use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, FOLD, Gradients, HostMemory, Kernel, Needs, Operand, Parameter,
    Strategy, Target, Tensor, folded,
};
use crate::kernels::pointwise::pointwise::pointwise;
use crate::kernels::rows::shared_row::{self, SharedRow};

/// Loss, logarithm of the sum of exponentials, rightness and weight of each row of logits.
pub struct CrossEntropy {
    /// Logits [R, V padded to fours].
    pub logits: Tensor,
    /// The right column of each row [R or more]; a row with one beyond the count does not count.
    pub targets: Tensor,
    /// Loss, logarithm of the sum, 1 if the target is the likeliest, 1 if the row counts [R, 4].
    pub rows: Tensor,
    /// Columns that stand for something, V.
    pub count: usize,
}

fn parameters(logits: &Tensor, count: usize) -> Vec<Parameter> {
    vec![
        Parameter::U32("rows", logits.dim(0) as u32),
        Parameter::U32("width4", logits.dim(1) as u32 / 4),
        Parameter::U32("count", count as u32),
    ]
}

/// One lane a row: rows are long, and few.
fn row_per_lane(name: &'static str, source: &'static str, rows: usize) -> Vec<Strategy> {
    let grid = [rows.div_ceil(8) as u32, 1, 1];
    vec![Strategy { name, entry: name, source, constants: vec![], needs: Needs::lanes(8), grid }]
}

impl Kernel for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn operands(&self) -> Vec<Operand> {
        let [rows, width] = [self.logits.dim(0), self.logits.dim(1)];
        assert!(width.is_multiple_of(4) && self.count <= width, "{}: width", self.logits.label());
        assert!(
            self.targets.len() >= rows && self.rows.len() == 4 * rows,
            "{}: rows",
            self.rows.label()
        );
        vec![
            Operand::read("logits", &self.logits),
            Operand::read("targets", &self.targets),
            Operand::write("rows", &self.rows),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(&self.logits, self.count)
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/loss/cross_entropy.wgsl");
        let rows = self.logits.dim(0);
        let shared = SharedRow {
            names: ["cross_entropy_subgroup_row", "cross_entropy_workgroup_row"],
            entry: "cross_entropy_shared_row",
            source: include_str!("../../../shaders/loss/cross_entropy_shared_row.wgsl"),
            texels: self.logits.dim(1) / 4,
            rows,
        };
        can.allowed(row_per_lane("cross_entropy", source, rows), shared.strategies(&[]))
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.logits.len() as u64;
        Cost { read: 4 * count, written: self.rows.bytes(), operations: 3 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (logits, targets) = (memory.f32(&self.logits), memory.u32(&self.targets));
        let rows = memory.f32_mut(&self.rows);
        for (row, logits) in logits.chunks(self.logits.dim(1)).enumerate() {
            let logits = &logits[..self.count];
            let top = logits.iter().copied().fold(f32::MIN, f32::max);
            let level = top + logits.iter().map(|logit| (logit - top).exp()).sum::<f32>().ln();
            let found = match logits.get(targets[row] as usize) {
                Some(&logit) => [level - logit, level, if logit == top { 1.0 } else { 0.0 }, 1.0],
                None => [0.0, level, 0.0, 0.0],
            };
            rows[4 * row..][..4].copy_from_slice(&found);
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        if let Some(drows) = gradients.get(&self.rows)
            && let Some(Target { to: dlogits, base }) = gradients.target(&self.logits)?
        {
            let (logits, targets) = (self.logits.clone(), self.targets.clone());
            let rows = self.rows.clone();
            let count = self.count;
            gradients.push(CrossEntropyBackward {
                logits,
                targets,
                rows,
                drows,
                base,
                dlogits,
                count,
            });
        }
        Ok(())
    }
}

/// The gradient of the losses of [`CrossEntropy`].
pub struct CrossEntropyBackward {
    /// Logits [R, V padded].
    pub logits: Tensor,
    /// The right columns.
    pub targets: Tensor,
    /// What [`CrossEntropy`] found [R, 4].
    pub rows: Tensor,
    /// Gradient of the losses, first of each four [R, 4].
    pub drows: Tensor,
    /// Gradient of the logits so far.
    pub base: Option<Tensor>,
    /// Gradient of the logits.
    pub dlogits: Tensor,
    /// Columns that stand for something.
    pub count: usize,
}

impl Kernel for CrossEntropyBackward {
    fn name(&self) -> &'static str {
        "cross_entropy_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("logits", &self.logits),
            Operand::read("targets", &self.targets),
            Operand::read("rows", &self.rows),
            Operand::read("drows", &self.drows),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("dlogits", &self.dlogits),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(&self.logits, self.count)
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/loss/cross_entropy_backward.wgsl");
        let lanes = shared_row::lanes(self.logits.dim(1) / 4);
        let [x, y] = folded(self.logits.dim(0));
        let shared = Strategy {
            name: "cross_entropy_gradient_workgroup_row",
            entry: "cross_entropy_backward_shared_row",
            source: include_str!("../../../shaders/loss/cross_entropy_backward_shared_row.wgsl"),
            constants: vec![("LANES", Constant::Count(lanes)), ("FOLD", Constant::Count(FOLD))],
            needs: Needs::lanes(lanes),
            grid: [x, y, 1],
        };
        can.allowed(
            row_per_lane("cross_entropy_backward", source, self.logits.dim(0)),
            vec![shared],
        )
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.logits.len() as u64;
        Cost { read: 4 * count, written: 4 * count, operations: 3 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.logits.dim(1);
        let (logits, targets) = (memory.f32(&self.logits), memory.u32(&self.targets));
        let (rows, drows) = (memory.f32(&self.rows), memory.f32(&self.drows));
        let base = self.base.as_ref().map(|base| memory.f32(base));
        for (i, dlogit) in memory.f32_mut(&self.dlogits).iter_mut().enumerate() {
            let (row, column) = (i / width, i % width);
            let chance =
                if column < self.count { (logits[i] - rows[4 * row + 1]).exp() } else { 0.0 };
            let hit = if column == targets[row] as usize { 1.0 } else { 0.0 };
            let slope = drows[4 * row] * rows[4 * row + 3];
            *dlogit = (chance - hit) * slope + base.as_ref().map_or(0.0, |base| base[i]);
        }
    }
}

/// Mean loss and accuracy over the rows that count.
pub struct MeanLoss {
    /// What [`CrossEntropy`] found [R, 4].
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

/// The gradient of the mean loss of [`MeanLoss`]; rows have no other reader.
pub struct MeanLossBackward {
    /// What [`CrossEntropy`] found [R, 4].
    pub rows: Tensor,
    /// What [`MeanLoss`] found.
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
