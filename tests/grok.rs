//! Grokking: a small table is understood long after it was learned; runs repeat, stop and go on; the command line.

mod common;

use common::Folder;
use kaiwu::gpu::{Gpu, GpuOptions};
use kaiwu::lab::{Grok, GrokSettings, Operation, Row};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn open() -> Arc<Gpu> {
    let options = GpuOptions { unchecked: true, ..GpuOptions::default() };
    Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// Rows as they are but for the time they took.
fn timeless(rows: &[Row]) -> Vec<Row> {
    rows.iter().map(|row| Row { seconds: 0.0, ..row.clone() }).collect()
}

/// What `examples/grok_tiny.rs` shows.
#[test]
fn a_small_table_is_learned_first_and_understood_later() {
    let mut grok = Grok::new(&open(), &GrokSettings::tiny()).unwrap();
    while !grok.is_done() {
        grok.advance(&AtomicBool::new(false)).unwrap();
    }
    assert!(grok.has_understood(), "{:?}", grok.rows.last());
    let learned = grok.rows.iter().find(|row| row.train_accuracy >= 0.99).unwrap();
    let understood = grok.first_at(0.99).unwrap();
    assert!(learned.validation_accuracy < 0.8, "{learned:?}");
    assert!(understood.step >= 2 * learned.step, "learned {learned:?}, understood {understood:?}");
}

fn small() -> GrokSettings {
    GrokSettings {
        operation: Operation::Subtract,
        modulus: 11,
        layers: 2,
        width: 16,
        heads: 2,
        steps: 70,
        to_the_end: true,
        ..GrokSettings::default()
    }
}

#[test]
fn the_same_seed_gives_the_same_curve_and_an_interrupt_changes_nothing() {
    let gpu = open();
    let never = AtomicBool::new(false);
    let run = |settings: &GrokSettings| {
        let mut grok = Grok::new(&gpu, settings).unwrap();
        while !grok.is_done() {
            grok.advance(&never).unwrap();
        }
        grok
    };
    let whole = run(&small());
    assert_eq!(whole.rows.last().unwrap().step, 70);
    assert_eq!(timeless(&run(&small()).rows), timeless(&whole.rows));
    let other = run(&GrokSettings { seed: 2, ..small() });
    assert_ne!(timeless(&other.rows), timeless(&whole.rows));

    // Stopped within the row of step 70, and before: what was pending is not lost.
    let folder = Folder::new("resumed");
    let mut first = Grok::new(&gpu, &small()).unwrap();
    while first.trainer.done() < 50 {
        first.advance(&never).unwrap();
    }
    assert_eq!(first.advance(&AtomicBool::new(true)).unwrap(), None);
    assert_eq!(first.trainer.done(), 60);
    first.save(&folder.0).unwrap();
    let mut second = Grok::resume(&gpu, &folder.0).unwrap();
    assert_eq!(timeless(&second.rows), timeless(&first.rows));
    while !second.is_done() {
        second.advance(&never).unwrap();
    }
    assert_eq!(timeless(&second.rows), timeless(&whole.rows));
    assert!(second.trainer.parameters.read(&gpu).unwrap() == whole.trainer.parameters.read(&gpu).unwrap());
    assert_eq!(second.start, whole.start);
}

fn kaiwu(arguments: &[&str], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaiwu"));
    command.args(arguments).arg("--out").arg(out).output().unwrap()
}

#[test]
fn the_command_writes_what_it_promises() {
    let folder = Folder::new("command");
    let sizes = ["--modulus", "7", "--width", "16", "--heads", "2", "--layers", "1"];
    let arguments = [&["grok", "--steps", "30", "--json"][..], &sizes].concat();
    let trace = std::env::temp_dir().join(format!("kaiwu-{}-grok-trace.json", std::process::id()));
    let profile = format!("--profile={}", trace.display());
    let done = kaiwu(&[&arguments[..], &[&profile]].concat(), &folder.0);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let table = String::from_utf8_lossy(&done.stderr).into_owned();
    for part in ["of roof", "gemm ", "adamw ", "cross_entropy ", "roofs: "] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let events: serde_json::Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    let events = events["traceEvents"].as_array().unwrap();
    let timed = events.iter().filter(|event| event["ph"] == "X" && event["dur"].as_f64().unwrap() >= 0.0);
    assert!(timed.count() > 100, "a step has many calls: {events:?}");
    std::fs::remove_file(&trace).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["steps"], 30);
    let names = ["curves.svg", "fourier.svg", "config.json", "tokenizer.json", "checkpoint.safetensors"];
    for name in names {
        assert!(folder.0.join(name).is_file(), "{name}");
    }
    for name in ["curves.png", "fourier.png"] {
        let bytes = std::fs::read(folder.0.join(name)).unwrap();
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{name}: {} bytes", bytes.len());
    }
    let text = std::fs::read_to_string(folder.0.join("metrics.jsonl")).unwrap();
    let rows: Vec<Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.last().unwrap().step, 30);
    let bytes = std::fs::read(folder.0.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| file.tensor(name).unwrap().shape().to_vec();
    assert_eq!(shape("transformer.h.0.attn.c_attn.weight"), [16, 48]);
    assert_eq!(shape("transformer.wte.weight"), [9, 16]);

    // A run is not overwritten, and can be made longer.
    let again = kaiwu(&arguments, &folder.0);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("--resume"));
    let longer = kaiwu(&["grok", "--resume", "--steps", "40", "--json"], &folder.0);
    let summary: serde_json::Value = serde_json::from_slice(&longer.stdout).unwrap();
    assert_eq!(summary["steps"], 40);
}

#[test]
fn a_sweep_runs_what_is_missing_and_draws_all() {
    let folder = Folder::new("sweep");
    let sizes = ["--modulus", "5", "--width", "16", "--heads", "2", "--layers", "1", "--steps", "20"];
    let sweep =
        ["grok", "--sweep", "--operation", "add", "--fractions", "0.5,0.6", "--decays", "0,1", "--json"];
    let runs = |seeds: &str| {
        let done = kaiwu(&[&sweep[..], &sizes, &["--seeds", seeds]].concat(), &folder.0);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let lines: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        lines.as_array().unwrap().clone()
    };
    let first = runs("1");
    assert_eq!(first.len(), 4);
    let all = runs("2");
    assert_eq!(all.len(), 8);
    assert!(first.iter().all(|line| all.contains(line)), "runs were repeated");
    assert!(folder.0.join("sweep.svg").is_file() && folder.0.join("sweep.png").is_file());
}

#[test]
fn impossible_runs_are_refused() {
    let folder = Folder::new("refused");
    let rows: [(&[&str], &str); 6] = [
        (&["--modulus", "8"], "prime"),
        (&["--modulus", "2"], "from 3 to 997"),
        (&["--fraction", "1"], "empty"),
        (&["--width", "30"], "width 30"),
        (&["--heads", "0"], "heads"),
        (&["--resume"], "checkpoint.safetensors"),
    ];
    for (arguments, word) in rows {
        let done = kaiwu(&[&["grok"], arguments].concat(), &folder.0);
        let message = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && message.contains(word), "{arguments:?}: {message}");
        assert!(message.starts_with("kaiwu: ") && done.stdout.is_empty(), "{arguments:?}: {message}");
    }
}

/// The folder is in Hugging Face's layout, and the model in it computes what was trained.
#[test]
fn generate_answers_from_what_was_learned() {
    let folder = Folder::new("answers");
    let arguments: Vec<_> =
        "grok --modulus 23 --operation add --layers 1 --width 64 --rate 0.003 --steps 2000"
            .split(' ')
            .collect();
    let learned = kaiwu(&arguments, &folder.0);
    assert!(learned.status.success(), "{}", String::from_utf8_lossy(&learned.stderr));
    let rows = [(1, 2), (11, 12), (22, 22), (0, 5), (17, 9), (20, 3), (8, 8), (13, 4)];
    let right = |&(a, b): &(u32, u32)| {
        let mut generate = Command::new(env!("CARGO_BIN_EXE_kaiwu"));
        generate.args(["generate", "-m"]).arg(&folder.0).arg(format!("{a} + {b} ="));
        let ran = generate.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim() == ((a + b) % 23).to_string()
    };
    // Most of the table is understood, and chance is 1 in 23.
    assert!(rows.iter().filter(|row| right(row)).count() >= 7);
}
