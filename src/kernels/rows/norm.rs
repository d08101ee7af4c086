//! Normalisation as a separate pass, where it cannot be part of a product.

use super::shared_row::SharedRow;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, PROMPT, Shapes};

/// `y[t] = norm(x[first_token + t]) * gain + bias + residual[t]`.
pub struct Norm {
    /// Activations [T, width].
    pub x: Tensor,
    /// Gain `[width]`, 0 in the padding.
    pub gain: Tensor,
    /// Bias `[width]`.
    pub bias: Option<Tensor>,
    /// Added to the result [T, width].
    pub residual: Option<Tensor>,
    /// The result [T, width].
    pub y: Tensor,
    /// Numbers in a row without padding, a multiple of 4.
    pub columns: usize,
    /// Added to the mean square.
    pub eps: f32,
    /// Whether the mean is subtracted first: LayerNorm instead of RMSNorm.
    pub centred: bool,
    /// The row of x for token 0.
    pub first_token: usize,
    /// Number of tokens T.
    pub tokens: usize,
}

impl Kernel for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_eq!(self.x.dim(1), self.y.dim(1), "{}: x and y differ in width", self.x.label());
        assert_eq!(
            self.x.dim(1),
            self.gain.dim(0),
            "{}: x and gain differ in width",
            self.x.label()
        );
        vec![
            Operand::read("x", &self.x),
            Operand::read("gain", &self.gain),
            Operand::optional("bias", self.bias.as_ref()),
            Operand::optional("residual", self.residual.as_ref()),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("width4", self.x.dim(1) as u32 / 4),
            Parameter::U32("columns4", self.columns as u32 / 4),
            Parameter::F32("columns", self.columns as f32),
            Parameter::F32("eps", self.eps),
            Parameter::U32("first_token", self.first_token as u32),
            Parameter::U32("rows", self.tokens as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "norm",
            entry: "norm",
            source: include_str!("../../../shaders/rows/norm.wgsl"),
            constants: vec![("CENTRED", Constant::Switch(self.centred))],
            needs: Needs::lanes(64).workgroup_bytes(4 * 64),
            grid: [self.tokens as u32, 1, 1],
        }];
        let shared = SharedRow {
            names: ["norm_subgroup_row", "norm_workgroup_row"],
            entry: "norm_shared_row",
            source: include_str!("../../../shaders/rows/norm_shared_row.wgsl"),
            texels: self.x.dim(1) / 4,
            rows: self.tokens,
        };
        can.allowed(all, shared.strategies(&[("CENTRED", Constant::Switch(self.centred))]))
    }

    fn cost(&self, _: usize) -> Cost {
        let numbers = (self.tokens * self.x.dim(1)) as u64;
        let read = if self.residual.is_some() { 8 } else { 4 };
        Cost { read: read * numbers, written: 4 * numbers, operations: 6 * numbers }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (x, gain, width) = (memory.f32(&self.x), memory.f32(&self.gain), self.x.dim(1));
        let bias = self.bias.as_ref().map(|bias| memory.f32(bias));
        let residual = self.residual.as_ref().map(|residual| memory.f32(residual));
        let y = memory.f32_mut(&self.y);
        for token in 0..self.tokens {
            let x = &x[(self.first_token + token) * width..][..width];
            let counted = &x[..self.columns];
            let count = self.columns as f32;
            let mean = if self.centred { counted.iter().sum::<f32>() / count } else { 0.0 };
            let squares: f32 = counted.iter().map(|v| (v - mean) * (v - mean)).sum();
            let scale = 1.0 / (squares / count + self.eps).sqrt();
            for (at, v) in x.iter().enumerate() {
                let added = bias.as_ref().map_or(0.0, |bias| bias[at])
                    + residual.as_ref().map_or(0.0, |residual| residual[token * width + at]);
                y[token * width + at] = (v - mean) * scale * gain[at] + added;
            }
        }
    }
}

impl Norm {
    /// The norm of Gemma 3 270M, with width 640.
    fn of_gemma(cases: &mut Cases, tokens: usize) -> Result<Self> {
        let columns = 640;
        Ok(Self {
            x: cases.filled("x", &[tokens, columns])?,
            gain: cases.filled("gain", &[columns])?,
            bias: None,
            residual: Some(cases.filled("residual", &[tokens, columns])?),
            y: cases.empty("y", &[tokens, columns])?,
            columns,
            eps: 1e-6,
            centred: false,
            first_token: 0,
            tokens,
        })
    }
}

impl Checked for Norm {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (columns, tokens) in [(4usize, 1), (36, 3), (256, 1), (1028, 2)] {
            for (centred, bias, residual) in [
                (false, false, true),
                (false, false, false),
                (true, true, false),
                (true, true, true),
            ] {
                let width = columns.next_multiple_of(32);
                let kernel = Self {
                    // One extra row, which is skipped; the padding of rows is zero.
                    x: cases.padded("x", &[tokens + 1, width], columns)?,
                    gain: cases.padded("gain", &[width], columns)?,
                    bias: cases.filled_if(bias, "bias", &[width])?,
                    residual: cases.filled_if(residual, "residual", &[tokens, width])?,
                    y: cases.empty("y", &[tokens, width])?,
                    columns,
                    eps: 1e-5,
                    centred,
                    first_token: 1,
                    tokens,
                };
                cases.add(
                    format!("{tokens} of {columns}, centred {centred}, residual {residual}"),
                    kernel,
                );
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("Gemma-3-270M decode norm", |cases| Self::of_gemma(cases, 1));
        shapes.add("Gemma-3-270M prefill of 256 norm", |cases| Self::of_gemma(cases, PROMPT));
    }
}
