//! Kernels used only in training: batches, slices, block-diagonal matrices and optimisers.

pub(in crate::kernels) mod optimizer_step;

pub use optimizer_step::Step;

kernels! {
    adamw::Adamw,
    block_diagonal::BlockDiagonal,
    block_diagonal_backward::BlockDiagonalBackward,
    increment_step::IncrementStep,
    sample_batch::SampleBatch,
    sgd::Sgd,
    slice_last::SliceLast,
    slice_last_backward::SliceLastBackward,
    square_sum::SquareSum,
}
