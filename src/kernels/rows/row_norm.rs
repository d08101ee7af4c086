//! LayerNorm and RMSNorm for training.

use super::norm_backward::NormBackward;
use super::norm_gain_backward::NormGainBackward;
use super::shared_row::SharedRow;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy,
    Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::rowwise;

/// `y[r] = (x[r] - mean) / deviation * gain (+ bias)`.
///
/// This is LayerNorm (Ba et al. 2016, arXiv:1607.06450), or RMSNorm (Zhang and Sennrich 2019,
/// arXiv:1910.07467), which uses 0 as the mean.
pub struct RowNorm {
    /// Rows [T, C].
    pub x: Tensor,
    /// Gain `[C]`.
    pub gain: Tensor,
    /// Bias `[C]`.
    pub bias: Option<Tensor>,
    /// The result [T, C].
    pub y: Tensor,
    /// Mean and inverse deviation of each row [T, 4], for the gradient.
    pub stats: Tensor,
    /// Whether to subtract the mean: LayerNorm instead of RMSNorm.
    pub centred: bool,
    /// Added to the variance.
    pub eps: f32,
}

/// Mean and inverse deviation of `x`.
pub(in crate::kernels) fn moments(x: &[f32], centred: bool, eps: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = if centred { x.iter().sum::<f32>() / count } else { 0.0 };
    let squares: f32 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, 1.0 / (squares / count + eps).sqrt())
}

impl Kernel for RowNorm {
    fn name(&self) -> &'static str {
        "row_norm"
    }

    fn operands(&self) -> Vec<Operand> {
        let [rows, width] = [self.x.dim(0), self.x.dim(1)];
        assert!(
            self.y.len() == self.x.len() && self.stats.len() == 4 * rows,
            "{}: rows",
            self.y.label()
        );
        assert!(self.gain.len() == width && width.is_multiple_of(4), "{}: width", self.y.label());
        let mut all = vec![
            Operand::read("x", &self.x),
            Operand::read("gain", &self.gain),
            Operand::optional("bias", self.bias.as_ref()),
        ];
        all.extend([Operand::write("y", &self.y), Operand::write("stats", &self.stats)]);
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("rows", self.x.dim(0) as u32),
            Parameter::U32("width4", self.x.dim(1) as u32 / 4),
            Parameter::F32("eps", self.eps),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let constants = [("CENTRED", Constant::Switch(self.centred))];
        let shared = SharedRow {
            names: ["row_norm_subgroup_row", "row_norm_workgroup_row"],
            entry: "row_norm_shared_row",
            source: include_str!("../../../shaders/rows/row_norm_shared_row.wgsl"),
            texels: self.x.dim(1) / 4,
            rows: self.x.dim(0),
        };
        let source = include_str!("../../../shaders/rows/row_norm.wgsl");
        can.allowed(
            rowwise("row_norm", source, self.x.dim(0), &constants),
            shared.strategies(&constants),
        )
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.x.len() as u64;
        Cost { read: 4 * count, written: 4 * count, operations: 8 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.x.dim(1);
        let (x, gain) = (memory.f32(&self.x), memory.f32(&self.gain));
        let bias = self.bias.as_ref().map(|bias| memory.f32(bias));
        for (row, x) in x.chunks(width).enumerate() {
            let (mean, scale) = moments(x, self.centred, self.eps);
            memory.f32_mut(&self.stats)[4 * row..][..4].copy_from_slice(&[mean, scale, 0.0, 0.0]);
            for (c, y) in memory.f32_mut(&self.y)[row * width..][..width].iter_mut().enumerate() {
                *y = (x[c] - mean) * scale * gain[c] + bias.as_ref().map_or(0.0, |bias| bias[c]);
            }
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.get(&self.y) else { return Ok(()) };
        let (x, stats) = (&self.x, &self.stats);
        if let Some(Target { to: dgain, base }) = gradients.target(&self.gain)? {
            let bias = self.bias.as_ref().map(|bias| gradients.target(bias)).transpose()?.flatten();
            let (dbias, bias_base) = bias.map_or((None, None), |bias| (Some(bias.to), bias.base));
            let (x, stats, dy) = (x.clone(), stats.clone(), dy.clone());
            gradients.push(NormGainBackward { x, stats, dy, base, bias_base, dgain, dbias });
        }
        if let Some(Target { to: dx, base }) = gradients.target(x)? {
            let (x, stats, gain) = (x.clone(), stats.clone(), self.gain.clone());
            gradients.push(NormBackward { x, stats, gain, dy, base, dx, centred: self.centred });
        }
        Ok(())
    }
}

/// Rows and columns in the cases of the training norms.
pub(super) const CASE_SIZES: [(usize, usize); 4] = [(1, 4), (33, 32), (7, 132), (65, 36)];

impl RowNorm {
    /// The norm of a training step of `kaiwu grok`.
    pub(super) fn of_grok(cases: &mut Cases) -> Result<Self> {
        Ok(Self {
            x: cases.filled("x", &[grok::ROWS, grok::WIDTH])?,
            gain: cases.filled("gain", &[grok::WIDTH])?,
            bias: None,
            y: cases.empty("y", &[grok::ROWS, grok::WIDTH])?,
            stats: cases.empty("stats", &[grok::ROWS, 4])?,
            centred: true,
            eps: 1e-5,
        })
    }
}

impl Checked for RowNorm {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, (rows, width)) in CASE_SIZES.into_iter().enumerate() {
            for centred in [false, true] {
                let kernel = Self {
                    x: cases.filled("x", &[rows, width])?,
                    gain: cases.filled("gain", &[width])?,
                    bias: cases.filled_if(index % 2 == 1, "bias", &[width])?,
                    y: cases.empty("y", &[rows, width])?,
                    stats: cases.empty("stats", &[rows, 4])?,
                    centred,
                    eps: 1e-5,
                };
                cases.add(format!("[{rows}, {width}], centred {centred}"), kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training row_norm", Self::of_grok);
    }
}
