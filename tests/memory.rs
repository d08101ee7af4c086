//! What a model takes is worked out before it is allocated, and what cannot fit is refused with the figures.

mod common;

use kaiwu::format::Source;
use kaiwu::gpu::{Gpu, GpuOptions, Place};
use kaiwu::kernels::CacheType;
use kaiwu::model::{Footprint, Model, Room, Runner};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

fn tiny(name: &str) -> Source {
    Source::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)).unwrap()
}

fn kaiwu(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaiwu"));
    command.args(arguments).env("KAIWU_MODEL", common::default_model()).output().expect("kaiwu starts")
}

#[test]
fn a_cache_takes_what_was_worked_out() {
    for (name, context) in [("llama-f32", 256), ("mistral-f16", 256), ("gemma3-bf16", 200), ("gpt2-f32", 65)]
    {
        let source = tiny(name);
        let model = Arc::new(Model::load(&Place::Host, &source, |_| ()).unwrap());
        for cache in [CacheType::F16, CacheType::F32, CacheType::Q8_0] {
            for chunk in [7, 256] {
                let room = Room { context: Some(context), expected: context, chunk, cache };
                let found = Footprint::new(&source, None, &room).unwrap();
                let runner = Runner::with_room(&Place::Host, &model, room).unwrap();
                assert_eq!(found.cache_bytes, runner.cache_bytes(), "{name}, {cache:?}, {chunk} at once");
                assert_eq!(found.weights_bytes, model.bytes(), "{name}");
            }
        }
    }
}

#[test]
fn what_cannot_fit_is_refused_with_the_figures() {
    for (context, cache, refused) in
        [("8192", "f16", true), ("8192", "q8_0", true), ("256", "f16", false), ("512", "q8_0", false)]
    {
        let arguments =
            ["logits", "--memory", "160", "--context", context, "--cache", cache, "--ids", "504,3575"];
        let output = kaiwu(&arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), !refused, "{arguments:?}: {message}");
        if refused {
            assert_eq!(output.status.code(), Some(1));
            for part in
                ["weights (", "cache of 8192 tokens (", "activations (", "160.0 MiB", "smaller --context"]
            {
                assert!(message.contains(part), "{part} is not in {message}");
            }
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn a_cache_that_grows_beyond_it_is_refused() {
    let source = tiny("llama-f32");
    let place = |memory_bytes| {
        Place::Device(Gpu::open(&GpuOptions { memory_bytes, ..GpuOptions::default() }).unwrap())
    };
    let weights = Model::load(&Place::Host, &source, |_| ()).unwrap().bytes();
    for (memory, fits) in
        [(None, true), (Some(weights + (1 << 20)), true), (Some(weights + (64 << 10)), false)]
    {
        let place = place(memory);
        let model = Arc::new(Model::load(&place, &source, |_| ()).unwrap());
        let mut runner = Runner::with_room(&place, &model, Room { expected: 16, ..Room::default() }).unwrap();
        runner.prefill(&[5; 60], |_| ()).unwrap();
        let grown = runner.prefill(&[6; 60], |_| ());
        assert_eq!(grown.is_ok(), fits, "{memory:?}");
        if let Err(error) = grown {
            assert!(error.to_string().contains("grown to 128 tokens"), "{error}");
        }
    }
}

#[test]
fn inspect_and_explain_say_the_same() {
    let model = common::default_model();
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = kaiwu(arguments);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    };
    for cache in ["f16", "f32", "q8_0"] {
        let inspected = json(&["inspect", model.to_str().unwrap(), "--cache", cache, "--json"]);
        let explained = json(&["explain", "--host", "--cache", cache, "--json"]);
        assert_eq!(inspected["device"], explained["memory"], "{cache}");
        assert!(inspected["device"]["total_bytes"].as_u64().unwrap() > 100 << 20);
    }
}

/// Weights, gradients, moments and the next of weights and moments: seven times the parameters, and activations.
#[test]
fn what_training_takes_is_worked_out_and_refused() {
    let folder = common::Folder::new("memory");
    let (model, out) = ("tests/data/tiny/llama-f32", folder.0.join("out"));
    let data = folder.write("examples.jsonl", "{\"prompt\": \"one\", \"response\": \"two three\"}\n");
    let train = |more: &[&str]| {
        let [data, out] = [&data, &out].map(|path| path.to_str().unwrap());
        kaiwu(&[&["train", "-m", model, "--data", data, "--out", out, "--steps", "1"], more].concat())
    };
    // 187 840 parameters are 0.7 MiB in f32, 5 MiB seven times over; activations come on top.
    for (memory, more, advice) in [("3", &[][..], "--lora, a smaller"), ("1", &["--lora", "4"], "a smaller")]
    {
        let refused = train(&[&["--memory", memory], more].concat());
        let message = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{message}");
        for part in ["the weights", "moments and activations", &format!("{memory}.0 MiB"), advice] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        assert!(!out.exists());
    }
    let fits = train(&["--memory", "8"]);
    assert!(fits.status.success(), "{}", String::from_utf8_lossy(&fits.stderr));
}
