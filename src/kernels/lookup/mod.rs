//! Rows found by an index: embeddings, positions, and gathering with its backward.

mod add_positions;
mod embed;
mod gather;

pub use add_positions::AddPositions;
pub use embed::Embed;
pub use gather::{Gather, Scatter};
