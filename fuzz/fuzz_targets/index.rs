//! The index of a model in several safetensors files.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::put(common::folder(), "model.safetensors.index.json", bytes);
    common::open(common::folder());
});
