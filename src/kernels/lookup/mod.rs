//! Rows looked up by an index: embeddings, positions, and gathering with its gradient.

kernels! {
    add_positions::AddPositions,
    embed::Embed,
    gather::Gather,
    scatter::Scatter,
}
