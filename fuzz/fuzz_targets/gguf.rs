//! A GGUF file: header, metadata, table of tensors, and what a configuration, a tokenizer and an
//! adapter make of them.
#![no_main]

mod common;

/// What the weights of the tiny checkpoints fit into.
const WEIGHTS: usize = 384 << 10;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The fuzzer makes up headers: without weights behind them none would get past the table of
    // tensors. Cut files are input too, those of an odd length.
    let mut bytes = bytes.to_vec();
    if bytes.len() % 2 == 0 {
        bytes.resize(bytes.len() + WEIGHTS, 0);
    }
    let path = common::put(common::folder(), "model.gguf", &bytes);
    common::open(&path);
    let _ = kaiwu::format::Lora::open(&path, "llama");
});
