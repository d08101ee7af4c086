//! The gradient of the training norms with respect to their input.

use super::row_norm::{CASE_SIZES, RowNorm};
use super::shared_row::SharedRow;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes};
use crate::kernels::pointwise::pointwise::rowwise;

/// The gradient of [`super::RowNorm`] with respect to its input.
pub struct NormBackward {
    /// Input [T, C].
    pub x: Tensor,
    /// Mean and inverse deviation of each row [T, 4].
    pub stats: Tensor,
    /// Gain `[C]`.
    pub gain: Tensor,
    /// Gradient of the output [T, C].
    pub dy: Tensor,
    /// Sum to add to the gradient of the input [T, C].
    pub base: Option<Tensor>,
    /// Gradient of the input [T, C].
    pub dx: Tensor,
    /// Whether the norm is LayerNorm instead of RMSNorm.
    pub centred: bool,
}

impl Kernel for NormBackward {
    fn name(&self) -> &'static str {
        "norm_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("x", &self.x),
            Operand::read("stats", &self.stats),
            Operand::read("gain", &self.gain),
            Operand::read("dy", &self.dy),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("dx", &self.dx),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let [rows, width] = [self.x.dim(0), self.x.dim(1)];
        vec![Parameter::U32("rows", rows as u32), Parameter::U32("width4", width as u32 / 4)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let constants = [("CENTRED", Constant::Switch(self.centred))];
        let shared = SharedRow {
            names: ["norm_backward_subgroup_row", "norm_backward_workgroup_row"],
            entry: "norm_backward_shared_row",
            source: include_str!("../../../shaders/rows/norm_backward_shared_row.wgsl"),
            texels: self.x.dim(1) / 4,
            rows: self.x.dim(0),
        };
        let source = include_str!("../../../shaders/rows/norm_backward.wgsl");
        can.allowed(
            rowwise("norm_backward", source, self.x.dim(0), &constants),
            shared.strategies(&constants),
        )
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.x.len() as u64;
        Cost { read: 8 * count, written: 4 * count, operations: 12 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.x.dim(1);
        let (x, stats, gain) =
            (memory.f32(&self.x), memory.f32(&self.stats), memory.f32(&self.gain));
        let dy = memory.f32(&self.dy);
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let dx = memory.f32_mut(&self.dx);
        for row in 0..x.len() / width {
            let (mean, scale) = (stats[4 * row], stats[4 * row + 1]);
            let g = |c: usize| dy[row * width + c] * gain[c];
            let h = |c: usize| (x[row * width + c] - mean) * scale;
            let average = |f: &dyn Fn(usize) -> f32| (0..width).map(f).sum::<f32>() / width as f32;
            let level = if self.centred { average(&g) } else { 0.0 };
            let slope = average(&|c| g(c) * h(c));
            for c in 0..width {
                let at = row * width + c;
                dx[at] = scale * (g(c) - level - h(c) * slope)
                    + base.as_ref().map_or(0.0, |base| base[at]);
            }
        }
    }
}

impl Checked for NormBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, (rows, width)) in CASE_SIZES.into_iter().enumerate() {
            for centred in [false, true] {
                let shape = [rows, width];
                let kernel = Self {
                    x: cases.filled("x", &shape)?,
                    stats: cases.filled("stats", &[rows, 4])?,
                    gain: cases.filled("gain", &[width])?,
                    dy: cases.filled("dy", &shape)?,
                    base: cases.filled_if(index % 2 == 1, "base", &shape)?,
                    dx: cases.empty("dx", &shape)?,
                    centred,
                };
                cases.add(format!("[{rows}, {width}], centred {centred}"), kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training norm_backward", |cases| {
            let forward = RowNorm::of_grok(cases)?;
            cases.compute(&forward);
            let RowNorm { x, gain, stats, .. } = forward;
            let dy = cases.filled("dy", x.shape())?;
            let dx = cases.empty("dx", x.shape())?;
            Ok(Self { x, stats, gain, dy, base: None, dx, centred: true })
        });
    }
}
