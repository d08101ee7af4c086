//! Kaiwu (开悟): a language-model runtime made of hand-written WGSL compute shaders.
//!
//! ```
//! use kaiwu::Model;
//!
//! # let path = "tests/data/tiny/llama-f32";
//! let model = Model::load(path)?; // a GGUF file, a Hugging Face folder, or owner/name
//! println!("{}", model.generate("Once upon a time")?);
//!
//! let mut chat = model.chat().system("Be brief.").temperature(0.7).max_tokens(16);
//! for piece in chat.ask("What is gravity?")? {
//!     print!("{}", piece?);
//! }
//! # Ok::<(), kaiwu::Error>(())
//! ```
//!
//! # What you want, what to use
//!
//! | you want to | use |
//! |---|---|
//! | continue a text | [`Model::generate`], with options [`Model::completion`] |
//! | hold a conversation | [`Model::chat`] |
//! | show text as it comes | the iterators [`Reply`](session::Reply) of [`Chat::ask`] and [`Pieces`](session::Pieces) |
//! | end an answer from elsewhere | [`Cancel`](session::Cancel) |
//! | turn a text into a vector | [`Model::embed`] |
//! | know how well a model expects a text | [`Model::score`] |
//! | choose device, context, cache, LoRA | [`Model::options`] |
//! | know the memory a model would take | [`ModelFile::footprint`](session::ModelFile::footprint) |
//! | work with ids instead of text | [`Model::generator`], [`generate::Generator`] |
//! | look at logits | [`Model::runner`], [`model::Runner`] |
//! | read or write model files | [`format`](mod@format) |
//! | write a kernel and check it | [`gpu::Kernel`], [`gpu::first_divergence`] |
//! | train | [`train`] |
//!
//! The page `docs/library.md` of the repository has these tasks with their code.
//!
//! # One idea: a recording is a value
//!
//! A kernel call is a plain struct with named operands. Pushed onto a [`gpu::Recording`], calls make
//! a list, and a forward pass is a function that returns such a list
//! ([`model::Runner::recording`]). Everything else is a way to read it: [`gpu::Program`] compiles and runs it, [`gpu::Recording::run_reference`]
//! runs each call's plain loops instead, [`gpu::first_divergence`] runs both and names the first call
//! that is wrong, [`gpu::Recording::cost`] adds up bytes and operations, and [`gpu::Gradients`] walks
//! it in reverse.
//!
//! # The modules
//!
//! Each builds on those after it.
//!
//! | module | has |
//! |---|---|
//! | [`session`] | the front door: models, chats, completions |
//! | [`generate`] | the loop from a prompt's ids to an answer, conversations, texts in windows |
//! | [`train`] | training from the same recordings: gradients, optimisers, checkpoints |
//! | [`model`] | configuration, weights, the forward pass, cache and runner |
//! | [`kernels`] | one struct a kernel, with its reference; packed weights |
//! | [`gpu`] | the device, tensors, recordings |
//! | [`sample`], [`text`] | from logits to ids; tokenizers and chat templates |
//! | [`format`](mod@format), [`hub`] | model files; models by name |
//! | [`workbench`] | is a kernel right on this machine, and how fast |

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod files;
pub mod format;
pub mod generate;
pub mod gpu;
pub mod hub;
pub mod kernels;
#[cfg(feature = "train")]
#[doc(hidden)]
pub mod lab;
pub mod model;
mod platform;
#[cfg(any(feature = "train", feature = "workbench"))]
mod plot;
pub mod sample;
pub mod session;
pub mod text;
#[cfg(feature = "train")]
pub mod train;
#[cfg(feature = "workbench")]
pub mod workbench;

pub use error::{Error, Remedy, Result};
pub use generate::FinishReason;
pub use kernels::CacheType;
pub use session::{Chat, Model, ModelOptions};

/// The code of `README.md`, which is compiled with the examples above.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The code of `docs/library.md`, which is compiled and run with the examples above.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct LibraryPage;
