//! The configuration of a Hugging Face folder of any family: the first byte says whose weights and
//! tokenizer are beside it.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((family, config)) = bytes.split_first() else { return };
    let folder = common::numbered(family.wrapping_sub(b'A'));
    common::put(folder, "config.json", config);
    common::open(folder);
});
