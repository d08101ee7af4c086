//! Attention over a cache and over whole sequences, the cache itself, and rotary embeddings.

mod attention;
pub(in crate::kernels) mod cache;
mod causal_attention;
mod causal_backward;
mod merge_pieces;
mod qk_norm_rope;
mod rope;

pub use attention::{Attention, Pieces};
pub use cache::{CacheType, GRANULE, LayerCache, Side};
pub use causal_attention::{CausalAttention, Heads};
pub use causal_backward::{CausalKeyBackward, CausalQueryBackward};
pub use merge_pieces::MergePieces;
pub use qk_norm_rope::QkNormRope;
pub use rope::Rope;
