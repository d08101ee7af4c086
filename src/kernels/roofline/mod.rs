//! Kernels that do one thing only, to measure the most that an adapter does of it.

kernels! {
    roof_barrier::RoofBarrier,
    roof_copy::RoofCopy,
    roof_multiply_add::RoofMultiplyAdd,
    roof_multiply_add_half::RoofMultiplyAddHalf,
    roof_read::RoofRead,
}
