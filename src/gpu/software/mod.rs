//! What is there for one software driver alone: shared memory of textures and buffers, layers in
//! one dispatch, compiling ahead.

pub(in crate::gpu) mod alias;
pub(in crate::gpu) mod backoff;
pub(in crate::gpu) mod barrier;
pub(in crate::gpu) mod chain;
pub(in crate::gpu) mod memory;
pub(in crate::gpu) mod pool;
pub(in crate::gpu) mod stage;
pub(in crate::gpu) mod warm_up;
