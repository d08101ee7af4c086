//! Tokenizers: text to ids and back, with the vocabularies of GGUF files and Hugging Face folders.

pub(in crate::text) mod added;
pub(in crate::text) mod bpe_trainer;
pub(in crate::text) mod byte_level;
pub(in crate::text) mod decoders;
pub(in crate::text) mod folder_tokens;
pub(in crate::text) mod gguf_pieces;
pub(in crate::text) mod gguf_tokens;
pub(in crate::text) mod hf_tokenizer;
pub(in crate::text) mod markers;
pub(in crate::text) mod metadata;
pub(in crate::text) mod pretokenizers;
pub(in crate::text) mod sentencepiece;
pub(in crate::text) mod tokenizer;
pub(in crate::text) mod vocabulary;
