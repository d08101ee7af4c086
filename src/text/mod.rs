//! From text to token ids and back, and from a conversation to a prompt.
//!
//! Plain host code over strings: it knows the metadata of a model file, never the device.

mod chat;
mod stream;
mod strftime;
mod template;
mod tokenizer;

pub use chat::{ChatTemplate, Message};
pub use stream::TextStream;
pub use tokenizer::bpe_trainer::TrainedBpe;
pub use tokenizer::gguf_tokens::gguf_tokenizer;
pub use tokenizer::metadata::{TokenKind, TokenizerMetadata};
pub use tokenizer::tokenizer::Tokenizer;
