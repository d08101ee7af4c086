//! A GGUF file: header, metadata, table of tensors, and what a configuration and a tokenizer make of them.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::open(&common::put("model.gguf", bytes));
});
