//! Kaiwu (开悟): a language-model runtime made of hand-written WGSL compute shaders.

pub mod cli;
pub mod error;
pub mod files;
pub mod format;
pub mod generate;
pub mod gpu;
pub mod hub;
pub mod kernels;
pub mod lab;
pub mod model;
pub mod sample;
pub mod session;
pub mod text;
pub mod train;
pub mod workbench;

pub use error::{Error, Result};
pub use generate::FinishReason;
pub use kernels::CacheType;
pub use session::{Chat, Model, ModelOptions};
