//! The loop from a prompt to an answer: read the prompt, choose, compute, until something ends it.
//!
//! ```
//! use kaiwu::generate::{Event, Options};
//!
//! let model = kaiwu::Model::load("tests/data/tiny/llama-f32")?;
//! let prompt = model.tokenizer()?.encode("Once upon a time", true)?;
//! let mut generator = model.generator(64)?;
//! let options = Options { max_tokens: Some(8), ..Options::default() };
//! let answer = generator.answer(&prompt, &options, |event| {
//!     if let Event::Token { id, .. } = event {
//!         println!("{id}");
//!     }
//!     Ok(())
//! })?;
//! assert_eq!(answer.ids.len(), 8);
//! # Ok::<(), kaiwu::Error>(())
//! ```

mod answer;
mod conversation;
mod decode_batching;
mod decoding;
mod generator;
mod recommended;
mod windows;
mod writer;

pub use answer::{Answer, FinishReason};
pub use conversation::{Conversation, Prompt, PromptRoom, Snapshot};
pub use decoding::Decoding;
pub use generator::{Event, Generator, Options};
pub use recommended::{gguf_recommended, recommended};
pub use windows::{TextComparison, TextLikelihood, Windows, comparison, likelihood};
