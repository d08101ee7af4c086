//! Attention over a cache and over whole sequences, the cache itself, and rotary embeddings.

mod attention;
pub(in crate::kernels) mod cache;
mod causal_attention;
mod causal_gradient;
mod merge_pieces;
mod rotate;
mod rotate_heads;

pub use attention::{Attention, Pieces};
pub use cache::{CacheType, GRANULE, LayerCache, Side};
pub use causal_attention::{CausalAttention, Heads};
pub use causal_gradient::{CausalKeyGradient, CausalQueryGradient};
pub use merge_pieces::MergePieces;
pub use rotate::Rotate;
pub use rotate_heads::RotateHeads;
