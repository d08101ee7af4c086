//! The cross-entropy of a prediction, row by row.

use super::cross_entropy_backward::CrossEntropyBackward;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Target,
    Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::rows::shared_row::SharedRow;

/// Computes loss, logarithm of the sum of exponentials, correctness and weight of each row of
/// logits.
pub struct CrossEntropy {
    /// Logits [R, V padded to fours].
    pub logits: Tensor,
    /// The target column of each row [R or more]; a row with a target of `count` or more is
    /// ignored.
    pub targets: Tensor,
    /// For each row: loss, logarithm of the sum, 1 if the target is the likeliest, 1 if the row
    /// counts [R, 4].
    pub rows: Tensor,
    /// Number of logits without padding V.
    pub count: usize,
}

pub(super) fn parameters(logits: &Tensor, count: usize) -> Vec<Parameter> {
    vec![
        Parameter::U32("rows", logits.dim(0) as u32),
        Parameter::U32("width4", logits.dim(1) as u32 / 4),
        Parameter::U32("count", count as u32),
    ]
}

/// One lane for each row, because rows are long and few.
pub(super) fn row_per_lane(name: &'static str, source: &'static str, rows: usize) -> Vec<Strategy> {
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

/// Targets in the cases; one is ignored.
pub(super) const CASE_TARGETS: [u32; 5] = [2, u32::MAX, 0, 4, 1];
/// Numbers of logits in the cases.
pub(super) const CASE_COUNTS: [usize; 3] = [5, 99, 1000];

impl CrossEntropy {
    /// The losses of a training step of `kaiwu grok`.
    pub(super) fn of_grok(cases: &mut Cases) -> Result<Self> {
        let target = |n: usize| (n * 7919 % grok::WORDS) as u32;
        Ok(Self {
            logits: cases.filled("logits", &[grok::BATCH, grok::LOGITS])?,
            targets: cases.words("targets", &(0..grok::BATCH).map(target).collect::<Vec<_>>())?,
            rows: cases.empty("rows", &[grok::BATCH, 4])?,
            count: grok::WORDS,
        })
    }
}

impl Checked for CrossEntropy {
    fn cases(cases: &mut Cases) -> Result<()> {
        let rows = CASE_TARGETS.len();
        for count in CASE_COUNTS {
            let kernel = Self {
                logits: cases.filled("logits", &[rows, count.next_multiple_of(4)])?,
                targets: cases.words("targets", &CASE_TARGETS)?,
                rows: cases.empty("rows", &[rows, 4])?,
                count,
            };
            cases.add(format!("{rows} rows of {count}"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training cross_entropy", Self::of_grok);
    }
}
