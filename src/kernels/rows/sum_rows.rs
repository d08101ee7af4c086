//! Sums over rows, for the gradients of parameters that all rows share.

use super::row_norm::CASE_SIZES;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// `y` = sum of the rows of x (+ base), where x is split into `rows` rows with the size of y.
pub struct SumRows {
    /// The rows to sum.
    pub x: Tensor,
    /// Added to the sum.
    pub base: Option<Tensor>,
    /// The sum.
    pub y: Tensor,
    /// Number of rows.
    pub rows: usize,
}

impl Kernel for SumRows {
    fn name(&self) -> &'static str {
        "sum_rows"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_eq!(self.x.len(), self.y.len() * self.rows, "{}: size", self.y.label());
        vec![
            Operand::read("x", &self.x),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("rows", self.rows as u32),
            Parameter::U32("width4", self.y.len() as u32 / 4),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "sum_rows",
            entry: "sum_rows",
            source: include_str!("../../../shaders/rows/sum_rows.wgsl"),
            constants: vec![],
            needs: Needs::lanes(8),
            grid: [(self.y.len() as u32 / 4).div_ceil(8), 1, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.x.len() as u64;
        Cost { read: 4 * count, written: 4 * self.y.len() as u64, operations: count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let count = self.y.len();
        for (i, y) in memory.f32_mut(&self.y).iter_mut().enumerate() {
            let sum: f32 = (0..self.rows).map(|row| x[row * count + i]).sum();
            *y = sum + base.as_ref().map_or(0.0, |base| base[i]);
        }
    }
}

impl Checked for SumRows {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, (rows, width)) in CASE_SIZES.into_iter().enumerate() {
            let kernel = Self {
                x: cases.filled("x", &[rows, width])?,
                base: cases.filled_if(index % 2 == 1, "base", &[width])?,
                y: cases.empty("y", &[width])?,
                rows,
            };
            cases.add(format!("[{rows}, {width}]"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training sum_rows", |cases| {
            let x = cases.filled("x", &[grok::ROWS, grok::WIDTH])?;
            let y = cases.empty("y", &[grok::WIDTH])?;
            Ok(Self { x, base: None, y, rows: grok::ROWS })
        });
    }
}
