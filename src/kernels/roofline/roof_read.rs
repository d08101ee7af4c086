//! Reading, as fast as the adapter can. The kernel is in `gpu`, which asks the adapter with it at
//! the start which storage to choose.

pub use crate::gpu::RoofRead;
