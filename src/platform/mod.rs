//! What the library takes from an operating system, each in one place: a clock, threads, and files
//! that are mapped into memory. A browser has none of them; what stands in for them there is here.

mod map;
mod workers;

pub(crate) use map::Map;
pub(crate) use workers::on_all_cores;

/// A clock that never goes back.
#[cfg(not(target_family = "wasm"))]
pub(crate) use std::time::Instant;
#[cfg(target_family = "wasm")]
pub(crate) use web_time::Instant;
