//! Norms, sums and maxima over the rows of a matrix.

mod argmax;
mod norm;
mod norm_backward;
mod row_norm;
pub(in crate::kernels) mod shared_row;
pub(in crate::kernels) mod sum_rows;

pub use argmax::Argmax;
pub use norm::Norm;
pub use norm_backward::{NormBackward, NormGainBackward};
pub use row_norm::RowNorm;
pub use sum_rows::SumRows;
