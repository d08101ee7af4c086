//! Language models: configuration, weights, state, and the forward pass as a recording.
//!
//! Read `forward/pass.rs` first: it is the model, a kernel a line.
//!
//! The forward pass of a checkpoint as the list of kernels that it is, without a device:
//!
//! ```
//! use kaiwu::format::Source;
//! use kaiwu::gpu::Device;
//! use kaiwu::model::{LogitsMode, Runner, Weights};
//! use std::sync::Arc;
//!
//! let source = Source::open("tests/data/tiny/llama-f32".as_ref())?;
//! let weights = Arc::new(Weights::load(&Device::Reference, source, |_bytes| ())?);
//! let mut runner = Runner::new(&Device::Reference, &weights, Some(64), 16)?;
//! for entry in runner.recording(1, LogitsMode::Last)?.entries() {
//!     println!("{} {}", entry.label, entry.kernel.name());
//! }
//! runner.prefill(&[1, 5, 9], |_| ())?;
//! println!("the likeliest next token is {}", runner.greedy()?);
//! # Ok::<(), kaiwu::Error>(())
//! ```

pub mod architecture;
mod biases;
mod config;
mod counters;
mod dense;
mod export;
mod floats;
mod footprint;
mod forward;
mod loader;
mod lora;
mod merge;
mod mixture;
mod model_comparison;
mod model_type;
mod notices;
mod pooling;
pub mod profile;
pub mod rope;
mod rows;
mod runner;
mod state;
mod upload;
mod weights;

pub use architecture::Architecture;
pub use config::{Config, Experts, LayerType, unsupported_heads};
pub use counters::Counters;
pub use export::Export;
pub use floats::floats;
pub use footprint::Footprint;
pub use lora::Addition;
pub use merge::Merge;
pub use mixture::Mixture;
pub use model_comparison::{KlDivergence, ModelComparison};
pub use notices::notices;
pub use pooling::{Declared, Pooling};
pub use runner::{Embedder, LogitsMode, Runner, Score, Scorer};
pub use state::{Cache, SessionOptions};
pub use upload::PendingUpload;
pub use weights::{Dense, Extent, Ffn, Gain, Layer, Projection, Weights};
