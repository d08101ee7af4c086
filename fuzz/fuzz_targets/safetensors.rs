//! A shard of a model in safetensors: its header.
#![no_main]

mod common;

const SHARD: &str = "model-00002-of-00002.safetensors";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The fuzzer makes up the header: the weights behind it are as many as the shard has. Cut files
    // are input too, those of an odd length.
    let mut bytes = bytes.to_vec();
    if bytes.len() % 2 == 0 {
        bytes.resize(bytes.len() + common::weights(SHARD), 0);
    }
    common::put(common::folder(), SHARD, &bytes);
    common::open(common::folder());
});
