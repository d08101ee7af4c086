//! What several tests share. Each test binary uses a part of it.

pub mod gguf_writer;
