//! Grokking: a small table is understood long after it was learned; runs repeat, stop and go on;
//! the command line.

use crate::common::Folder;
use crate::common::program::{Ran, ended, hears_signals, kaiwu, run_with};
use kaiwu::gpu::{Gpu, GpuOptions};
use kaiwu::lab::{Grok, GrokSettings, Operation, Row};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn open() -> Arc<Gpu> {
    let options = GpuOptions::default();
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
        grok.advance(&AtomicBool::new(false), |_| ()).unwrap();
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
        n_layers: 2,
        hidden_size: 32,
        n_heads: 2,
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
            grok.advance(&never, |_| ()).unwrap();
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
        first.advance(&never, |_| ()).unwrap();
    }
    assert_eq!(first.advance(&AtomicBool::new(true), |_| ()).unwrap(), None);
    assert_eq!(first.trainer.done(), 60);
    first.save(&folder.0).unwrap();
    let mut second = Grok::resume(&gpu, &folder.0).unwrap();
    assert_eq!(timeless(&second.rows), timeless(&first.rows));
    while !second.is_done() {
        second.advance(&never, |_| ()).unwrap();
    }
    assert_eq!(timeless(&second.rows), timeless(&whole.rows));
    assert!(
        second.trainer.parameters.read(&gpu).unwrap()
            == whole.trainer.parameters.read(&gpu).unwrap()
    );
    assert_eq!(second.start, whole.start);
}

/// `kaiwu grok` or whatever else the arguments say, with this folder to write to.
fn run_to(arguments: &[&str], out: &Path) -> Ran {
    run_with(kaiwu().args(arguments).arg("--out").arg(out), "")
}

#[test]
fn the_command_writes_what_it_promises() {
    let folder = Folder::new("command");
    let sizes = ["--modulus", "7", "--hidden-size", "32", "--n-heads", "2", "--n-layers", "1"];
    let arguments = [&["grok", "--steps", "30", "--json"][..], &sizes].concat();
    let trace = std::env::temp_dir().join(format!("kaiwu-{}-grok-trace.json", std::process::id()));
    let profile = format!("--profile={}", trace.display());
    let done = run_to(&[&arguments[..], &[&profile]].concat(), &folder.0);
    assert_eq!(done.code, 0, "{}", done.err);
    let table = done.err.clone();
    for part in ["of roof", "gemm ", "adamw ", "cross_entropy ", "roofs: "] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let events: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    let events = events["traceEvents"].as_array().unwrap();
    let timed =
        events.iter().filter(|event| event["ph"] == "X" && event["dur"].as_f64().unwrap() >= 0.0);
    assert!(timed.count() > 100, "a step has many calls: {events:?}");
    std::fs::remove_file(&trace).unwrap();
    let summary: serde_json::Value = done.json();
    assert_eq!(summary["steps"], 30);
    let names =
        ["curves.svg", "fourier.svg", "config.json", "tokenizer.json", "checkpoint.safetensors"];
    for name in names {
        assert!(folder.0.join(name).is_file(), "{name}");
    }
    for name in ["curves.png", "fourier.png"] {
        let bytes = std::fs::read(folder.0.join(name)).unwrap();
        assert!(
            bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000,
            "{name}: {} bytes",
            bytes.len()
        );
    }
    let text = std::fs::read_to_string(folder.0.join("metrics.jsonl")).unwrap();
    let rows: Vec<Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.last().unwrap().step, 30);
    let bytes = std::fs::read(folder.0.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| file.tensor(name).unwrap().shape().to_vec();
    assert_eq!(shape("transformer.h.0.attn.c_attn.weight"), [32, 96]);
    assert_eq!(shape("transformer.wte.weight"), [9, 32]);

    // A run is not overwritten, and can be made longer.
    let again = run_to(&arguments, &folder.0);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("--resume"));
    let longer = run_to(&["grok", "--resume", "--steps", "40", "--json"], &folder.0);
    let summary: serde_json::Value = longer.json();
    assert_eq!(summary["steps"], 40);

    // What it was begun with may be said again, and nothing else.
    let rows = [
        ("--seed", "2", "--seed 2 contradicts the run in"),
        ("--modulus", "11", "was begun with 7"),
        ("--weight-decay", "0.3", "--weight-decay 0.3 contradicts"),
        ("--operation", "add", "was begun with divide"),
        ("--learning-rate", "0.1", "--learning-rate 0.1 contradicts"),
        ("--eval-interval", "7", "--eval-interval 7 contradicts"),
        ("--steps", "39", "has taken 40 already"),
    ];
    for (option, value, word) in rows {
        let refused = run_to(&["grok", "--resume", option, value], &folder.0);
        let message = refused.err;
        assert!(refused.code == 2 && message.contains(word), "{option}: {message}");
    }
    let again =
        [&["grok", "--resume", "--seed", "1", "--steps", "41", "--weight-decay", "1"][..], &sizes]
            .concat();
    let again = run_to(&again, &folder.0);
    assert_eq!(again.code, 0, "{}", again.err);
}

/// Waits until a run in `folder` has a row of step `step`, then interrupts it as Ctrl-C does.
#[cfg(unix)]
fn interrupt(child: std::process::Child, folder: &Path, step: u64) -> Ran {
    let has = |row: Result<Row, _>| row.is_ok_and(|row| row.step >= step);
    let begun = std::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
        if text.lines().any(|line| has(serde_json::from_str(line))) {
            break;
        }
        assert!(begun.elapsed().as_secs() < 120, "no row of step {step}: {text}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    ended(child)
}

/// The process itself: it stops as documented, writes all it has, says how to go on, and goes on as
/// if nothing had happened.
#[cfg(unix)]
#[test]
fn an_interrupted_process_goes_on_as_if_nothing_had_happened() {
    let (stopped, whole) = (Folder::new("stopped"), Folder::new("whole"));
    let arguments: Vec<_> =
        "grok --modulus 7 --operation add --hidden-size 32 --n-heads 2 --n-layers 1 --steps 1600 --to-the-end"
            .split(' ')
            .collect();
    let mut command = kaiwu();
    command.args(&arguments).arg("--out").arg(&stopped.0);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let ran = interrupt(hears_signals(&mut command).spawn().unwrap(), &stopped.0, 50);
    let message = ran.err;
    assert_eq!(ran.code, 130, "{message}");
    assert!(ran.out.is_empty());
    let told = message
        .lines()
        .find_map(|line| line.strip_prefix("kaiwu: stopped at step "))
        .unwrap_or(&message);
    let (step, next) = told.split_once("; go on with: ").unwrap_or_else(|| panic!("{message}"));
    assert_eq!(next, format!("kaiwu grok --resume --out {}", stopped.0.display()));
    let step: u64 = step.parse().unwrap();
    assert!((50..1600).contains(&step), "{message}");
    for name in ["curves.png", "fourier.svg", "config.json", "tokenizer.json", "model.safetensors"]
    {
        assert!(stopped.0.join(name).is_file(), "{name}");
    }
    let answer = run_with(kaiwu().args(["generate", "-m"]).arg(&stopped.0).arg("1+2="), "");
    assert_eq!(answer.code, 0, "{}", answer.err);

    let resumed = run_to(&["grok", "--resume"], &stopped.0);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let uninterrupted = run_to(&arguments, &whole.0);
    assert_eq!(uninterrupted.code, 0, "{}", uninterrupted.err);
    let rows = |folder: &Folder| {
        let text = std::fs::read_to_string(folder.0.join("metrics.jsonl")).unwrap();
        timeless(
            &text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Row>>(),
        )
    };
    assert_eq!(rows(&stopped), rows(&whole));
    let model = |folder: &Folder| std::fs::read(folder.0.join("model.safetensors")).unwrap();
    assert!(model(&stopped) == model(&whole), "the models differ");
}

#[test]
fn a_sweep_runs_what_is_missing_and_draws_all() {
    let folder = Folder::new("sweep");
    let sizes = [
        "--modulus",
        "5",
        "--hidden-size",
        "32",
        "--n-heads",
        "2",
        "--n-layers",
        "1",
        "--steps",
        "20",
    ];
    let sweep = [
        "grok",
        "--sweep",
        "--operation",
        "add",
        "--fractions",
        "0.5,0.6",
        "--decays",
        "0,1",
        "--json",
    ];
    let runs = |seeds: &str| {
        let done = run_to(&[&sweep[..], &sizes, &["--seeds", seeds]].concat(), &folder.0);
        assert_eq!(done.code, 0, "{}", done.err);
        let lines: serde_json::Value = done.json();
        lines.as_array().unwrap().clone()
    };
    let first = runs("1");
    assert_eq!(first.len(), 4);
    let all = runs("2");
    assert_eq!(all.len(), 8);
    assert!(first.iter().all(|line| all.contains(line)), "runs were repeated");
    assert!(folder.0.join("sweep.svg").is_file() && folder.0.join("sweep.png").is_file());
    // A line that was cut off is a run that is missing.
    let path = folder.0.join("sweep.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 20]).unwrap();
    let again = runs("2");
    assert_eq!(all[..7], again[..7]);
    assert_eq!(again[7]["passed_at"], all[7]["passed_at"]);

    // Nothing begins where a later run is impossible.
    let folder = Folder::new("sweep-refused");
    let out = folder.0.join("out");
    let done =
        run_to(&[&["grok", "--sweep", "--fractions", "0.5,0.999"][..], &sizes].concat(), &out);
    let message = done.err;
    assert!(done.code == 2 && message.contains("0.999") && !out.exists(), "{message}");
}

#[test]
fn impossible_runs_are_refused() {
    let folder = Folder::new("refused");
    let rows: [(&[&str], i32, &str); 28] = [
        (&["--modulus", "8"], 2, "prime"),
        (&["--modulus", "9", "--operation", "divide-or-subtract"], 2, "prime"),
        (&["--modulus", "2"], 2, "3..=997"),
        (&["--modulus", "7", "--operation", "s5-product"], 2, "--modulus"),
        (&["--operation", "dance"], 2, "quadratic-plus-a"),
        (&["--fraction", "1"], 2, "--fraction"),
        (&["--fraction", "nan"], 2, "above 0 and below 1"),
        (&["--fraction", "-0.5"], 2, "above 0 and below 1"),
        (&["--fraction", "0.0001"], 2, "empty"),
        (&["--learning-rate", "nan"], 2, "--learning-rate"),
        (&["--learning-rate", "-1"], 2, "a number above 0"),
        (&["--learning-rate", "0"], 2, "a number above 0"),
        (&["--learning-rate", "1e-60"], 2, "a number above 0"),
        (&["--learning-rate", "fast"], 2, "a number above 0"),
        (&["--weight-decay", "-1"], 2, "0 or more"),
        (&["--weight-decay", "NaN"], 2, "0 or more"),
        (&["--weight-decay", "inf"], 2, "0 or more"),
        (&["--hidden-size", "30"], 2, "width 30"),
        (&["--hidden-size", "16", "--n-heads", "2"], 2, "a width of 16 and 2 heads"),
        (&["--hidden-size", "1024", "--n-heads", "2"], 2, "a width of 1024 and 2 heads"),
        (&["--n-heads", "0"], 2, "--n-heads"),
        (&["--n-layers", "0"], 2, "--n-layers"),
        (&["--batch", "0"], 2, "--batch"),
        (&["--eval-interval", "51"], 2, "--eval-interval"),
        (&["--steps", "0"], 2, "--steps"),
        (&["--sweep", "--fraction", "0.4"], 2, "--fraction"),
        (&["--sweep", "--decays", "1,-1"], 2, "0 or more"),
        (&["--resume"], 2, "no run to go on with"),
    ];
    for (arguments, code, word) in rows {
        let done = run_to(&[&["grok"], arguments].concat(), &folder.0);
        let message = done.err;
        assert!(done.code == code && message.contains(word), "{arguments:?}: {message}");
        assert!(message.starts_with("kaiwu: ") && done.out.is_empty(), "{arguments:?}: {message}");
    }
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0, "what is refused leaves nothing");
}

/// The folder is in Hugging Face's layout, and the model in it computes what was trained.
#[test]
fn generate_answers_from_what_was_learned() {
    let folder = Folder::new("answers");
    // It stops when it has understood for a while, not amid one of the spikes that this rate has.
    let arguments = "grok --modulus 23 --operation add --n-layers 1 --hidden-size 64 --n-heads 2 --fraction 0.75 --weight-decay 2 \
                     --learning-rate 0.003 --batch 256 --steps 4000";
    let learned = run_to(&arguments.split_whitespace().collect::<Vec<_>>(), &folder.0);
    assert_eq!(learned.code, 0, "{}", learned.err);
    let rows = [(1, 2), (11, 12), (22, 22), (0, 5), (17, 9), (20, 3), (8, 8), (13, 4)];
    let ask = |question: &str| {
        run_with(kaiwu().args(["generate", "-m"]).arg(&folder.0).arg(question), "")
    };
    let answer = |question: &str| {
        let ran = ask(question);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    let right =
        |&(a, b): &(u32, u32)| answer(&format!("{a} + {b} =")).trim() == ((a + b) % 23).to_string();
    // Chance is 1 in 23.
    assert!(rows.iter().filter(|row| right(row)).count() >= 7);
    assert_eq!(answer("11+17="), answer("11 + 17 ="));
    for (question, word) in [("11+23=", "\"23\""), ("11 times 2 =", "\"times\""), ("x", "\"x\"")] {
        let ran = ask(question);
        let message = ran.err;
        assert!(ran.code == 1 && message.contains(&format!("{word} is no word")), "{message}");
    }
}

/// Each operation, from a table to a model that is asked with its sign.
#[test]
fn every_operation_is_trained_and_asked() {
    let questions = [
        ("subtract", "3-5="),
        ("multiply", "3*5="),
        ("divide-or-subtract", "3 divide-or-subtract 5 ="),
        ("square-sum", "3square-sum5="),
        ("quadratic", "3 quadratic 5 ="),
        ("quadratic-plus-a", "3 quadratic-plus-a 5="),
        ("cubic", "3 cubic 5 ="),
        ("cubic-mixed", "3 cubic-mixed 5 ="),
        ("s5-product", "21345*23451="),
        ("s5-conjugate", "21345 conjugate 23451 ="),
        ("s5-sandwich", "21345 sandwich 23451 ="),
    ];
    for (operation, question) in questions {
        let folder = Folder::new(operation);
        let sizes = "--hidden-size 32 --n-heads 1 --n-layers 1 --steps 4";
        let mut arguments = vec!["grok", "--operation", operation];
        arguments.extend(sizes.split(' '));
        let is_of_numbers = !operation.starts_with("s5");
        if is_of_numbers {
            arguments.extend(["--modulus", "7"]);
        }
        let learned = run_to(&arguments, &folder.0);
        assert_eq!(learned.code, 0, "{}", learned.err);
        let answer = run_with(kaiwu().args(["generate", "-m"]).arg(&folder.0).arg(question), "");
        assert_eq!(answer.code, 0, "{}", answer.err);
        let said = answer.out;
        assert!(!said.trim().is_empty(), "{operation}: {said:?}");
    }
}
