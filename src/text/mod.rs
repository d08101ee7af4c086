//! From text to token ids and back, and from a conversation to a prompt.
//!
//! Plain host code over strings: it knows the metadata of a model file, never the device.

mod added;
mod byte_level;
mod chat;
mod clock;
mod decoders;
mod folder_tokens;
mod gguf_pieces;
mod gguf_tokens;
mod learned;
mod library;
mod markers;
mod parts;
mod pretokenizers;
mod sentencepiece;
mod stream;
mod template;
mod tokenizer;
mod vocabulary;

pub use chat::{ChatTemplate, Message};
pub use gguf_tokens::gguf_tokenizer;
pub use learned::LearnedTokenizer;
pub use parts::{TokenKind, TokenizerParts};
pub use stream::TextStream;
pub use tokenizer::Tokenizer;
