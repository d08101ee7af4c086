//! The loop from a prompt to an answer: read the prompt, choose, compute, until something ends it.

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
