//! Kernels with one kind of work each, to measure the adapter's peak rate of it.

kernels! {
    roof_barrier::RoofBarrier,
    roof_copy::RoofCopy,
    roof_multiply_add::RoofMultiplyAdd,
    roof_multiply_add_half::RoofMultiplyAddHalf,
    roof_read::RoofRead,
}
