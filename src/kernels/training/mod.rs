//! What only a training step needs: batches, slices, block-diagonal matrices and optimisers.

mod block_diagonal;
mod optimise;
mod sample_batch;
mod slice_last;

pub use block_diagonal::{BlockDiagonal, BlockDiagonalBackward};
pub use optimise::{Adamw, Sgd, SquareSum, Step};
pub use sample_batch::{IncrementStep, SampleBatch};
pub use slice_last::{SliceLast, SliceLastBackward};
