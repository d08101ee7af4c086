//! Training: a forward pass of f32 kernels, its gradient by walking it in reverse, optimiser, batches, checkpoints.
//!
//! Parameters, gradients, moments, data and batches stay on the device. A submission holds many steps; the host writes
//! which sequences they draw and at which rate, and reads a loss and an accuracy of each.

mod checkpoint;
mod config;
mod data;
mod example;
mod export;
mod export_tuned;
mod json_lines;
mod lesson;
mod low_rank;
mod metrics;
mod network;
mod optimiser;
mod order;
mod parameters;
mod schedule;
mod score;
mod settings;
mod step;
mod tensor_file;
mod text_run;
mod text_settings;
mod trainer;
mod transformer;
mod tuning;

pub use checkpoint::Checkpoint;
pub use config::{Feedforward, NormKind, Positions, Shape};
pub use data::Data;
pub use example::Example;
pub use json_lines::{read_lines, write_lines};
pub use lesson::{Lengths, Lesson};
pub use low_rank::{Adapter, LoraSettings, Target};
pub use metrics::{read_metrics, write_metrics};
pub use network::Network;
pub use optimiser::{Method, Optimiser};
pub use order::{Order, permutation};
pub use parameters::Parameters;
pub use schedule::Schedule;
pub use score::Score;
pub use settings::Settings;
pub use tensor_file::write_tensors;
pub use text_run::{Pupil, TextRow, TextRun};
pub use text_settings::TextSettings;
pub use trainer::Trainer;
pub use transformer::{Batch, Workspace, record};
pub use tuning::{Tuning, Wishes};
