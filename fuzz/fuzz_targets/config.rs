//! The configuration of a Hugging Face folder.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::put("config.json", bytes);
    common::open(common::folder());
});
