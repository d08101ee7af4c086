//! Text and tokens: tokenizers and chat templates.

#[path = "../common/mod.rs"]
mod common;

mod properties;
mod small;
mod templates;
mod tokenizer;
