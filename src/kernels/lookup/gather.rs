//! The embedding of training, by ids and by place, and its gradients.

use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, FOLD, Gradients, HostMemory, Kernel, Needs, Operand, Parameter,
    Strategy, Target, Tensor, folded,
};
use crate::kernels::pointwise::pointwise::pointwise;
use crate::kernels::rows::sum_rows::SumRows;

/// `y[t] = table[ids[t]] (+ places[t mod period])`.
pub struct Gather {
    /// Token ids [T or more], below V.
    pub ids: Tensor,
    /// Embeddings by id [V, C].
    pub table: Tensor,
    /// Embeddings by place in the sequence [period, C].
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

/// The gradient of [`Gather`] with respect to its table.
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
