//! Language models: configuration, weights, state, and the forward pass as a recording.
//!
//! Read `forward/pass.rs` first: it is the model, a kernel a line.

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
