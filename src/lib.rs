//! Kaiwu (开悟): a language-model runtime made of hand-written WGSL compute shaders.

pub mod error;
pub mod format;

pub use error::{Error, Result};
