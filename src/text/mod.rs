//! From text to token ids and back, and from a conversation to a prompt.
//!
//! Plain host code over strings: it knows the metadata of a model file, never the device.
//!
//! ```
//! use kaiwu::format::Source;
//! use kaiwu::text::Tokenizer;
//!
//! let source = Source::open("tests/data/tiny/llama-f32".as_ref())?;
//! let tokenizer = Tokenizer::from_source(&source)?;
//! let ids = tokenizer.encode("How are you?", true)?;
//! assert_eq!(tokenizer.decode(&ids, true), "How are you?");
//! # Ok::<(), kaiwu::Error>(())
//! ```

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
