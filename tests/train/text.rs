//! `kaiwu train`: a tiny model learns a tiny text, stops and goes on, and other commands take what
//! it wrote.

use crate::common;
use crate::common::Folder;
use crate::common::path;
use crate::common::program::{Ran, ended, hears_signals, kaiwu, run, run_with};
use kaiwu::format::Source;
use kaiwu::gpu::{Gpu, GpuOptions};
use kaiwu::kernels::SampleBatch;
use kaiwu::text::{ChatTemplate, Tokenizer};
use kaiwu::train::{Data, Dataset, Lengths, TextRow, TextRun, TextSettings};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

/// Whoever knows a line's beginning knows its end.
fn rhyme() -> String {
    "One crow sits on the wall.\nTwo larks fly over the mill.\nThree owls call in the night.\n"
        .repeat(60)
}

fn tiny() -> TextSettings {
    TextSettings {
        vocab_size: 300,
        context: 32,
        n_layers: 2,
        hidden_size: 32,
        n_heads: 2,
        n_kv_heads: 1,
        intermediate_size: 64,
        batch: 8,
        steps: 100,
        learning_rate: 0.01,
        warmup: 5,
        weight_decay: 0.01,
        validation: 0.1,
        eval_interval: 20,
        ..TextSettings::default()
    }
}

/// Rows as they are but for the time they took.
fn timeless(rows: &[TextRow]) -> Vec<TextRow> {
    rows.iter().map(|row| TextRow { seconds: 0.0, ..row.clone() }).collect()
}

#[test]
fn a_text_is_learned_and_a_stopped_run_goes_on_as_if_nothing_had_happened() {
    let gpu = Gpu::open(&GpuOptions::default()).unwrap();
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
    stopped.save(&folder.0).unwrap();
    // A run begins with a step at a time, as long as it does not know what steps take: the
    // interrupt comes amid a row.
    let mut stopped = TextRun::resume(&gpu, &folder.0, &text, None).unwrap();
    assert_eq!(stopped.advance(&AtomicBool::new(true), |_| ()).unwrap(), None);
    assert_eq!(stopped.trainer.done(), 41);
    stopped.save(&folder.0).unwrap();
    let mut resumed = TextRun::resume(&gpu, &folder.0, &text, None).unwrap();
    finish(&mut resumed);
    assert_eq!(timeless(&resumed.rows), timeless(&whole.rows));
    assert!(
        resumed.trainer.parameters.read(&gpu).unwrap()
            == whole.trainer.parameters.read(&gpu).unwrap()
    );

    // With more steps, the rate is that of the longer cosine from there on.
    let longer = TextRun::resume(&gpu, &folder.0, &text, Some(300)).unwrap();
    let asked = TextSettings { steps: 300, ..tiny() };
    assert_eq!(longer.settings, asked);
    assert_eq!(longer.trainer.settings, asked.training(32));
    assert!(
        longer.trainer.settings.schedule.at(100) > 5.0 * resumed.trainer.settings.schedule.at(100)
    );

    let other = TextRun::resume(&gpu, &folder.0, &"another text".into(), None)
        .err()
        .map(|error| error.to_string());
    assert!(other.is_some_and(|message| message.contains("another text")));
}

#[test]
fn the_command_writes_a_model_that_generate_runs() {
    let folder = Folder::new("train-command");
    let config = folder.write("config-of-train.json", &serde_json::to_string(&tiny()).unwrap());
    let text = folder.write("rhyme.txt", &rhyme());
    let out = folder.0.join("out");
    let train =
        ["train", "-m", path(&config), "--data", path(&text), "--out", path(&out), "--json"];
    let trace = folder.0.join("trace.json");
    let done = run(&[&train[..], &[&format!("--profile={}", path(&trace))]].concat());
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
    let summary: serde_json::Value = done.json();
    assert_eq!(summary["steps"], 100);
    for name in [
        "metrics.jsonl",
        "curve.svg",
        "curve.png",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    for (prompt, expected) in
        [("One crow", " sits on the wall."), ("Three owls", " call in the night.")]
    {
        let said = run(&["generate", "-m", path(&out), "-n", "16", prompt]);
        assert_eq!(said.code, 0, "{}", said.err);
        let said = said.out;
        assert!(said.contains(expected), "{prompt}: {said}");
    }
    // A run is not overwritten, and goes on with the settings that it has.
    assert_eq!(run(&train).code, 2);
    let resume = ["train", "--resume", "--data", path(&text), "--out", path(&out)];
    let rows = [
        (["--seed", "2"], "--seed 2 contradicts the run in"),
        (["--learning-rate", "0.5"], "begun with 0.01"),
        (["--batch", "4"], "--batch 4 contradicts"),
        (["--validation", "0"], "--validation 0 contradicts"),
        (["--steps", "99"], "has taken 100 already"),
        (["--lora", "4"], "--lora"),
    ];
    for (setting, word) in rows {
        let refused = run(&[&resume[..], &setting].concat());
        let message = refused.err;
        assert!(refused.code == 2 && message.contains(word), "{setting:?}: {message}");
    }
    let longer =
        run(&[&resume[..], &["--seed", "1", "--batch", "8", "--steps", "104", "--json"]].concat());
    assert_eq!(longer.code, 0, "{}", longer.err);
    let summary: serde_json::Value = longer.json();
    assert_eq!(summary["steps"], 104);
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let rows = [
        ("--learning-rate", "nan"),
        ("--learning-rate", "-1"),
        ("--learning-rate", "0"),
        ("--validation", "nan"),
        ("--validation", "-0.1"),
        ("--validation", "0.6"),
        ("--batch", "0"),
        ("--context", "0"),
        ("--eval-interval", "0"),
        ("--steps", "0"),
        ("--lora", "0"),
        ("--lora", "257"),
        ("--lora-alpha", "nan"),
    ];
    for (option, value) in rows {
        let mut arguments = vec!["train", "-m", "none.gguf", "--data", "none.txt", option, value];
        if option == "--lora-alpha" {
            arguments.extend(["--lora", "4"]);
        }
        let done = run(&arguments);
        let message = done.err;
        assert!(done.code == 2 && message.contains(option), "{option} {value}: {message}");
    }
}

/// The process itself stops as documented, and goes on as if nothing had happened.
#[cfg(unix)]
#[test]
fn an_interrupted_process_goes_on_as_if_nothing_had_happened() {
    let folder = Folder::new("train-stopped");
    let settings = TextSettings { steps: 200, eval_interval: 10, ..tiny() };
    let config = folder.write("config-of-train.json", &serde_json::to_string(&settings).unwrap());
    let text = folder.write("rhyme.txt", &rhyme());
    let (stopped, whole) = (folder.0.join("stopped"), folder.0.join("whole"));
    let mut command = kaiwu();
    command.args(["train", "-m", path(&config), "--data", path(&text), "--out", path(&stopped)]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = hears_signals(&mut command).spawn().unwrap();
    let metrics = stopped.join("metrics.jsonl");
    while std::fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let ran = ended(child);
    let message = ran.err;
    assert!(ran.code == 130 && ran.out.is_empty(), "{message}");
    let told = format!("go on with --resume --data … --out {}", path(&stopped));
    assert!(message.contains("kaiwu: stopped at step ") && message.contains(&told), "{message}");
    assert!(stopped.join("model.safetensors").is_file());

    let resumed = run(&["train", "--resume", "--data", path(&text), "--out", path(&stopped)]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let uninterrupted =
        run(&["train", "-m", path(&config), "--data", path(&text), "--out", path(&whole)]);
    assert_eq!(uninterrupted.code, 0, "{}", uninterrupted.err);
    let rows = |out: &Path| {
        let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
        timeless(
            &text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<TextRow>>(),
        )
    };
    assert_eq!(rows(&stopped), rows(&whole));
    let model = |out: &Path| std::fs::read(out.join("model.safetensors")).unwrap();
    assert!(model(&stopped) == model(&whole), "the models differ");
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
        ("{\"width\": 40, \"heads\": 1, \"key_heads\": 1}", &text, "width 40 and 1 heads"),
        ("{\"rate\": -1}", &text, "rate must be above 0"),
        ("{\"weight_decay\": -1}", &text, "weight_decay"),
        ("{\"vocabulary\": 100}", &text, "the bytes alone are 256"),
        ("{\"validation\": 0.9}", &text, "validation is 0.9"),
        ("{\"batch\": 0, \"context\": 16, \"validation\": 0.1}", &text, "batch 0"),
    ];
    for (config, data, expected) in rows {
        let config = folder.write("config-of-train.json", config);
        let done = run(&["train", "-m", path(&config), "--data", path(data), "--out", path(&out)]);
        let message = done.err;
        assert!(done.code == 1 && message.contains(expected), "{expected}: {message}");
        assert!(message.lines().count() == 1 && done.out.is_empty(), "{message}");
    }
}

/// Data of one line, as the tokens that the tiny Llama learns and those that it only reads.
fn words_of(folder: &Folder, line: &str) -> kaiwu::Result<Vec<u32>> {
    let data = Data::read(&[folder.write("line.jsonl", line)])?;
    let source =
        Source::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/llama-f32"))?;
    let tokenizer = Tokenizer::from_source(&source)?;
    let template = ChatTemplate::from_source(&source, &tokenizer)?;
    let lengths = Lengths { context: None, longest: 256, skip_long: false };
    Ok(Dataset::examples(&data, &tokenizer, template.as_ref(), lengths, 0.0)?.words)
}

#[test]
fn all_forms_of_examples_are_read() {
    let folder = Folder::new("train-forms");
    let words =
        |line: &str| words_of(&folder, line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pair = words(
        r#"{"messages": [{"role": "user", "content": "one two"}, {"role": "assistant", "content": "six"}]}"#,
    );
    for line in [
        r#"{"prompt": "one two", "response": "six"}"#,
        r#"{"prompt": "one two", "completion": "six", "source": 7}"#,
        r#"{"conversations": [{"from": "human", "value": "one two"}, {"from": "gpt", "value": "six"}]}"#,
        r#"{"conversations": [{"role": "user", "content": "one two"}, {"role": "assistant", "content": "six"}]}"#,
        r#"{"instruction": "one two", "input": "", "output": "six"}"#,
        r#"{"instruction": "one two", "output": "six", "text": "all of it in one"}"#,
        r#"{"prompt": [{"role": "user", "content": "one two"}], "completion": [{"role": "assistant", "content": "six"}]}"#,
        // As Windows' editors write it.
        "\u{feff}{\"prompt\": \"one two\", \"response\": \"six\"}\r\n",
    ] {
        assert_eq!(words(line), pair, "{line}");
    }
    let beside = r#"{"prompt": "one\n\ntwo", "response": "six"}"#;
    assert_eq!(words(r#"{"instruction": "one", "input": "two", "output": "six"}"#), words(beside));
    // All of a text is learned.
    let text = words(r#"{"text": "one two six"}"#);
    assert!(text.iter().all(|&word| word >> 31 == 0 || word == SampleBatch::NONE), "{text:?}");
    for (line, parts) in [
        (r#"{"prompt": "one, "response": "six"}"#, ["line 1, column 19", "is no JSON", "expected"]),
        (r#"{"prompt": "one"}"#, ["line 1", "\"completion\"", "it has prompt"]),
        (r#"["one", "two"]"#, ["line 1", "no JSON object", "example of its own"]),
        (r#"{"prompt": "one", "response": 6}"#, ["line 1", "its response", "is no text"]),
        (r#"{"messages": [{"role": "user"}]}"#, ["line 1", "message 1", "\"content\""]),
        (r#"{"text": ""}"#, ["line 1", "no response to learn", "empty"]),
    ] {
        let error = words_of(&folder, line).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

/// With the tiny Llama, `more` arguments and `input` on standard input.
fn tune(folder: &Folder, data: &str, input: &str, more: &[&str]) -> Ran {
    let model = common::tiny("llama-f32");
    let mut command = kaiwu();
    command.args([
        "train",
        "-m",
        path(&model),
        "--data",
        data,
        "--lora",
        "2",
        "--eval-interval",
        "1",
    ]);
    command.arg("--out").arg(folder.0.join("out")).args(more);
    run_with(&mut command, input)
}

#[test]
fn what_is_too_long_is_named_or_left_out() {
    let folder = Folder::new("train-long");
    let line = |count: usize| {
        format!("{{\"prompt\": \"one\", \"response\": \"{}\"}}\n", "two ".repeat(count))
    };
    let lines = line(2) + &line(400) + &line(3);
    for (more, most) in [(&[][..], "context of 256"), (&["--context", "64"], "context of 64")] {
        let done = tune(&folder, "-", &lines, more);
        let error = done.err;
        assert_eq!(done.code, 1, "{error}");
        for part in ["standard input: line 2 has ", most, "--skip-long"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!folder.0.join("out").exists(), "nothing is left of what did not begin");
    }
    let done = tune(&folder, "-", &lines, &["--skip-long", "--steps", "4"]);
    let error = done.err;
    assert!(done.code == 0 && error.contains("1 examples are too long and left out"), "{error}");
    assert!(folder.0.join("out/adapter_model.safetensors").is_file());
}

#[test]
fn an_absurd_rate_is_a_failure() {
    let folder = Folder::new("train-absurd");
    let line = "{\"prompt\": \"one\", \"response\": \"two three\"}\n";
    for rate in ["1e5", "1e30"] {
        let done = tune(&folder, "-", line, &["--learning-rate", rate, "--steps", "20"]);
        let error = done.err;
        assert_eq!(done.code, 1, "{rate}: {error}");
        assert!(
            error.contains("training diverged") && error.contains("rate below"),
            "{rate}: {error}"
        );
        let out = folder.0.join("out");
        assert!(
            !out.join("adapter_model.safetensors").exists()
                && !out.join("checkpoint.safetensors").exists()
        );
        let _ = std::fs::remove_dir_all(out);
    }
}

#[test]
fn texts_in_json_lines_are_text_for_a_model_from_scratch() {
    let folder = Folder::new("train-texts");
    let lines: String = rhyme()
        .lines()
        .map(|line| serde_json::json!({ "text": line }).to_string() + "\n")
        .collect();
    let [lines, plain] = [("rhyme.jsonl", lines), ("rhyme.txt", rhyme())]
        .map(|(name, text)| folder.write(name, &text));
    let config = folder.write("config-of-train.json", &serde_json::to_string(&tiny()).unwrap());
    let models = [lines, plain].map(|data| {
        let out = folder.0.join("out");
        let done = run(&[
            "train",
            "-m",
            path(&config),
            "--steps",
            "3",
            "--data",
            path(&data),
            "--out",
            path(&out),
        ]);
        assert_eq!(done.code, 0, "{}", done.err);
        let model = std::fs::read(out.join("model.safetensors")).unwrap();
        std::fs::remove_dir_all(out).unwrap();
        model
    });
    assert!(models[0] == models[1]);
}
