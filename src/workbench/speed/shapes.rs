//! The benchmark shapes that kernels are timed and tuned on.

use crate::Result;
use crate::format::DType;
use crate::gpu::Kernel;
use crate::kernels::{self, BenchShape, Cases, Matmul, Shapes};
use std::sync::Arc;

/// The benchmark shapes of all kernels, at least one for each.
pub fn all_shapes() -> Vec<BenchShape> {
    let mut shapes = Shapes::default();
    kernels::list().for_each(|kernel| (kernel.shapes)(&mut shapes));
    shapes.all
}

/// The shapes tuned if no model is given: all distinct calls in a step of models of the Llama
/// family.
pub fn model_shapes() -> Vec<BenchShape> {
    let mut all = all_shapes();
    all.retain(|shape| shape.tuned);
    all
}

/// A plain product: `tokens` rows of activations of width `columns`, with `rows` outputs.
pub fn product_shape(dtype: DType, tokens: usize, rows: usize, columns: usize) -> BenchShape {
    let what = format!("{dtype} {tokens}x{rows}x{columns} product");
    BenchShape::new(what, 0, move |cases: &mut Cases| -> Result<Arc<dyn Kernel>> {
        Ok(Arc::new(Matmul::made_up(cases, dtype, [tokens, rows, columns], false)?))
    })
}
