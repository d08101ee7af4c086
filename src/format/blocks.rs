//! Host conversion between stored blocks and `f32`.
