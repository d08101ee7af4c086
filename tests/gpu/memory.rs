//! What a model takes is worked out before it is allocated, and what cannot fit is refused with the
//! figures.

use crate::common;
use crate::common::program::run;
use kaiwu::format::{Lora, Quantization, Source};
use kaiwu::gpu::{Device, Gpu, GpuOptions, free_in_groups};
use kaiwu::kernels::CacheType;
use kaiwu::model::{Footprint, Runner, SessionOptions, Weights};
use std::path::Path;
use std::sync::Arc;

fn tiny(name: &str) -> Source {
    Source::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)).unwrap()
}

#[test]
fn a_cache_takes_what_was_worked_out() {
    for (name, context) in
        [("llama-f32", 256), ("mistral-f16", 256), ("gemma3-bf16", 200), ("gpt2-f32", 65)]
    {
        let source = tiny(name);
        let model = Arc::new(Weights::load(&Device::Reference, &source, |_| ()).unwrap());
        for cache in [CacheType::F16, CacheType::F32, CacheType::Q8_0] {
            for chunk in [7, 256] {
                let room =
                    SessionOptions { context: Some(context), expected: context, chunk, cache };
                let found = Footprint::new(&source, None, &[], &room).unwrap();
                let runner = Runner::with_room(&Device::Reference, &model, room).unwrap();
                assert_eq!(
                    found.cache_bytes,
                    runner.cache_bytes(),
                    "{name}, {cache:?}, {chunk} at once"
                );
                assert_eq!(found.weights_bytes, model.bytes(), "{name}");
            }
        }
    }
}

#[test]
fn what_cannot_fit_is_refused_with_the_figures() {
    for (context, cache, refused) in [
        ("8192", "f16", true),
        ("8192", "q8_0", true),
        ("256", "f16", false),
        ("512", "q8_0", false),
    ] {
        let arguments = [
            "logits",
            "--memory",
            "160",
            "--context",
            context,
            "--cache",
            cache,
            "--ids",
            "504,3575",
        ];
        let output = run(&arguments);
        let message = output.err;
        assert_eq!(output.code == 0, !refused, "{arguments:?}: {message}");
        if refused {
            assert_eq!(output.code, 1);
            for part in [
                "weights (",
                "cache of 8192 tokens (",
                "activations (",
                "160.0 MiB",
                "smaller --context",
            ] {
                assert!(message.contains(part), "{part} is not in {message}");
            }
            assert!(output.out.is_empty());
        }
    }
}

#[test]
fn a_cache_that_grows_beyond_it_is_refused() {
    let source = tiny("llama-f32");
    let device = |memory_bytes| {
        Device::Gpu(Gpu::open(&GpuOptions { memory_bytes, ..GpuOptions::default() }).unwrap())
    };
    let weights = Weights::load(&Device::Reference, &source, |_| ()).unwrap().bytes();
    for (memory, fits) in
        [(None, true), (Some(weights + (1 << 20)), true), (Some(weights + (64 << 10)), false)]
    {
        let device = device(memory);
        let model = Arc::new(Weights::load(&device, &source, |_| ()).unwrap());
        let mut runner = Runner::with_room(
            &device,
            &model,
            SessionOptions { expected: 16, ..SessionOptions::default() },
        )
        .unwrap();
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
    let json = |arguments: &[&str]| -> serde_json::Value { run(arguments).json() };
    for cache in ["f16", "f32", "q8_0"] {
        let inspected = json(&["inspect", model.to_str().unwrap(), "--cache", cache, "--json"]);
        let explained = json(&["explain", "--host", "--cache", cache, "--json"]);
        assert_eq!(inspected["device"], explained["memory"], "{cache}");
        assert!(inspected["device"]["total_bytes"].as_u64().unwrap() > 100 << 20);
    }
}

#[test]
fn what_a_command_needs_is_reckoned_with() {
    let (model, folder) = (common::default_model(), common::Folder::new("memory-needs"));
    let model = model.to_str().unwrap();
    let long = folder.write("long.txt", &"one two three ".repeat(1000));
    let (long, text) = (long.to_str().unwrap(), "-n1");
    let prompt = std::fs::read_to_string(long).unwrap();
    let weights =
        Weights::load(&Device::Reference, Source::open(Path::new(model)).unwrap(), |_| ())
            .unwrap()
            .bytes();
    // MiB that suffice for the weights and a short text.
    let little = ((weights >> 20) + 40).to_string();
    let rows: [(&[&str], &[&str]); 5] = [
        // A long prompt without --context.
        (&["generate", text, &prompt], &["cache of 3"]),
        (&["bench", "model", "-p", "4000", "-n", "16"], &["cache of 4016 tokens"]),
        (&["perplexity", long, "--context", "4096"], &["cache of 4096 tokens", "results ("]),
        (&["embed", &prompt], &["cache of 3", "results ("]),
        (&["compare", "-m", model, "-m", model, long], &["cache of 512 tokens", "results ("]),
    ];
    for (arguments, parts) in rows {
        let refused = run(&[arguments, &["--memory", &little]].concat());
        let message = refused.err;
        assert_eq!(refused.code, 1, "{:?}: {message}", &arguments[..2]);
        for part in parts.iter().chain(&["weights (", &format!("has {little}.0 MiB")[..]]) {
            assert!(message.contains(part), "{:?}: {part} is not in {message}", &arguments[..2]);
        }
    }
    for arguments in [&["explain"][..], &["tune", "-m", model]] {
        let refused = run(&[arguments, &["--memory", "90"]].concat());
        let message = refused.err;
        assert!(
            message.contains("weights (") && message.contains("has 90.0 MiB"),
            "{arguments:?}: {message}"
        );
    }
}

/// An adapter's matrices and what they compute are part of it, whatever the model's own become.
#[test]
fn adapters_are_reckoned_with() {
    let source = tiny("llama-f32");
    let lora = Lora::open(&common::data("lora/llama-large"), "llama").unwrap();
    let adapters = [(lora, 1.0)];
    let room = SessionOptions { context: Some(64), expected: 64, ..SessionOptions::default() };
    for quantization in [None, Some(Quantization::Q8_0)] {
        let plain = Footprint::new(&source, quantization, &[], &room).unwrap();
        let adapted = Footprint::new(&source, quantization, &adapters, &room).unwrap();
        let mut model = Weights::load(&Device::Reference, &source, |_| ()).unwrap();
        let own = model.bytes();
        model.adapt(&Device::Reference, &adapters).unwrap();
        let more = model.bytes() - own;
        assert!(more > 0);
        assert_eq!(adapted.weights_bytes - plain.weights_bytes, more, "{quantization:?}");
        assert!(adapted.activation_bytes > plain.activation_bytes);
    }
    let inspect = |more: &[&str]| -> serde_json::Value {
        run(&[&["inspect", "tests/data/tiny/llama-f32", "--json"], more].concat()).json()
    };
    let weights = |more: &[&str]| inspect(more)["device"]["weights_bytes"].as_u64().unwrap();
    assert!(weights(&["--lora", "tests/data/lora/llama-large"]) > weights(&[]));
    assert!(weights(&["--quantize", "q4_0"]) < weights(&[]) / 3);
}

/// A cache that grows is there twice for a moment. What was accepted grows to its whole context, by
/// whichever way.
#[test]
fn what_is_accepted_can_grow_to_its_context() {
    let source = tiny("llama-f32");
    let room = SessionOptions { expected: 16, ..SessionOptions::default() };
    let context = 256;
    let footprint = Footprint::new(&source, None, &[], &room).unwrap();
    assert!(
        footprint.outgrown_bytes > 0 && footprint.at_once().total_bytes < footprint.total_bytes
    );
    let whole =
        Footprint::new(&source, None, &[], &SessionOptions { expected: context, ..room }).unwrap();
    assert_eq!(footprint.at_once(), whole);
    let options = GpuOptions { memory_bytes: Some(footprint.total_bytes), ..GpuOptions::default() };
    let gpu = Gpu::open(&options).unwrap();
    footprint.check(&gpu).unwrap();
    let device = Device::Gpu(gpu);
    let model = Arc::new(Weights::load(&device, &source, |_| ()).unwrap());
    let mut runner = Runner::with_room(&device, &model, room).unwrap();
    for _ in 0..context / 32 {
        runner.prefill(&[5; 32], |_| ()).unwrap();
    }
    assert_eq!((runner.position(), runner.cache_bytes()), (context, footprint.cache_bytes));

    // A conversation of the program's, in memory that holds one full cache and no more.
    let model = common::default_model();
    let json = run(&["inspect", model.to_str().unwrap(), "--context", "2048", "--json"]).json();
    let enough = (json["device"]["total_bytes"].as_u64().unwrap() >> 20) + 1;
    let prompt = "one two three ".repeat(450);
    let memory = enough.to_string();
    let output = run(&["logits", "--context", "2048", "--memory", &memory, &prompt]);
    assert_eq!(output.code, 0, "{}", output.err);
}

/// Weights, gradients and moments, and the next of weights and moments where they are not written
/// in place: four or seven times the parameters, and activations.
#[test]
fn what_training_takes_is_worked_out_and_refused() {
    let folder = common::Folder::new("memory");
    let (model, out) = ("tests/data/tiny/llama-f32", folder.0.join("out"));
    let data =
        folder.write("examples.jsonl", "{\"prompt\": \"one\", \"response\": \"two three\"}\n");
    let train = |more: &[&str]| {
        let [data, out] = [&data, &out].map(|path| path.to_str().unwrap());
        run(&[&["train", "-m", model, "--data", data, "--out", out, "--steps", "1"], more].concat())
    };
    // 187 840 parameters are 0.7 MiB in f32, 3 MiB four times and 5 seven times over; activations
    // come on top.
    for (memory, more, advice) in
        [("3", &[][..], "--lora, a smaller"), ("1", &["--lora", "4"], "a smaller")]
    {
        let refused = train(&[&["--memory", memory], more].concat());
        let message = refused.err;
        assert_eq!(refused.code, 1, "{message}");
        for part in ["the weights", "moments and activations", &format!("{memory}.0 MiB"), advice] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        assert!(!out.exists());
    }
    let fits = train(&["--memory", "8"]);
    assert_eq!(fits.code, 0, "{}", fits.err);
}

/// Files below a made-up root.
fn below(folder: &common::Folder, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// What it shows, the process's own groups, mounts, files of groups, and what is free.
type Row<'a> = (&'a str, &'a str, &'a str, Vec<(String, String)>, Option<u64>);

const SECOND: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const FIRST: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
    32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
const NONE: &str = "9223372036854771712\n";

/// What is free is worked out from the group of the process and all around it, and pages of files
/// count as free.
#[test]
fn limits_of_groups_count_wherever_they_are_set() {
    let group = "sys/fs/cgroup/";
    let second = |path: &str, [limit, used, inactive, active, slab]: [&str; 5]| {
        let at = |name| format!("{group}{path}{name}");
        let stat = format!(
            "anon 7\nfile 900\nkernel 1\ninactive_file {inactive}\nactive_file {active}\nslab_reclaimable {slab}\n"
        );
        [
            (at("memory.max"), limit.to_owned()),
            (at("memory.current"), used.to_owned()),
            (at("memory.stat"), stat),
        ]
    };
    let first = |path: &str, [limit, used, inactive, active]: [&str; 4]| {
        let at = |name| format!("{group}memory/{path}{name}");
        let stat = format!(
            "cache 5\nrss 7\ninactive_file 1\nactive_file 1\ntotal_inactive_file {inactive}\ntotal_active_file {active}\n"
        );
        let files = ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"];
        [(at(files[0]), limit.to_owned()), (at(files[1]), used.to_owned()), (at(files[2]), stat)]
    };
    let hidden = format!(
        "{FIRST}50 35 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    );
    let spaced = "30 23 0:26 / /sys/fs/my\\040groups rw - cgroup2 cgroup2 rw\n";
    let rows: Vec<Row> = vec![
        (
            "no limit",
            "0::/a/b\n",
            SECOND,
            second("a/b/", ["max\n", "50\n", "1", "1", "1"]).into(),
            None,
        ),
        ("no files", "0::/a/b\n", SECOND, vec![], None),
        // 1000 - (900 - 500 - 200 - 50)
        (
            "files count as free",
            "0::/a\n",
            SECOND,
            second("a/", ["1000\n", "900\n", "500", "200", "50"]).into(),
            Some(850),
        ),
        (
            "the tightest of the groups around it",
            "0::/a/b/c\n",
            SECOND,
            [
                second("a/", ["5000\n", "4900\n", "10", "0", "0"]),
                second("a/b/", ["max\n", "900\n", "0", "0", "0"]),
                second("a/b/c/", ["1000\n", "100\n", "0", "0", "0"]),
            ]
            .concat(),
            Some(110),
        ),
        (
            "more than the limit",
            "0::/a\n",
            SECOND,
            second("a/", ["1000\n", "1200\n", "0", "0", "0"]).into(),
            Some(0),
        ),
        (
            "a container sees its own group as the root",
            "0::/\n",
            SECOND,
            second("", ["1000\n", "300\n", "0", "0", "0"]).into(),
            Some(700),
        ),
        (
            "a process outside of what is mounted",
            "0::/../other\n",
            SECOND,
            second("", ["1000\n", "300\n", "0", "0", "0"]).into(),
            Some(700),
        ),
        (
            "the first version",
            "4:memory:/job/step\n1:cpu:/\n0::/\n",
            FIRST,
            [
                first("", [NONE, "900\n", "0", "0"]),
                first("job/", ["2000\n", "1500\n", "300", "200"]),
                first("job/step/", [NONE, "1\n", "0", "0"]),
            ]
            .concat(),
            Some(1000),
        ),
        (
            "a mount that hides another one",
            "4:memory:/docker/abc\n",
            &hidden,
            first("", ["2000\n", "500\n", "0", "0"]).into(),
            Some(1500),
        ),
        (
            "controllers that share a hierarchy",
            "4:cpu,memory:/job\n",
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,cpu,memory\n",
            first("job/", ["2000\n", "500\n", "0", "0"]).into(),
            Some(1500),
        ),
        (
            "other controllers",
            "4:cpu:/job\n",
            FIRST,
            first("job/", ["2000\n", "500\n", "0", "0"]).into(),
            None,
        ),
        (
            "a device with a space",
            "0::/a\n",
            spaced,
            second("a/", ["1000\n", "300\n", "0", "0", "0"])
                .map(|(name, text)| (name.replace("cgroup", "my groups"), text))
                .into(),
            Some(700),
        ),
        ("nonsense", "0::/a\n", "x\n - cgroup2\n1 2 3 - cgroup\n", vec![], None),
    ];
    for (what, own, mounts, files, expected) in rows {
        let root = common::Folder::new("groups");
        below(&root, &[("proc/self/cgroup", own), ("proc/self/mountinfo", mounts)]);
        for (name, text) in &files {
            below(&root, &[(name, text)]);
        }
        assert_eq!(free_in_groups(&root.0), expected, "{what}");
    }
    assert_eq!(free_in_groups(Path::new("/nowhere")), None);
}
