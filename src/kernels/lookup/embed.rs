//! The embedding: looks up rows of a table by token id.

use crate::Result;
use crate::format::DType;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, MODEL_STEPS, Shapes};
use crate::kernels::linear::matrix::Part;

/// `y[t] = scale * W[ids[t]]` for the ids whose rows are in this part of the table.
pub struct Embed {
    /// Token ids [T or more].
    pub ids: Tensor,
    /// The table [V, C], or a part of its rows.
    pub w: Part,
    /// The result [T, C].
    pub y: Tensor,
    /// Number of tokens T.
    pub tokens: usize,
    /// Factor of the embeddings, 1 for most models.
    pub scale: f32,
}

impl Kernel for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("ids", &self.ids),
            Operand::read("w", &self.w.tensor),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut all = self.w.parameters(self.w.planes.rows4);
        all.push(Parameter::U32("first_row", self.w.first as u32));
        all.push(Parameter::F32("scale", self.scale));
        all
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "embed",
            entry: "embed",
            source: include_str!("../../../shaders/lookup/embed.wgsl"),
            constants: vec![("FORMAT", Constant::Word(self.w.format()))],
            needs: Needs::lanes(32),
            grid: [(self.w.planes.blocks as u32 * 4).div_ceil(32), self.tokens as u32, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let outputs = (self.tokens * self.y.dim(1)) as u64;
        let row = self.w.tensor.bytes() / (self.w.planes.rows4 * 4) as u64;
        Cost { read: row * self.tokens as u64, written: 4 * outputs, operations: 2 * outputs }
    }

    fn necessary(&self, _: usize) -> u64 {
        self.w.row_bytes() * self.tokens as u64
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.y.dim(1);
        let ids = memory.u32(&self.ids);
        let y = memory.f32_mut(&self.y);
        let mut weights = vec![0.0; self.w.columns()];
        for (y, &id) in y.chunks_mut(width).zip(ids.iter()).take(self.tokens) {
            let Some(row) =
                (id as usize).checked_sub(self.w.first).filter(|&row| row < self.w.rows())
            else {
                continue;
            };
            self.w.row_f32(row, &mut weights);
            for (y, w) in y.iter_mut().zip(&weights) {
                *y = self.scale * w;
            }
        }
    }
}

impl Checked for Embed {
    fn cases(cases: &mut Cases) -> Result<()> {
        for dtype in DType::ALL {
            let (rows, columns) = (44, 256);
            let ids = [0, 1, 2, 3, 43, 17, 0];
            let kernel = Self {
                ids: cases.words("ids", &ids)?,
                w: cases.matrix(dtype, rows, columns)?,
                y: cases.empty("y", &[ids.len(), columns])?,
                tokens: ids.len(),
                scale: 1.5,
            };
            cases.add(format!("{dtype} [{rows}, {columns}]"), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        for step in MODEL_STEPS.iter().filter(|step| step.vocab_size > 0) {
            shapes.add_of_model(step, "embed", |cases, step| {
                let tokens = step.tokens;
                let ids: Vec<u32> =
                    (0..tokens).map(|n| (n * 7919 % step.vocab_size) as u32).collect();
                Ok(Self {
                    ids: cases.words("ids", &ids)?,
                    w: cases.matrix(step.dtype, step.vocab_size, step.hidden_size)?,
                    y: cases.empty("y", &[tokens, step.hidden_size])?,
                    tokens,
                    scale: 1.0,
                })
            });
        }
    }
}
