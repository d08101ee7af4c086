//! The gradient of each row's cross-entropy with respect to its logits.

use super::cross_entropy::{CASE_COUNTS, CASE_TARGETS, CrossEntropy};
use super::cross_entropy::{parameters, row_per_lane};
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, FOLD, HostMemory, Kernel, Needs, Operand, Parameter, Strategy,
    Tensor, folded,
};
use crate::kernels::checked::{Cases, Checked, Shapes};
use crate::kernels::rows::shared_row::{self};

/// The gradient of [`CrossEntropy`] with respect to its logits.
pub struct CrossEntropyBackward {
    /// Logits [R, V padded to fours].
    pub logits: Tensor,
    /// The target column of each row [R or more].
    pub targets: Tensor,
    /// The results of [`CrossEntropy`] [R, 4].
    pub rows: Tensor,
    /// Gradient of the losses, in the first of four numbers [R, 4].
    pub drows: Tensor,
    /// Sum to add to the gradient of the logits [R, V padded to fours].
    pub base: Option<Tensor>,
    /// Gradient of the logits [R, V padded to fours].
    pub dlogits: Tensor,
    /// Number of logits without padding V.
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
            name: "cross_entropy_backward_workgroup_row",
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

impl Checked for CrossEntropyBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        let rows = CASE_TARGETS.len();
        for (index, count) in CASE_COUNTS.into_iter().enumerate() {
            let shape = [rows, count.next_multiple_of(4)];
            let kernel = Self {
                logits: cases.filled("logits", &shape)?,
                targets: cases.words("targets", &CASE_TARGETS)?,
                rows: cases.filled("rows", &[rows, 4])?,
                drows: cases.filled("drows", &[rows, 4])?,
                base: cases.filled_if(index % 2 == 1, "base", &shape)?,
                dlogits: cases.empty("dlogits", &shape)?,
                count,
            };
            cases.add(format!("{rows} rows of {count}"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training cross_entropy_backward", |cases| {
            let forward = CrossEntropy::of_grok(cases)?;
            cases.compute(&forward);
            let CrossEntropy { logits, targets, rows, count } = forward;
            let drows = cases.filled("drows", rows.shape())?;
            let dlogits = cases.empty("dlogits", logits.shape())?;
            Ok(Self { logits, targets, rows, drows, base: None, dlogits, count })
        });
    }
}
