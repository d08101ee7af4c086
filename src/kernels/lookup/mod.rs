//! Rows found by an index: embeddings, positions, and gathering with its backward.

kernels! {
    add_positions::AddPositions,
    embed::Embed,
    gather::Gather,
    scatter::Scatter,
}
