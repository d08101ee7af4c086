//! `kaiwu train`: a tiny model learns a tiny text, stops and goes on, and other commands take what it wrote.

mod common;

use common::Folder;
use kaiwu::gpu::{Gpu, GpuOptions};
use kaiwu::train::{Data, TextRow, TextRun, TextSettings};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

/// Whoever knows a line's beginning knows its end.
fn rhyme() -> String {
    "One crow sits on the wall.\nTwo larks fly over the mill.\nThree owls call in the night.\n".repeat(60)
}

fn tiny() -> TextSettings {
    TextSettings {
        vocabulary: 300,
        context: 32,
        layers: 2,
        width: 32,
        heads: 2,
        key_heads: 1,
        hidden: 64,
        batch: 8,
        steps: 100,
        rate: 0.01,
        warmup: 5,
        weight_decay: 0.01,
        validation: 0.1,
        every: 20,
        ..TextSettings::default()
    }
}

/// Rows as they are but for the time they took.
fn timeless(rows: &[TextRow]) -> Vec<TextRow> {
    rows.iter().map(|row| TextRow { seconds: 0.0, ..row.clone() }).collect()
}

#[test]
fn a_text_is_learned_and_a_stopped_run_goes_on_as_if_nothing_had_happened() {
    let gpu = Gpu::open(&GpuOptions { unchecked: true, ..GpuOptions::default() }).unwrap();
    let (text, never) = (Data::from(&*rhyme()), AtomicBool::new(false));
    let finish = |run: &mut TextRun| {
        while !run.is_done() {
            run.advance(&never, |_| ()).unwrap();
        }
    };
    let mut whole = TextRun::new(&gpu, &tiny(), &text).unwrap();
    finish(&mut whole);
    let (first, last) = (&whole.rows[0], whole.rows.last().unwrap());
    assert_eq!((first.step, last.step, whole.rows.len()), (20, 100, 5));
    let [before, after] = [first, last].map(|row| row.validation_loss.unwrap());
    assert!(after < 0.3 && after < 0.3 * before, "{last:?}");

    let folder = Folder::new("train-resumed");
    let mut stopped = TextRun::new(&gpu, &tiny(), &text).unwrap();
    while stopped.trainer.done() < 40 {
        stopped.advance(&never, |_| ()).unwrap();
    }
    assert_eq!(stopped.advance(&AtomicBool::new(true), |_| ()).unwrap(), None);
    assert_eq!(stopped.trainer.done(), 44);
    stopped.save(&folder.0).unwrap();
    let mut resumed = TextRun::resume(&gpu, &folder.0, &text).unwrap();
    finish(&mut resumed);
    assert_eq!(timeless(&resumed.rows), timeless(&whole.rows));
    assert!(resumed.trainer.parameters.read(&gpu).unwrap() == whole.trainer.parameters.read(&gpu).unwrap());

    let other = TextRun::resume(&gpu, &folder.0, &"another text".into()).err().map(|error| error.to_string());
    assert!(other.is_some_and(|message| message.contains("another text")));
}

fn kaiwu(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kaiwu")).args(arguments).output().unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_command_writes_a_model_that_generate_runs() {
    let folder = Folder::new("train-command");
    let config = folder.write("config-of-train.json", &serde_json::to_string(&tiny()).unwrap());
    let text = folder.write("rhyme.txt", &rhyme());
    let out = folder.0.join("out");
    let train = ["train", "-m", path(&config), "--data", path(&text), "--out", path(&out), "--json"];
    let trace = folder.0.join("trace.json");
    let done = kaiwu(&[&train[..], &[&format!("--profile={}", path(&trace))]].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let table = String::from_utf8_lossy(&done.stderr).into_owned();
    for part in ["of roof", "gemm ", "adamw ", "cross_entropy ", "roofs: "] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let events: serde_json::Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    let events = events["traceEvents"].as_array().unwrap();
    let timed = events.iter().filter(|event| event["ph"] == "X" && event["dur"].as_f64().unwrap() >= 0.0);
    assert!(timed.count() > 100, "a step has many calls: {events:?}");
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["steps"], 100);
    for name in
        ["metrics.jsonl", "curve.svg", "curve.png", "config.json", "model.safetensors", "tokenizer.json"]
    {
        assert!(out.join(name).is_file(), "{name}");
    }
    for (prompt, expected) in [("One crow", " sits on the wall."), ("Three owls", " call in the night.")] {
        let said = kaiwu(&["generate", "-m", path(&out), "-n", "16", prompt]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(expected), "{prompt}: {said}");
    }
    // A run is not overwritten.
    assert_eq!(kaiwu(&train).status.code(), Some(2));
}

#[test]
fn what_cannot_be_learned_is_refused_in_one_line() {
    let folder = Folder::new("train-refused");
    let (short, out) = (folder.write("short.txt", "too short"), folder.0.join("out"));
    let bytes = folder.0.join("bytes.txt");
    std::fs::write(&bytes, [b'a', 0xff]).unwrap();
    let text = folder.write("rhyme.txt", &rhyme());
    let rows = [
        ("{}", &short, "the text has"),
        ("{}", &bytes, "byte 1 is no UTF-8"),
        ("{\"wdith\": 32}", &text, "unknown field `wdith`"),
        ("{\"width\": 36}", &text, "width 36 is no multiple"),
        ("{\"vocabulary\": 100}", &text, "the bytes alone are 256"),
        ("{\"validation\": 0.9}", &text, "validation is 0.9"),
        ("{\"batch\": 0, \"context\": 16, \"validation\": 0.1}", &text, "batch 0"),
    ];
    for (config, data, expected) in rows {
        let config = folder.write("config-of-train.json", config);
        let done = kaiwu(&["train", "-m", path(&config), "--data", path(data), "--out", path(&out)]);
        let message = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(1) && message.contains(expected), "{expected}: {message}");
        assert!(message.lines().count() == 1 && done.stdout.is_empty(), "{message}");
    }
}
