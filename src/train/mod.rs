//! Training: a forward pass of f32 kernels, its gradient by walking it in reverse, optimiser,
//! batches, checkpoints.
//!
//! Parameters, gradients, moments, data and batches stay on the device. A submission holds many
//! steps; the host writes which sequences they draw and at which rate, and reads a loss and an
//! accuracy of each.

mod data;
mod model;
mod optimisation;
mod output;
mod settings;
mod text_run;
mod text_settings;
mod trainer;
mod tuning;

pub use data::data::Data;
pub use data::dataset::{Dataset, Lengths};
pub use data::example::Example;
pub use data::json_lines::{read_lines, write_lines};
pub use data::shuffle::{Shuffle, permutation};
pub use model::config::{Feedforward, NormKind, Positions, Shape};
pub use model::forward::{Batch, Workspace, record};
pub use model::low_rank::{Adapter, LoraSettings, Target};
pub use model::network::Network;
pub use model::parameters::Parameters;
pub use optimisation::optimiser::{Optimizer, OptimizerKind};
pub use optimisation::schedule::Schedule;
pub use optimisation::score::Score;
pub use output::checkpoint::Checkpoint;
pub use output::metrics::{read_metrics, write_metrics};
pub use output::tensor_file::write_tensors;
pub use settings::Settings;
pub use text_run::{TextRow, TextRun, TrainedModel};
pub use text_settings::TextSettings;
pub use trainer::Trainer;
pub use tuning::{TrainingOverrides, Tuning};
