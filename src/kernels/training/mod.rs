//! What only a training step needs: batches, slices, block-diagonal matrices and optimisers.

mod diagonal;
mod draw;
mod optimise;
mod pick;

pub use diagonal::{Diagonal, DiagonalGradient};
pub use draw::{Draw, Tick};
pub use optimise::{Adamw, Sgd, SquareSum, Step};
pub use pick::{Pick, Spread};
