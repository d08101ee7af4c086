//! The calls that kernels are timed and tuned on.

use crate::Result;
use crate::format::DType;
use crate::gpu::Kernel;
use crate::kernels::{self, BenchShape, Cases, Matmul, Shapes};
use std::sync::Arc;

/// The calls of real models that the kernels name, at least one of every kernel.
pub fn all_shapes() -> Vec<BenchShape> {
    let mut shapes = Shapes::default();
    kernels::list().for_each(|kernel| (kernel.shapes)(&mut shapes));
    shapes.all
}

/// Those that are tuned where no model is given: all calls of a step of models of the Llama family,
/// each once.
pub fn model_shapes() -> Vec<BenchShape> {
    let mut all = all_shapes();
    all.retain(|shape| shape.tuned);
    all
}

/// A plain product: `tokens` rows of activations of width `columns`, `rows` outputs.
pub fn product_shape(dtype: DType, tokens: usize, rows: usize, columns: usize) -> BenchShape {
    let what = format!("{dtype} {tokens}x{rows}x{columns} product");
    BenchShape::new(what, 0, move |cases: &mut Cases| -> Result<Arc<dyn Kernel>> {
        Ok(Arc::new(Matmul::made_up(cases, dtype, [tokens, rows, columns], false)?))
    })
}
