//! The embedding for training, by id and by position, and its gradients.

use super::scatter::Scatter;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, Gradients, HostMemory, Kernel, Operand, Parameter, Strategy, Target, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::pointwise::pointwise;
use crate::kernels::rows::sum_rows::SumRows;

/// `y[t] = table[ids[t]] (+ places[t mod period])`: embeddings by id and position.
pub struct Gather {
    /// Token ids [T or more], below V.
    pub ids: Tensor,
    /// Embeddings by id [V, C].
    pub table: Tensor,
    /// Embeddings by position in the sequence [period, C].
    pub places: Option<Tensor>,
    /// The result [T, C].
    pub y: Tensor,
}

impl Gather {
    fn period(&self) -> usize {
        self.places.as_ref().map_or(1, |places| places.dim(0))
    }
}

impl Kernel for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn operands(&self) -> Vec<Operand> {
        let (label, width) = (self.y.label(), self.y.dim(1));
        assert!(self.table.dim(1) == width && width.is_multiple_of(4), "{label}: width");
        assert!(self.ids.len() >= self.y.dim(0), "{label}: ids");
        assert!(
            self.places.as_ref().is_none_or(|places| places.dim(1) == width),
            "{label}: width of places"
        );
        vec![
            Operand::read("ids", &self.ids),
            Operand::read("table", &self.table),
            Operand::optional("places", self.places.as_ref()),
            Operand::write("y", &self.y),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("texels", self.y.len() as u32 / 4),
            Parameter::U32("width4", self.y.dim(1) as u32 / 4),
            Parameter::U32("period", self.period() as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        pointwise(
            "gather",
            include_str!("../../../shaders/lookup/gather.wgsl"),
            self.y.len() / 4,
            vec![],
            can,
        )
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.y.len() as u64;
        Cost { read: 4 * count, written: 4 * count, operations: count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (width, period) = (self.y.dim(1), self.period());
        let (ids, table) = (memory.u32(&self.ids), memory.f32(&self.table));
        let places = self.places.as_ref().map(|places| memory.f32(places));
        for (t, y) in memory.f32_mut(&self.y).chunks_mut(width).enumerate() {
            for (c, y) in y.iter_mut().enumerate() {
                let place = places.as_ref().map_or(0.0, |places| places[t % period * width + c]);
                *y = table[ids[t] as usize * width + c] + place;
            }
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.get(&self.y) else { return Ok(()) };
        if let Some(places) = &self.places
            && let Some(Target { to: y, base }) = gradients.target(places)?
        {
            let rows = self.y.dim(0) / self.period();
            gradients.push(SumRows { x: dy.clone(), base, y, rows });
        }
        if let Some(Target { to: dtable, base }) = gradients.target(&self.table)? {
            gradients.push(Scatter { ids: self.ids.clone(), dy, base, dtable });
        }
        Ok(())
    }
}

/// Ids in the cases: one occurs often, one once, one never, and their number does not fill a texel.
pub(super) const CASE_IDS: [u32; 10] = [3, 0, 3, 3, 6, 1, 0, 3, 5, 3];
/// Row widths in the cases.
pub(super) const CASE_WIDTHS: [usize; 3] = [4, 36, 300];

impl Checked for Gather {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, width) in CASE_WIDTHS.into_iter().enumerate() {
            let kernel = Self {
                ids: cases.words("ids", &CASE_IDS)?,
                table: cases.filled("table", &[7, width])?,
                places: cases.filled_if(index > 0, "places", &[5, width])?,
                y: cases.empty("y", &[CASE_IDS.len(), width])?,
            };
            cases.add(format!("{} of 7 rows of {width}", CASE_IDS.len()), kernel);
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training gather", |cases| {
            Ok(Self {
                ids: grok::ids(cases)?,
                table: cases.filled("table", &[grok::WORDS, grok::WIDTH])?,
                places: None,
                y: cases.empty("y", &[grok::ROWS, grok::WIDTH])?,
            })
        });
    }
}
