//! Training: a forward pass of f32 kernels, its gradient by walking it in reverse, optimiser,
//! batches, checkpoints.
//!
//! Parameters, gradients, moments, data and batches stay on the device. A submission holds many
//! steps; the host writes which sequences they draw and at which rate, and reads a loss and an
//! accuracy of each.
//!
//! ```
//! use kaiwu::train::{Schedule, Shuffle};
//!
//! // A warm-up of 10 steps, then a cosine down to a tenth at step 110.
//! let schedule = Schedule { cosine_until: Some(110), floor: 0.1, ..Schedule::constant(3e-4, 10) };
//! assert!(schedule.at(5) < schedule.at(10) && schedule.at(60) > schedule.at(110));
//! // Which sequences a step draws: each once an epoch.
//! let mut order = Shuffle::new(8, 1);
//! let mut epoch: Vec<u32> = (0..8).map(|position| order.at(position)).collect();
//! epoch.sort();
//! assert_eq!(epoch, [0, 1, 2, 3, 4, 5, 6, 7]);
//! ```
//!
//! [`TextRun`] trains on texts, and [`Trainer`] on rows of ids; `examples/grok_tiny.rs` is a
//! complete run.

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
