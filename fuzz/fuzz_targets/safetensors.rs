//! A shard of a model in safetensors: its header.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::put("model-00002-of-00002.safetensors", bytes);
    common::open(common::folder());
});
