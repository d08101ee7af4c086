//! The gradient of a table that rows were gathered from.

use super::gather::{CASE_IDS, CASE_WIDTHS};
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, FOLD, HostMemory, Kernel, Needs, Operand, Parameter, Strategy,
    Tensor, folded,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};

/// The gradient of [`Gather`](crate::kernels::Gather) with respect to its table.
pub struct Scatter {
    /// Token ids [T or more].
    pub ids: Tensor,
    /// Gradient of the rows gathered [T, C].
    pub dy: Tensor,
    /// Gradient of the table so far.
    pub base: Option<Tensor>,
    /// Gradient of the table [V, C].
    pub dtable: Tensor,
}

impl Kernel for Scatter {
    fn name(&self) -> &'static str {
        "scatter"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("ids", &self.ids),
            Operand::read("dy", &self.dy),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("dtable", &self.dtable),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("tokens", self.dy.dim(0) as u32),
            Parameter::U32("width4", self.dy.dim(1) as u32 / 4),
            Parameter::U32("rows", self.dtable.dim(0) as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let width4 = self.dy.dim(1) as u32 / 4;
        let texels = width4.div_ceil(8).min(8);
        let [y, z] = folded(self.dtable.dim(0));
        let strategy = |name, broadcast| Strategy {
            name,
            entry: "scatter",
            source: include_str!("../../../shaders/lookup/scatter.wgsl"),
            constants: vec![
                ("TEXELS", Constant::Count(texels)),
                ("BROADCAST", Constant::Switch(broadcast)),
                ("FOLD", Constant::Count(FOLD)),
            ],
            needs: Needs::lanes(8).subgroup(if broadcast { 8 } else { 0 }),
            grid: [width4.div_ceil(8 * texels), y, z],
        };
        let all = vec![strategy("scatter_broadcast", true), strategy("scatter", false)];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.dy.len() as u64;
        Cost { read: 4 * count, written: 4 * self.dtable.len() as u64, operations: count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let width = self.dy.dim(1);
        let (ids, dy) = (memory.u32(&self.ids), memory.f32(&self.dy));
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let dtable = memory.f32_mut(&self.dtable);
        match base {
            Some(base) => dtable.copy_from_slice(&base),
            None => dtable.fill(0.0),
        }
        for (dy, &id) in dy.chunks(width).zip(ids.iter()) {
            dtable[id as usize * width..][..width]
                .iter_mut()
                .zip(dy)
                .for_each(|(sum, dy)| *sum += dy);
        }
    }
}

impl Checked for Scatter {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, width) in CASE_WIDTHS.into_iter().enumerate() {
            let kernel = Self {
                ids: cases.words("ids", &CASE_IDS)?,
                dy: cases.filled("dy", &[CASE_IDS.len(), width])?,
                base: cases.filled_if(index % 2 == 1, "base", &[7, width])?,
                dtable: cases.empty("dtable", &[7, width])?,
            };
            cases.add(format!("{} of 7 rows of {width}", CASE_IDS.len()), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training scatter", |cases| {
            Ok(Self {
                ids: grok::ids(cases)?,
                dy: cases.filled("dy", &[grok::ROWS, grok::WIDTH])?,
                base: None,
                dtable: cases.empty("dtable", &[grok::WORDS, grok::WIDTH])?,
            })
        });
    }
}
