//! Kernels that do one thing only, to measure the most that an adapter does of it.

mod roof_half;
mod roofs;

pub use roof_half::RoofMultiplyAddHalf;
pub use roofs::{RoofBarrier, RoofCopy, RoofMultiplyAdd, RoofRead};
