//! The kernel calls of a step of every tiny checkpoint: which, in what order, under which labels,
//! with which tensors and parameters. A change of the forward pass that is not meant shows here
//! before it shows in numbers.

use kaiwu::format::{Lora, Source};
use kaiwu::gpu::{Device, Entry, Parameter, Recording};
use kaiwu::kernels::CacheType;
use kaiwu::model::{LogitsMode, Runner, SessionOptions, Weights};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A token after a prompt, pieces of a prompt (few tokens, and so many that experts are read for
/// groups of them), its end, and a text of which all logits are wanted.
const STEPS: [(usize, LogitsMode); 6] = [
    (1, LogitsMode::Last),
    (1, LogitsMode::Nothing),
    (7, LogitsMode::Nothing),
    (64, LogitsMode::Nothing),
    (7, LogitsMode::Last),
    (5, LogitsMode::All),
];

/// Adapters on checkpoints.
const ADAPTERS: [(&str, &[&str]); 5] = [
    ("llama-f32", &["llama-all", "llama-patterns"]),
    ("qwen2-bf16", &["qwen2-biases"]),
    ("gemma3-bf16", &["gemma3-all"]),
    ("phi3-bf16", &["phi3-fused"]),
    ("gpt2-f32", &["gpt2-transposed"]),
];

fn data(kind: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(kind).join(name)
}

/// One call as a line.
fn line(entry: &Entry) -> String {
    let mut line = format!("{} {}", entry.label, entry.kernel.name());
    for operand in entry.kernel.operands() {
        let tensor = operand.tensor.as_ref();
        let tensor =
            tensor.map_or("-".into(), |tensor| format!("{:?}{:?}", tensor.label(), tensor.shape()));
        write!(line, " {}={tensor}", operand.name).unwrap();
    }
    for parameter in entry.kernel.parameters() {
        match parameter {
            Parameter::U32(name, value) => write!(line, " {name}={value}").unwrap(),
            Parameter::F32(name, value) => write!(line, " {name}={value:?}").unwrap(),
        }
    }
    line
}

fn lines(recording: &Recording) -> String {
    recording.entries().iter().map(|entry| line(entry) + "\n").collect()
}

/// FNV-1a (Fowler, Noll, Vo).
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Appends the calls of each step, with each kind of cache, under a title.
fn record(title: &str, model: &Arc<Weights>, device: &Device, all: &mut Vec<(String, String)>) {
    for cache in [CacheType::F16, CacheType::Q8_0] {
        for (tokens, want) in STEPS {
            let room = SessionOptions { expected: 64, cache, chunk: 64, ..Default::default() };
            let mut runner = Runner::with_room(device, model, room).unwrap();
            let recording = runner.recording(tokens, want).unwrap();
            all.push((format!("{title} {cache:?} {tokens} {want:?}"), lines(&recording)));
        }
    }
}

fn record_all(device: &Device) -> Vec<(String, String)> {
    let mut all = vec![];
    let mut names: Vec<_> = fs::read_dir(data("tiny", ""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let source = Source::open(&data("tiny", &name)).unwrap();
        let model = Arc::new(Weights::load(device, &source, |_| ()).unwrap());
        record(&name, &model, device, &mut all);
    }
    for (name, adapters) in ADAPTERS {
        let source = Source::open(&data("tiny", name)).unwrap();
        let mut model = Weights::load(device, &source, |_| ()).unwrap();
        let family = model.config.architecture.name;
        let open = |name: &&str| (Lora::open(&data("lora", name), family).unwrap(), 1.0);
        model.adapt(device, &adapters.iter().map(open).collect::<Vec<_>>()).unwrap();
        record(
            &format!("{name} with {}", adapters.join(" and ")),
            &Arc::new(model),
            device,
            &mut all,
        );
    }
    all
}

#[test]
fn steps_are_the_calls_they_were() {
    let all = record_all(&Device::Reference);
    let summary = |(title, calls): &(String, String)| {
        format!("{title}: {} calls {:016x}", calls.lines().count(), hash(calls))
    };
    let found: Vec<_> = all.iter().map(summary).collect();
    let path = data("", "recordings.txt");
    let text = fs::read_to_string(&path).unwrap();
    let known: Vec<_> = text.lines().collect();
    if found == known {
        return;
    }
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recordings.txt");
    fs::write(&new, found.join("\n") + "\n").unwrap();
    let changed = all.iter().zip(&found).find(|(_, summary)| !known.contains(&&***summary));
    let first = changed
        .map_or("none of them; lines are left over or out of order".into(), |(step, _)| {
            format!("{}:\n{}", step.0, step.1)
        });
    panic!(
        "a step has other calls than {} says; if that is meant, replace it by {}. The first is {first}",
        path.display(),
        new.display(),
    );
}
