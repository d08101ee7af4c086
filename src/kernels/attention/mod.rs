//! Attention over a cache and over whole sequences, the cache itself, and rotary embeddings.

pub(in crate::kernels) mod cache;
pub(in crate::kernels) mod case_sizes;

pub use attention::Pieces;
pub use cache::{CacheType, GRANULE, LayerCache, Side};
pub use causal_attention::Heads;

kernels! {
    attention::Attention,
    causal_attention::CausalAttention,
    causal_key_backward::CausalKeyBackward,
    causal_query_backward::CausalQueryBackward,
    merge_pieces::MergePieces,
    qk_norm_rope::QkNormRope,
    rope::Rope,
}
