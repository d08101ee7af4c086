//! The gradients of the training norms with respect to gain and bias.

use super::row_norm::{CASE_SIZES, RowNorm};
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// The gradients of [`super::RowNorm`] with respect to gain and bias.
pub struct NormGainBackward {
    /// Input [T, C].
    pub x: Tensor,
    /// Mean and inverse deviation of each row [T, 4].
    pub stats: Tensor,
    /// Gradient of the output [T, C].
    pub dy: Tensor,
    /// Sum to add to the gradient of the gain `[C]`.
    pub base: Option<Tensor>,
    /// Sum to add to the gradient of the bias `[C]`.
    pub bias_base: Option<Tensor>,
    /// Gradient of the gain `[C]`.
    pub dgain: Tensor,
    /// Gradient of the bias `[C]`.
    pub dbias: Option<Tensor>,
}

impl Kernel for NormGainBackward {
    fn name(&self) -> &'static str {
        "norm_gain_backward"
    }

    fn operands(&self) -> Vec<Operand> {
        let mut all = vec![
            Operand::read("x", &self.x),
            Operand::read("stats", &self.stats),
            Operand::read("dy", &self.dy),
            Operand::optional("base", self.base.as_ref()),
            Operand::optional("bias_base", self.bias_base.as_ref()),
            Operand::write("dgain", &self.dgain),
        ];
        let dbias = Operand::optional("dbias", self.dbias.as_ref());
        all.push(self.dbias.as_ref().map_or(dbias, |dbias| Operand::write("dbias", dbias)));
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        let [rows, width] = [self.x.dim(0), self.x.dim(1)];
        vec![Parameter::U32("rows", rows as u32), Parameter::U32("width4", width as u32 / 4)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "norm_gain_backward",
            entry: "norm_gain_backward",
            source: include_str!("../../../shaders/rows/norm_gain_backward.wgsl"),
            constants: vec![],
            needs: Needs::lanes(8),
            grid: [(self.x.dim(1) as u32 / 4).div_ceil(8), 1, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.x.len() as u64;
        Cost { read: 8 * count, written: 8 * self.x.dim(1) as u64, operations: 5 * count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.x.dim(1);
        let (x, stats, dy) = (memory.f32(&self.x), memory.f32(&self.stats), memory.f32(&self.dy));
        let start = |base: &Option<Tensor>, memory: &mut HostMemory| match base {
            Some(base) => memory.f32(base).to_vec(),
            None => vec![0.0; width],
        };
        let mut gain = start(&self.base, memory);
        let mut bias = start(&self.bias_base, memory);
        for (i, dy) in dy.iter().enumerate() {
            let (row, c) = (i / width, i % width);
            gain[c] += dy * (x[i] - stats[4 * row]) * stats[4 * row + 1];
            bias[c] += dy;
        }
        memory.f32_mut(&self.dgain).copy_from_slice(&gain);
        if let Some(dbias) = &self.dbias {
            memory.f32_mut(dbias).copy_from_slice(&bias);
        }
    }
}

impl Checked for NormGainBackward {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, (rows, width)) in CASE_SIZES.into_iter().enumerate() {
            for centred in [false, true] {
                let kernel = Self {
                    x: cases.filled("x", &[rows, width])?,
                    stats: cases.filled("stats", &[rows, 4])?,
                    dy: cases.filled("dy", &[rows, width])?,
                    base: cases.filled_if(index % 2 == 1, "base", &[width])?,
                    bias_base: cases.filled_if(index % 2 == 1, "base", &[width])?,
                    dgain: cases.empty("dgain", &[width])?,
                    dbias: if centred { Some(cases.empty("dbias", &[width])?) } else { None },
                };
                cases.add(format!("[{rows}, {width}], centred {centred}"), kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training norm_gain_backward", |cases| {
            let forward = RowNorm::of_grok(cases)?;
            cases.compute(&forward);
            let RowNorm { x, stats, .. } = forward;
            let dy = cases.filled("dy", x.shape())?;
            let dgain = cases.empty("dgain", &[grok::WIDTH])?;
            let dbias = Some(cases.empty("dbias", &[grok::WIDTH])?);
            Ok(Self { x, stats, dy, base: None, bias_base: None, dgain, dbias })
        });
    }
}
