//! Training: a forward pass of f32 kernels, its gradient by walking it in reverse, optimiser, batches, checkpoints.
//!
//! Parameters, gradients, moments, data and batches stay on the device. A submission holds many steps; the host writes
//! which sequences they draw and at which rate, and reads a loss and an accuracy of each.

mod checkpoint;
mod config;
mod export;
mod metrics;
mod optimiser;
mod order;
mod parameters;
mod schedule;
mod text_run;
mod text_settings;
mod trainer;
mod transformer;

pub use checkpoint::{Checkpoint, write_tensors};
pub use config::{Feedforward, NormKind, Positions, Shape};
pub use export::export_llama;
pub use metrics::{read_metrics, write_metrics};
pub use optimiser::{Method, Optimiser};
pub use order::{Order, permutation};
pub use parameters::Parameters;
pub use schedule::Schedule;
pub use text_run::{TextRow, TextRun};
pub use text_settings::TextSettings;
pub use trainer::{Score, Settings, Trainer};
pub use transformer::{Batch, Workspace, record};
