//! Copying, as fast as the adapter can.

use super::roof_read::CASE_SIZES;
use crate::Result;
use crate::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Operand, Parameter, Strategy, Tensor, widths,
};
use crate::kernels::checked::{Cases, Checked, Shapes};

/// `y = x`.
pub struct RoofCopy {
    /// [L * reads, 4], L a multiple of 8.
    pub x: Tensor,
    /// The copy, of x's shape.
    pub y: Tensor,
    /// Texels each lane copies.
    pub reads: usize,
}

impl Kernel for RoofCopy {
    fn name(&self) -> &'static str {
        "roof_copy"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_eq!(self.x.len(), self.y.len(), "x and y differ");
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("reads", self.reads as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let source = include_str!("../../../shaders/roofline/roof_copy.wgsl");
        widths(can, ["roof_copy", "roof_copy_wide"], source, self.x.dim(0) / self.reads, &[])
    }

    fn cost(&self, _: usize) -> Cost {
        Cost { read: self.x.bytes(), written: self.y.bytes(), operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        memory.f32_mut(&self.y).copy_from_slice(&x);
    }
}

impl Checked for RoofCopy {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (lanes, reads, _) in CASE_SIZES {
            let x = cases.filled("x", &[lanes * reads, 4])?;
            let y = cases.empty("y", &[lanes * reads, 4])?;
            cases.add(format!("{lanes} lanes, {reads} texels each"), Self { x, y, reads });
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("roof copy of 16 MiB", |cases| {
            let x = cases.filled("x", &[1 << 20, 4])?;
            Ok(Self { x, y: cases.empty("y", &[1 << 20, 4])?, reads: 64 })
        });
    }
}
