//! The program as a person or a script meets it: what it prints where, and how it exits.

use crate::common;
use crate::common::program::{hears_signals, kaiwu, run, run_with};
use serde_json::Value;
use std::io::Read;
use std::process::{Command, Stdio};
const FRANCE: &str = "The capital of France is";

/// Each command's help is looked at where clap can be asked for all of them, in `src/cli`.
#[test]
fn help_completions_and_manual_pages_are_printed() {
    for command in [&[][..], &["generate"], &["bench", "model"]] {
        for width in [80, 120] {
            let mut help = kaiwu();
            help.args(command).arg("--help").env("COLUMNS", width.to_string());
            let ran = run_with(&mut help, "");
            assert_eq!((ran.code, &*ran.err), (0, ""), "{command:?}");
            let example = format!("  kaiwu {}", command.join(" "));
            let (_, examples) = ran.out.split_once("Examples:\n").expect("there are examples");
            assert!(examples.contains(&example), "{command:?}: {}", ran.out);
            let longest = ran.out.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(width.min(100)), "{command:?}, {width}: {}", ran.out);
        }
    }
    let completions = run(&["completions", "bash"]);
    assert!(
        completions.code == 0 && completions.out.contains("kaiwu,autotune)"),
        "{}",
        completions.out
    );
    let page = run(&["man", "bench", "model"]);
    assert!(page.code == 0 && page.out.contains(".TH kaiwu-bench-model 1"), "{}", page.out);
    assert_eq!(run(&["man", "dance"]).code, 2);
    assert_eq!(run(&["--version"]).out, format!("kaiwu {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_version_says_what_a_report_needs() {
    let adapters = run(&["devices", "--json"]).json();
    let ran = run(&["version"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let mut lines = ran.out.lines();
    assert_eq!(lines.next(), Some(&*format!("kaiwu {}", env!("CARGO_PKG_VERSION"))));
    for adapter in adapters.as_array().unwrap() {
        for key in ["name", "driver_info"] {
            assert!(ran.out.contains(adapter[key].as_str().unwrap()), "{key}: {}", ran.out);
        }
    }
    let json = run(&["version", "--json"]).json();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert!(json["wgpu"].as_str().unwrap().starts_with("30."), "{json}");
    assert_eq!(json["adapters"].as_array().unwrap().len(), adapters.as_array().unwrap().len());
    // A folder without git has no commit to name.
    let commit = json["commit"].as_str().unwrap_or("000000000000");
    assert!(commit.len() == 12 && commit.bytes().all(|digit| digit.is_ascii_hexdigit()), "{json}");
    let mut command = kaiwu();
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(variable, "/dev/null");
    }
    let ran = run_with(command.args(["version"]), "");
    assert!(
        ran.code == 0 && ran.out.starts_with("kaiwu ") && ran.out.contains("no adapter:"),
        "{ran:?}"
    );
}

#[test]
fn what_cannot_be_followed_is_said_on_standard_error() {
    let rows: [(&[&str], i32, &str); 34] = [
        (&[], 2, "Usage"),
        (&["dance"], 2, "dance"),
        (&["generate"], 2, "<PROMPT>"),
        (&["generate", "a", "b"], 2, "'b'"),
        (&["generate", "a", "-n", "0"], 2, "0"),
        (&["generate", "a", "-n", "-2"], 2, "-1 for as many as the context holds"),
        (&["generate", "a", "-n", "many"], 2, "-1 for as many as the context holds"),
        (&["generate", "a", "--temperature", "-1"], 2, "temperature is -1"),
        (&["generate", "a", "--temperature=-1"], 2, "temperature is -1"),
        (&["generate", "a", "--seed", "-2"], 2, "-1 for a random one"),
        (&["generate", "a", "--top-k", "-1"], 2, "0 or more"),
        (&["generate", "a", "--top-p", "-0.5"], 2, "top_p is -0.5"),
        (&["generate", "a", "--context", "-1"], 2, "-1 is not in 1.."),
        (&["generate", "- it's one"], 2, "kaiwu generate -- '- it'\\''s one'"),
        (&["embed", "a", "-x y"], 2, "kaiwu embed -- '-x y'"),
        (&["generate", "a", "-e", "--stop", "\\q"], 2, "no escape"),
        (&["generate", "-f", "/nowhere.txt"], 1, "cannot read /nowhere.txt"),
        (&["generate", "-f", "a", "b"], 2, "cannot be used with"),
        (&["generate", "--prompts", "/nowhere.txt"], 1, "cannot read /nowhere.txt"),
        (&["generate", "a", "--json", "--json-lines"], 2, "cannot be used with"),
        (&["detokenize", "a"], 2, "\"a\" is not a token id"),
        (&["detokenize", "1", "999999"], 2, "there is no token 999999"),
        (&["generate", "a", "--logit-bias", "5"], 2, "ID=VALUE"),
        (&["generate", "a", "--logit-bias", "99999=1"], 2, "99999"),
        (&["generate", "a", "--stop", ""], 2, "stop string is empty"),
        (
            &["generate", "a", "--context", "9000"],
            2,
            "a context of 9000 tokens is not possible: the model was made for 1 to 8192",
        ),
        (&["generate", "a", "--storage", "tape"], 2, "texture"),
        (&["generate", "", "-n", "1"], 2, "no tokens"),
        (&["generate", "--ids", "1,2,3,4,5", "--context", "4"], 2, "holds 4"),
        (&["generate", "a", "-m", "/nowhere/model.gguf"], 1, "cannot open /nowhere/model.gguf"),
        (&["generate", "a", "-m", env!("CARGO_BIN_EXE_kaiwu")], 1, "is not GGUF"),
        (&["devices", "--adapter", "abacus"], 1, "no adapter matches \"abacus\"; there are 0 "),
        (&["explain", "--at", "8193"], 2, "--at is 8193, but this model's context has 8192 tokens"),
        (&["logits", "--ids", "1,77777"], 2, "77777"),
    ];
    for (arguments, code, message) in rows {
        let ran = run(arguments);
        assert_eq!((ran.code, &*ran.out), (code, ""), "{arguments:?}: {}", ran.err);
        let is_ours = ran.err.starts_with("kaiwu: ") || arguments.is_empty();
        assert!(is_ours && ran.err.contains(message), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn without_a_model_the_error_says_how_to_get_one() {
    let mut command = kaiwu();
    let empty = std::env::temp_dir();
    command.env_remove("KAIWU_MODEL").env("XDG_DATA_HOME", "/nowhere").current_dir(empty);
    let ran = run_with(command.args(["generate", FRANCE]), "");
    assert_eq!((ran.code, &*ran.out), (2, ""));
    for part in [
        "make model",
        "kaiwu pull HuggingFaceTB/SmolLM2",
        "-m PATH",
        "/nowhere/kaiwu/models/SmolLM2-135M-Instruct.Q4_1.gguf",
    ] {
        assert!(ran.err.contains(part), "{}", ran.err);
    }
}

#[test]
fn without_an_adapter_the_error_says_how_to_get_one() {
    let commands: [&[&str]; 3] = [&["devices"], &["generate", FRANCE], &["bench", "model"]];
    for arguments in commands {
        let mut command = kaiwu();
        for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
            command.env(variable, "/dev/null");
        }
        let ran = run_with(command.args(arguments), "");
        assert_eq!((ran.code, &*ran.out), (1, ""), "{arguments:?}");
        assert!(
            ran.err.contains("apt-get install -y libvulkan1 mesa-vulkan-drivers"),
            "{}",
            ran.err
        );
        // What needs no device still works.
        let ran = run_with(command.args(["--help"]), "");
        assert_eq!(ran.code, 0);
    }
}

#[test]
fn devices_are_listed_with_the_one_taken() {
    let adapters = run(&["devices", "--json"]).json();
    let taken: Vec<_> =
        adapters.as_array().unwrap().iter().filter(|adapter| adapter["chosen"] == true).collect();
    assert_eq!(taken.len(), 1);
    for key in ["name", "backend", "kind", "driver", "reason"] {
        assert!(taken[0][key].is_string(), "{key}");
    }
    for key in ["f16", "immediates", "timestamps"] {
        assert!(taken[0][key].is_boolean(), "{key}");
    }
    assert!(taken[0]["max_binding_bytes"].as_u64().unwrap() >= 1 << 27);
    let name = taken[0]["name"].as_str().unwrap();
    let text = run(&["devices", "--adapter", &name.to_uppercase()]).out;
    assert!(
        text.contains(&format!("* {} {name}", taken[0]["index"]))
            && text.contains(&format!("matches {:?}", name.to_uppercase())),
        "{text}"
    );
}

#[test]
fn inspect_shows_what_is_there_and_what_it_takes() {
    let ran = run(&["inspect", "--json", "--context", "1000"]).json();
    assert_eq!(ran["metadata"]["general.architecture"], "llama");
    assert_eq!(ran["metadata"]["tokenizer.ggml.tokens"]["length"], 49152);
    assert_eq!(
        (ran["tensors"].as_array().unwrap().len(), &ran["types"]["Q4_1"]["tensors"]),
        (272, &210.into())
    );
    assert_eq!(ran["tensors"][0]["shape"], serde_json::json!([49152, 576]));
    let device = |key: &str| ran["device"][key].as_u64().unwrap();
    // 1000 tokens in whole steps of 64: keys and values in halves of 30 layers of 3 heads of 64,
    // and the rotary table.
    assert_eq!(device("cache_bytes"), 1024 * (2 * 2 * 30 * 192 + 4 * 64));
    assert_eq!(
        device("total_bytes"),
        device("weights_bytes") + device("cache_bytes") + device("activation_bytes")
    );
    let model = common::default_model();
    let model = model.to_str().unwrap();
    let text = run(&["inspect"]).out;
    for arguments in [["inspect", "-m", model].as_slice(), &["inspect", model]] {
        let mut command = kaiwu();
        command.env("KAIWU_MODEL", "/nowhere/at/all");
        assert_eq!(run_with(command.args(arguments), "").out, text, "{arguments:?}");
    }
    let twice = run(&["inspect", "-m", model, model]);
    assert!(twice.code == 2 && twice.err.contains("cannot be used with"), "{twice:?}");
    for part in [
        "general.architecture",
        "blk.29.ffn_down.weight",
        "[576, 1536]",
        "with 8192 tokens of context",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn tokenize_gives_the_reference_ids_without_a_device() {
    for prompt in common::golden("SmolLM2-135M-Instruct.Q4_1.json")["prompts"].as_array().unwrap() {
        let mut command = kaiwu();
        command.env("VK_DRIVER_FILES", "/dev/null").env("VK_ICD_FILENAMES", "/dev/null");
        let ran = run_with(
            command.args(["tokenize", "--json", "--keep-newline", "-"]),
            prompt["text"].as_str().unwrap(),
        )
        .json();
        assert_eq!(ran["ids"], prompt["input_ids"], "{}", prompt["text"]);
        assert_eq!(ran["tokens"].as_array().unwrap().len(), ran["ids"].as_array().unwrap().len());
    }
    assert_eq!(run(&["tokenize", FRANCE]).out.lines().next(), Some("504\tThe"));
}

#[test]
fn ids_become_text_and_text_ids_again() {
    let ids = run(&["tokenize", "--ids", FRANCE]);
    assert_eq!((ids.code, &*ids.out, &*ids.err), (0, "504,3575,282,4649,314\n", ""));
    for given in [
        &["504,3575,282,4649,314"][..],
        &["504", "3575", "282,4649, 314"],
        &["[504, 3575,282,4649,314]"],
    ] {
        let ran = run(&[&["detokenize"], given].concat());
        assert_eq!(
            (ran.code, &*ran.out, &*ran.err),
            (0, "The capital of France is\n", ""),
            "{given:?}"
        );
    }
    let text = "é 猫 🙂\n\n<|im_end|> \t";
    let ids = run(&["tokenize", "--ids", text]).out;
    let back = run_with(kaiwu().args(["detokenize", "-", "--json"]), &ids).json();
    assert_eq!(back["text"], text);
    assert_eq!(back["tokens"].as_array().unwrap().len(), ids.split(',').count());
    assert_eq!(run(&["detokenize", "504,2", "--skip-special"]).out, "The\n");
}

/// The prompt that a text becomes, by its ids.
fn read_as(arguments: &[&str], input: &str) -> String {
    let ran = run_with(kaiwu().args([&["tokenize", "--ids"], arguments].concat()), input);
    assert_eq!((ran.code, &*ran.err), (0, ""), "{arguments:?} {input:?}");
    ran.out
}

#[test]
fn the_end_and_the_mark_of_a_file_are_no_part_of_its_text() {
    let plain = read_as(&[FRANCE], "");
    for ending in ["", "\n", "\r\n"] {
        for mark in ["", "\u{feff}"] {
            let written = format!("{mark}{FRANCE}{ending}");
            let file = common::TempFile::new("ends.txt", written.as_bytes());
            assert_eq!(read_as(&["-"], &written), plain, "{written:?}");
            assert_eq!(read_as(&["-f", file.0.to_str().unwrap()], ""), plain, "{written:?}");
            let kept = read_as(&["-f", "-", "--keep-newline"], &written);
            assert_eq!(kept, read_as(&[&format!("{FRANCE}{ending}")], ""), "{written:?}");
        }
    }
    let two = read_as(&["-"], &format!("{FRANCE}\n\n"));
    assert_eq!(two, read_as(&[&format!("{FRANCE}\n")], ""), "only the last newline goes");
    // All that read a text read it alike.
    let input = format!("\u{feff}{FRANCE}\n");
    let file = common::TempFile::new("prompt.txt", input.as_bytes());
    let file = file.0.to_str().unwrap();
    for source in [&["-"][..], &["-f", file]] {
        let ran =
            run_with(kaiwu().args([&["generate", "-n", "1", "--json"], source].concat()), &input)
                .json();
        assert_eq!(ran["prompt_ids"], serde_json::json!([504, 3575, 282, 4649, 314]));
    }
    let of = |arguments: &[&str]| run_with(kaiwu().args(arguments), &input).out;
    assert_eq!(of(&["logits", "-"]), of(&["logits", FRANCE]));
    assert_eq!(of(&["logits", "-f", file]), of(&["logits", FRANCE]));
    assert_eq!(of(&["embed", "-"]), of(&["embed", FRANCE]));
    assert_eq!(of(&["embed", "-f", file]), of(&["embed", FRANCE]));
    let wide: Vec<u8> = FRANCE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = common::TempFile::new("utf16.txt", &[&[0xff, 0xfe][..], &wide].concat());
    let ran = run(&["tokenize", "-f", wide.0.to_str().unwrap()]);
    assert!(ran.code == 2 && ran.err.contains("is UTF-16; save it as UTF-8"), "{ran:?}");
}

#[test]
fn escapes_are_read_where_they_are_asked_for() {
    let written = "a\\n\\tb\\u{e9}";
    assert_eq!(read_as(&["-e", written], ""), read_as(&["a\n\tbé"], ""));
    assert_eq!(read_as(&["-e", "-"], written), read_as(&["a\n\tbé"], ""));
    assert_eq!(read_as(&["-"], written), read_as(&[written], ""));
    let stop =
        |more: &[&str]| run(&[&["generate", FRANCE, "-n", "8", "--stop", "\\n"], more].concat());
    let ran = stop(&["-e"]);
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, " Paris.\n", ""));
    let ran = stop(&[]);
    assert!(ran.out.starts_with(" Paris.\n\n") && ran.err.contains("--escapes"), "{ran:?}");
}

#[test]
fn generate_streams_text_and_nothing_else() {
    let ran = run(&["generate", FRANCE, "-n", "2"]);
    // As many as were asked for is no reason for a word; as many as nobody asked for is one.
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, " Paris.\n", ""));
    let long = run(&["generate", "Once upon a time"]);
    let why =
        "kaiwu: cut after 256 tokens; -n N allows more, and -n -1 as many as the context holds\n";
    assert_eq!((long.code, &*long.err), (0, why), "{}", long.out);
    for limit in [&["-n", "100"][..], &["-n", "-1"]] {
        let full = run(&[&["generate", FRANCE, "--context", "6"], limit].concat());
        assert_eq!((full.code, &*full.out), (0, " Paris.\n"));
        let why =
            "kaiwu: cut after 2 tokens: the context of 6 is full; --context N allows up to 8192\n";
        assert_eq!(full.err, why);
    }
    let stopped = run_with(kaiwu().args(["generate", "-", "--stop", "aris"]), FRANCE);
    assert_eq!((stopped.code, &*stopped.out, &*stopped.err), (0, " P\n", ""));
    let reference = run(&["generate", FRANCE, "-n", "2", "--reference"]);
    assert_eq!((reference.code, &*reference.out), (0, " Paris.\n"));
    let checked = run(&["generate", FRANCE, "-n", "2", "--check"]);
    assert_eq!((checked.code, &*checked.out), (0, " Paris.\n"));
    assert!(checked.err.contains("every kernel agrees"), "{}", checked.err);
    let bare = run(&["generate", FRANCE, "-n", "2", "--no-subgroups", "--storage", "buffer"]);
    assert_eq!((bare.code, &*bare.out), (0, " Paris.\n"), "{}", bare.err);
}

#[test]
fn generate_tells_what_it_did_as_json() {
    let greedy = run(&["generate", FRANCE, "-n", "12", "--json"]).json();
    let golden = common::golden("SmolLM2-135M-Instruct.Q4_1.json")["prompts"][0].clone();
    assert_eq!(greedy["prompt_ids"], golden["input_ids"]);
    assert_eq!(
        greedy["output_ids"].as_array().unwrap()[..],
        golden["greedy_ids"].as_array().unwrap()[..12]
    );
    assert!(golden["greedy_text"].as_str().unwrap().starts_with(greedy["text"].as_str().unwrap()));
    assert_eq!((&greedy["finish_reason"], &greedy["seed"]), (&"length".into(), &Value::Null));
    for key in ["model", "adapter"] {
        assert!(!greedy[key].as_str().unwrap().is_empty(), "{key}");
    }
    for key in ["load_s", "first_token_s", "prefill_tokens_per_s", "decode_tokens_per_s"] {
        assert!(greedy["timings"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    let count = |ran: &Value, key: &str| ran["counts"][key].as_f64().unwrap();
    assert!(count(&greedy, "dispatches_per_token") > 3.0);
    assert!(count(&greedy, "submits_per_token") <= 1.0);
    assert!(count(&greedy, "readback_bytes_per_token") <= 16.0);

    let hot = ["generate", FRANCE, "-n", "8", "--json", "--temperature", "1.5"];
    let random = run(&hot).json();
    let seed = random["seed"].as_u64().unwrap().to_string();
    let same = run(&[&hot[..], &["--seed", &seed]].concat()).json();
    assert_eq!((&random["output_ids"], &random["text"]), (&same["output_ids"], &same["text"]));
    assert!(count(&same, "readback_bytes_per_token") >= 4.0 * 49152.0);
}

/// How likely the first prompt's next tokens are, by transformers: ids and logarithms of
/// probabilities.
fn next_of_france() -> Vec<(u64, f64)> {
    let golden = common::golden("SmolLM2-135M-Instruct.Q4_1.json")["prompts"][0].clone();
    let all = golden["logsumexp"].as_f64().unwrap();
    let ids = golden["top_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap());
    ids.zip(golden["top_logits"].as_array().unwrap())
        .map(|(id, logit)| (id, logit.as_f64().unwrap() - all))
        .collect()
}

/// Whether tokens and how likely they are agree with these.
#[track_caller]
fn assert_likely(found: &Value, expected: &[(u64, f64)]) {
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (row, (id, logprob)) in found.iter().zip(expected) {
        assert_eq!(row["id"].as_u64(), Some(*id), "{row}");
        assert!((row["logprob"].as_f64().unwrap() - logprob).abs() < 0.03, "{row}: {logprob}");
    }
}

#[test]
fn tokens_are_told_with_how_likely_they_were() {
    let expected = next_of_france();
    let usual = run(&["generate", FRANCE, "-n", "8", "--json"]).json();
    let ran = run(&["generate", FRANCE, "-n", "8", "--json", "--logprobs", "5"]).json();
    assert_eq!(ran["output_ids"], usual["output_ids"]);
    assert_eq!(usual.get("logprobs"), None);
    let rows = ran["logprobs"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    assert_eq!(
        (&rows[0]["text"], &rows[0]["logprob"]),
        (&" Paris".into(), &rows[0]["top"][0]["logprob"])
    );
    assert_likely(&rows[0]["top"], &expected[..5]);
    let ids: Vec<_> = rows.iter().map(|row| row["id"].clone()).collect();
    assert_eq!(Value::from(ids), ran["output_ids"]);
    // What is banned is not chosen, but the model's own likelihoods stay what they are.
    let banned =
        ["generate", FRANCE, "-n", "1", "--json", "--logprobs", "2", "--logit-bias", "7042=-inf"];
    let rows = run(&banned).json()["logprobs"].clone();
    assert_likely(&rows[0]["top"], &expected[..2]);
    assert_likely(&rows, &expected[1..2]);

    let ran = run(&["generate", FRANCE, "-n", "3", "--logprobs", "2"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines.len() == 4 && lines[1].starts_with("\" Paris\" "), "{}", ran.out);
    assert!(lines[1].contains("77.") && lines[1].contains("\" the\" 6."), "{}", ran.out);

    let ran = run(&[
        "generate",
        FRANCE,
        "-n",
        "4",
        "--json-lines",
        "--logprobs",
        "1",
        "--stop",
        "\n\n\n",
    ]);
    assert_eq!(ran.err, "");
    let lines: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, tokens) = lines.split_last().unwrap();
    assert_eq!(last["output_ids"], serde_json::json!([7042, 30, 198, 198]));
    let ids: Vec<_> =
        tokens.iter().filter(|line| !line["id"].is_null()).map(|line| line["id"].clone()).collect();
    assert_eq!(Value::from(ids), last["output_ids"]);
    let text: String = tokens.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!((&*text, &last["text"]), (" Paris.\n\n", &" Paris.\n\n".into()));
    assert_likely(&Value::from(&tokens[..1]), &expected[..1]);
    assert_likely(&tokens[0]["top"], &expected[..1]);
}

#[test]
fn the_likeliest_next_tokens_are_a_table() {
    let expected = next_of_france();
    let ran = run(&["logits", "--top", "3", FRANCE]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines.len() == 4 && lines[1].starts_with("\" Paris\"") && lines[1].contains("7042"),
        "{}",
        ran.out
    );
    let share = format!("{:.0}", expected[0].1.exp() * 100.0);
    assert!(
        lines[1].contains(&format!("  {share}.")) || lines[1].contains(" 77."),
        "{share}: {}",
        ran.out
    );
    let json = run(&["logits", "--top", "16", "--json", FRANCE]).json();
    assert_likely(&json["top"], &expected[..16]);
    for row in json["top"].as_array().unwrap() {
        let [logprob, probability] =
            ["logprob", "probability"].map(|key| row[key].as_f64().unwrap());
        assert!((logprob.exp() - probability).abs() < 1e-9, "{row}");
    }
}

#[test]
fn many_prompts_are_answered_as_each_alone() {
    let model = common::data("tiny/llama-f32");
    let model = model.to_str().unwrap();
    let ask = |more: &[&str], input: &str| {
        run_with(kaiwu().args([&["generate", "-m", model, "-n", "12"], more].concat()), input)
    };
    let texts = ["The capital of France is", "The capital of Spain is", " ", "é 猫"];
    let alone = |text: &str, more: &[&str]| ask(&[&["--json", "-"], more].concat(), text).json();
    let lines = |ran: &common::program::Ran| -> Vec<Value> {
        assert_eq!((ran.code, &*ran.err), (0, ""));
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for sampling in [&[][..], &["--temperature", "1.2", "--seed", "5"]] {
        let many =
            lines(&ask(&[&["--prompts", "-"], sampling].concat(), &(texts.join("\n") + "\n")));
        assert_eq!(many.len(), texts.len());
        for (index, (line, text)) in many.iter().zip(texts).enumerate() {
            let alone = alone(text, sampling);
            assert_eq!(
                (&line["index"], &line["text"]),
                (&index.into(), &alone["text"]),
                "{text:?}"
            );
            assert_eq!(
                (&line["ids"], &line["finish_reason"]),
                (&alone["output_ids"], &alone["finish_reason"])
            );
        }
    }
    // Conversations and texts as JSON, with likelihoods.
    let jsonl = "{\"prompt\": \"The capital\\nof\"}\n\n{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}]}\n";
    let many = lines(&ask(&["--prompts", "-", "--logprobs", "2"], &format!("\u{feff}{jsonl}")));
    assert_eq!(many.len(), 2);
    assert_eq!(many[0]["ids"], alone("The capital\nof", &[])["output_ids"]);
    assert_eq!(many[1]["ids"], alone("one", &["--chat"])["output_ids"]);
    let likely = &alone("one", &["--chat", "--logprobs", "2"])["logprobs"];
    assert_eq!(&many[1]["logprobs"], likely);
    // Without a seed each has its own, which is told.
    let many = lines(&ask(&["--prompts", "-", "--temperature", "1.5"], "a\na\n"));
    assert_ne!(many[0]["seed"], many[1]["seed"]);
    let seed = many[1]["seed"].as_u64().unwrap().to_string();
    assert_eq!(
        many[1]["ids"],
        alone("a", &["--temperature", "1.5", "--seed", &seed])["output_ids"]
    );

    let long = "a ".repeat(3000);
    for (input, message) in [
        ("", "standard input has no prompts"),
        ("a\n\na\n", "standard input, line 2: the prompt has no tokens"),
        (
            "{\"prompt\": \"a\"}\n{\"prompt\": \"a}",
            "standard input, line 2: EOF while parsing a string",
        ),
        ("{\"prompt\": \"a\"}\n{\"text\": \"a\"}", "standard input, line 2: is neither"),
        (&*format!("a\n{long}\n"), "standard input, line 2: the prompt has"),
    ] {
        let ran = ask(&["--prompts", "-"], input);
        assert!(
            ran.code == 2 && ran.out.is_empty() && ran.err.contains(message),
            "{input:.40}: {ran:?}"
        );
    }
}

#[test]
fn generate_answers_in_the_chat_template() {
    let golden = common::golden("SmolLM2-135M-Instruct.Q4_1.json");
    let prompt = golden["prompts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|prompt| prompt["prompt"].is_array())
        .unwrap();
    let question = prompt["prompt"][0]["content"].as_str().unwrap();
    let ran = run(&["generate", "--chat", "--json", "-n", "2", question]).json();
    assert_eq!(ran["prompt_ids"], prompt["input_ids"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for arguments in [&["inspect"][..], &["generate", FRANCE, "-n", "4"], &["devices", "--json"]] {
        let mut command = kaiwu();
        let pipes = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*err), (Some(0), ""), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_an_answer_and_keeps_what_there_is() {
    let mut command = kaiwu();
    let pipes = command
        .args(["generate", "Once upon a time", "-n", "4000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = hears_signals(pipes).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(130), &b""[..]));
    assert!(output.stdout.len() < 2000 && output.stdout.ends_with(b"\n"));
}

#[test]
fn logits_are_the_references_and_can_be_saved() {
    let golden = common::golden("SmolLM2-135M-Instruct.Q4_1.json")["prompts"][0].clone();
    let file = common::TempFile::new("logits.safetensors", b"");
    let ids = golden["input_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let short = run(&["logits", FRANCE]).json();
    let saved = run(&["logits", "--ids", &ids, "--output", file.0.to_str().unwrap(), "--check"]);
    assert_eq!(saved.code, 0, "{}", saved.err);
    let long = saved.json();
    for ran in [&short, &long] {
        assert_eq!(ran["ids"], golden["top_ids"]);
        let close = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 0.02;
        assert!(close(&ran["logsumexp"], &golden["logsumexp"]));
        let pairs =
            ran["logits"].as_array().unwrap().iter().zip(golden["top_logits"].as_array().unwrap());
        assert_eq!(pairs.filter(|(a, b)| close(a, b)).count(), 16);
    }
    #[cfg(unix)]
    {
        // To a device, and through a link, which stays one.
        let full = run(&["logits", "--ids", &ids, "-o", "/dev/full"]);
        assert!(full.code == 1 && full.err.contains("cannot write /dev/full"), "{full:?}");
        let link = file.0.with_extension("link");
        std::os::unix::fs::symlink(&file.0, &link).unwrap();
        let linked = run(&["logits", "--ids", &ids, "-o", link.to_str().unwrap()]);
        assert!(linked.code == 0 && link.is_symlink(), "{}", linked.err);
        std::fs::remove_file(link).unwrap();
    }
    let bytes = std::fs::read(&file.0).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let logits = tensors.tensor("logits").unwrap();
    assert_eq!((logits.dtype(), logits.shape()), (safetensors::Dtype::F32, &[5, 49152][..]));
    let at = 4 * (4 * 49152 + 7042);
    let paris = f32::from_le_bytes(logits.data()[at..at + 4].try_into().unwrap());
    assert_eq!(f64::from(paris), long["logits"][0].as_f64().unwrap());
}

#[test]
fn bench_and_explain_count_the_same_dispatches() {
    // Threads of a busy machine may miss each other, which takes further dispatches.
    let bench =
        run(&["bench", "model", "-p", "9", "-n", "9", "--repeat", "2", "--workers", "1", "--json"])
            .json();
    for phase in ["prefill", "decode"] {
        let rate = |key: &str| bench[phase][key].as_f64().unwrap();
        assert!(
            rate("min") > 0.0 && rate("min") <= rate("median") && rate("median") <= rate("max"),
            "{phase}"
        );
        assert_eq!(rate("tokens_per_s"), rate("median"));
    }
    let with_device = run(&["explain", "--workers", "1", "--json"]).json();
    let without = run(&["explain", "--json", "--host", "--at", "0"]).json();
    assert_eq!(
        with_device["total"]["dispatches"],
        bench["counts"]["dispatches_per_token"].as_f64().unwrap() as u64
    );
    for section in with_device["sections"].as_array().unwrap() {
        assert!(
            section["kernels"]
                .as_array()
                .unwrap()
                .iter()
                .all(|kernel| kernel["strategy"].is_string())
        );
    }
    let sum = |ran: &Value, key: &str| -> u64 {
        let sections = ran["sections"].as_array().unwrap().iter();
        let weigh = |section: &Value| section["layers"].as_array().unwrap().len().max(1) as u64;
        sections
            .map(|section| {
                let kernels = section["kernels"].as_array().unwrap().iter();
                weigh(section) * kernels.map(|kernel| kernel[key].as_u64().unwrap()).sum::<u64>()
            })
            .sum()
    };
    for key in ["read_bytes", "written_bytes", "operations"] {
        assert_eq!(sum(&without, key), without["total"][key].as_u64().unwrap(), "{key}");
    }
    assert!(sum(&without, "read_bytes") < sum(&with_device, "read_bytes"));
    let text = run(&["explain", "--host"]).out;
    assert!(
        text.contains("layers 0-29 (30 alike), each") && text.contains("ffn_gate_up"),
        "{text}"
    );
}

#[test]
fn a_profile_changes_no_answer_and_times_each_kernel() {
    let trace = common::TempFile::new("trace.json", b"");
    let profile = format!("--profile={}", trace.0.display());
    let plain = run(&["generate", FRANCE, "-n", "4"]);
    let ran = run(&["generate", FRANCE, "-n", "4", &profile]);
    assert_eq!((ran.code, &ran.out), (0, &plain.out), "{}", ran.err);
    let calls = |kernel: &str| {
        let row = ran.err.lines().find(|line| line.starts_with(&format!("{kernel} ")));
        row.and_then(|row| row.split_whitespace().nth(1)?.parse::<usize>().ok())
    };
    // One step for the prompt and three after it; two products a layer, and that of the logits.
    let expected = [
        ("embed", 4),
        ("argmax", 4),
        ("attention", 4 * 30),
        ("matmul", 4 * 61),
        ("gate_up", 4 * 30),
    ];
    for (kernel, count) in expected {
        assert_eq!(calls(kernel), Some(count), "{kernel}: {}", ran.err);
    }
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(&trace.0).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert_eq!(
        events.iter().filter(|event| event["tid"] == 2 && event["ph"] == "X").count(),
        4 * 153
    );
    let ends = |event: &Value| event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap();
    assert!(events.iter().filter(|event| event["ph"] == "X").all(|event| ends(event) >= 0.0));

    let ran =
        run(&["bench", "model", "-p", "8", "-n", "2", "--repeat", "1", "--json", "--profile"]);
    assert_eq!((ran.code, &ran.json()["decode_tokens"]), (0, &2.into()), "{}", ran.err);
    for part in ["of roof", "gate_up ", "roofs: "] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
}

#[test]
fn kernels_are_listed_and_shown_in_each_language() {
    let listed = run(&["kernels", "--json"]).json();
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|row| row["kernel"].as_str().unwrap()).collect();
    assert_eq!(names, kaiwu::kernels::names());
    // Names of files are told without their folder, so each is there once.
    let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")).unwrap();
    let folders = folders
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("lib"));
    let folders: Vec<_> = folders.collect();
    for row in listed.as_array().unwrap() {
        let strategies = row["strategies"].as_array().unwrap();
        assert!(strategies.iter().any(|strategy| strategy["here"] == true), "{row}");
        for strategy in strategies {
            let file = format!("{}.wgsl", strategy["shader"].as_str().unwrap());
            assert_eq!(
                folders.iter().filter(|folder| folder.join(&file).is_file()).count(),
                1,
                "{file}"
            );
        }
    }
    let languages = [
        ("wgsl", "fn matvec("),
        ("msl", "kernel void matvec("),
        ("hlsl", "[numthreads("),
        ("glsl", "#version 310 es"),
        ("spirv", "07230203"),
    ];
    let show = ["kernels", "show", "matmul", "--strategy", "matvec", "--target"];
    for (language, part) in languages {
        let ran = run(&[&show[..], &[language]].concat());
        assert!(ran.code == 0 && ran.out.contains(part), "{language}: {ran:?}");
    }
    let file = common::TempFile::new("product.spv", b"");
    let ran = run(&[&show[..], &["spirv", "-o", file.0.to_str().unwrap()]].concat());
    assert_eq!((ran.code, &*ran.out), (0, ""), "{}", ran.err);
    let bare = std::fs::read(&file.0).unwrap();
    assert_eq!(bare[..4], 0x0723_0203u32.to_le_bytes());
    assert!(ran.err.contains("without bounds and loop checks"), "{}", ran.err);
    let ran = run(&[&show[..], &["spirv", "--checked", "-o", file.0.to_str().unwrap()]].concat());
    assert!(ran.err.contains("with bounds and loop checks"), "{}", ran.err);
    assert!(std::fs::read(&file.0).unwrap().len() > bare.len(), "checks take words");
    let ran = run(&["kernels", "show", "chain"]);
    for part in ["fn meet(", "matvec", "fn chain("] {
        assert!(ran.code == 0 && ran.out.contains(part), "{part}: {}", ran.err);
    }
    let ran = run(&["kernels", "show", "chain", "--case", "x"]);
    assert!(ran.code == 2 && ran.err.contains("--case"), "{ran:?}");
    for (arguments, message) in [
        (["nothing", "--case", ""], "matmul"),
        (["matmul", "--case", "[5, 5]"], "q4_1 [36, 256] x 1"),
        (["matmul", "--strategy", "guess"], "matvec_broadcast"),
    ] {
        let ran = run(&[&show[..2], &arguments].concat());
        assert!(ran.code == 2 && ran.err.to_lowercase().contains(message), "{ran:?}");
    }
}

/// A strategy of a kernel on the adapter that is taken.
fn strategy(kernel: &str, name: &str) -> kaiwu::gpu::Strategy {
    let table = common::cases::table(kaiwu::gpu::StorageKind::Buffer);
    let cases = table.cases.iter().filter(|case| case.kernel.name() == kernel);
    let mut all = cases.flat_map(|case| case.kernel.strategies(table.gpu.capabilities()));
    all.find(|strategy| strategy.name == name).expect("the kernel has that strategy")
}

#[test]
fn every_run_says_what_is_quarantined_and_doctor_looks_again() {
    let adapter = &run(&["devices", "--json"]).json()[0];
    let cache = std::env::temp_dir().join(format!("kaiwu-{}-cache", std::process::id()));
    let file = cache.join("kaiwu/quarantine.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let word = |name: &str| adapter[name].as_str().unwrap().to_owned();
    let matvec = strategy("matmul", "matvec");
    let entry = serde_json::json!({
        "adapter": word("name"), "driver": format!("{} {}", word("driver"), word("driver_info")).trim(),
        "kernel": "matmul", "strategy": "matvec", "reason": "y[0] is 2, expected 3",
        "source": kaiwu::gpu::fingerprint(&[matvec]),
    });
    let in_both = ["buffer", "texture"].map(|storage| {
        let mut entry = entry.clone();
        entry["storage"] = storage.into();
        entry
    });
    let contents = serde_json::json!({"about": "", "quarantined": in_both});
    std::fs::write(&file, contents.to_string()).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = kaiwu();
        command.env_remove("KAIWU_IGNORE_QUARANTINE").env("XDG_CACHE_HOME", &cache);
        run_with(command.args(arguments), "")
    };

    let ran = run(&["generate", FRANCE, "-n", "1"]);
    assert_eq!((ran.code, &*ran.out), (0, " Paris\n"));
    let notice = "not using matvec, which is wrong on this adapter (y[0] is 2, expected 3)";
    assert!(ran.err.contains(notice), "{}", ran.err);
    let ran = run(&["generate", FRANCE, "-n", "1", "--json", "--ignore-quarantine"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));

    // Without time for all rows, what was wrong on the others stays so.
    let ran = run(&["doctor", "--json", "--seconds", "1"]);
    let doctor = ran.json();
    assert!(ran.code == 0 && doctor["runs_left_out"].as_u64().unwrap() > 0, "{}", ran.err);
    assert!(ran.err.contains("fit into 1 s") && file.exists(), "{}", ran.err);
    // What checks were compiled into is something else.
    let ran = run(&["doctor", "--checked", "--storage", "buffer", "--seconds", "1"]);
    assert!(ran.err.contains("not remembered") && file.exists(), "{}", ran.err);

    let ran = run(&["doctor", "--json", "--seconds", "3600"]);
    let doctor = ran.json();
    assert!(ran.code == 0 && doctor["runs_left_out"] == 0, "{}", ran.err);
    assert_eq!(doctor["adapter"]["name"], adapter["name"]);
    for roof in ["read_buffer_gb_per_s", "multiply_add_gflop_per_s", "dispatch_us"] {
        assert!(doctor["roofs"][roof].as_f64().unwrap() > 0.0, "{roof}: {doctor}");
    }
    let rows = doctor["kernels"].as_array().unwrap();
    let names: std::collections::BTreeSet<_> =
        rows.iter().map(|row| row["kernel"].as_str().unwrap()).collect();
    assert_eq!(names, kaiwu::kernels::names().into_iter().collect());
    for row in rows {
        assert!(row["cases"].as_u64().unwrap() > 0 && row["cases"] == row["passed"], "{row}");
        assert!(row["max_error"].as_f64().unwrap() < 1e-2 && row["quarantined"] == false, "{row}");
    }
    // All of this adapter's strategies are right, so that nothing is left of the list.
    assert!(!file.exists());
    std::fs::remove_dir_all(&cache).unwrap();
}

#[test]
fn what_was_tuned_is_shown_used_imported_and_forgotten() {
    let cache = std::env::temp_dir().join(format!("kaiwu-{}-tuning", std::process::id()));
    let shared = common::TempFile::new("shared-tuning.json", b"");
    let run = |arguments: &[&str]| {
        let mut command = kaiwu();
        command.env("XDG_CACHE_HOME", &cache);
        run_with(command.args(arguments), "")
    };
    let ran = run(&["tune", "--show"]);
    assert!(ran.code == 0 && ran.out.contains("nothing is remembered"), "{ran:?}");

    let model = common::default_model();
    let ran = run(&["tune", "-m", model.to_str().unwrap(), "--seconds", "3", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found = ran.json();
    let file = cache.join("kaiwu/tuning.json");
    assert_eq!(found["file"], file.to_str().unwrap());
    let shapes = found["shapes"].as_array().unwrap();
    assert!(!shapes.is_empty(), "{found}");
    let shown = run(&["tune", "--show", "--json"]).json();
    assert_eq!(shown["tuned"].as_array().unwrap().len(), shapes.len());

    // Whatever was the fastest: an entry that says otherwise is followed.
    let mut contents: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let down = contents["tuned"].as_array_mut().unwrap();
    let down = down
        .iter_mut()
        .find(|entry| entry["kernel"] == "gate_up")
        .expect("the largest comes first");
    down["strategy"] = "matvec".into();
    down["sizes"] = serde_json::json!({});
    std::fs::write(&shared.0, contents.to_string()).unwrap();
    let ran = run(&["tune", "--forget"]);
    assert!(ran.code == 0 && ran.err.contains("forgotten") && !file.exists(), "{ran:?}");
    let strategy = |more: &[&str]| {
        let explained = run(&[&["explain", "--json"], more].concat()).json();
        let kernels = explained["sections"][1]["kernels"].as_array().unwrap().clone();
        let row = kernels.into_iter().find(|row| row["kernel"] == "gate_up").unwrap();
        row["strategy"].as_str().unwrap().to_owned()
    };
    let usual = strategy(&[]);
    assert_ne!(usual, "matvec");
    let ran = run(&["tune", "--import", shared.0.to_str().unwrap()]);
    assert!(ran.code == 0 && ran.err.contains("shapes imported"), "{ran:?}");
    assert_eq!([strategy(&[]), strategy(&["--no-tuning"])], ["matvec".to_owned(), usual]);
    let ran = run(&["tune", "--import", "/nowhere/at/all"]);
    assert!(ran.code == 2 && ran.err.contains("there is no file"), "{ran:?}");
    std::fs::remove_dir_all(&cache).unwrap();
}

#[test]
fn kernels_are_timed_and_held_against_a_baseline() {
    let bench = |more: &[&str]| run(&[&["bench", "kernels", "--shape", "2x64x96"], more].concat());
    let chart = common::TempFile::new("roofline.svg", b"");
    let ran = bench(&["--json", "--plot", chart.0.to_str().unwrap()]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let mut now = ran.json();
    let results = now["results"].as_array().unwrap();
    assert!(results.iter().any(|row| row["strategy"] == "matmul"), "{now}");
    for row in results {
        assert_eq!(row["operations"], 2 * 2 * 64 * 96);
        let (us, gflop) =
            (row["median_us"].as_f64().unwrap(), row["gflop_per_s"].as_f64().unwrap());
        assert!((gflop * us * 1e3 / f64::from(2 * 2 * 64 * 96) - 1.0).abs() < 1e-6, "{row}");
        assert!(
            row["quarter_us"].as_f64().unwrap() <= us
                && us <= row["three_quarters_us"].as_f64().unwrap()
        );
    }
    let svg = std::fs::read_to_string(&chart.0).unwrap();
    for part in ["<svg ", "GFLOP/s", "operations a byte", "Q4_1 2x64x96 product", "</svg>"] {
        assert!(svg.to_lowercase().contains(&part.to_lowercase()), "{part}: {svg}");
    }

    // Against a baseline ten times as fast, and one ten thousand times as slow.
    let file = common::TempFile::new("baseline.json", b"");
    for (factor, code) in [(0.1, 1), (1e4, 0)] {
        for row in now["results"].as_array_mut().unwrap() {
            for time in ["quarter_us", "median_us", "three_quarters_us"] {
                row[time] = (row[time].as_f64().unwrap() * factor).into();
            }
        }
        std::fs::write(&file.0, now.to_string()).unwrap();
        let ran = bench(&["--csv", "--baseline", file.0.to_str().unwrap(), "--tolerance", "0.5"]);
        assert_eq!(ran.code, code, "{}", ran.err);
        assert!(ran.err.contains("slower than the baseline"), "{}", ran.err);
        assert!(
            ran.out.starts_with("shape,kernel,strategy,median_us,")
                && ran.out.contains(",matmul,matmul,")
        );
    }
    // What is no longer there is no better than what is slower, and another driver or storage is
    // told.
    let mut gone = now.clone();
    let mut row = gone["results"][0].clone();
    row["strategy"] = "matmul_of_old".into();
    gone["results"].as_array_mut().unwrap().push(row);
    gone["adapter"]["driver_info"] = "another".into();
    gone["storage"] = "tape".into();
    std::fs::write(&file.0, gone.to_string()).unwrap();
    let ran = bench(&["--baseline", file.0.to_str().unwrap(), "--tolerance", "0.5"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    for part in ["matmul_of_old) is in the baseline", "another driver", "another storage, tape"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert!(["timestamps", "wall clock"].contains(&now["clock"].as_str().unwrap()), "{now}");
    let other =
        run(&["bench", "kernels", "--shape", "1x32x32", "--baseline", file.0.to_str().unwrap()]);
    assert_eq!(other.code, 1, "nothing in common proves nothing: {}", other.err);
    std::fs::write(&file.0, "{}").unwrap();
    let rows: [(&[&str], i32, &str); 4] = [
        (&["--baseline", file.0.to_str().unwrap()], 1, "kaiwu bench kernels --json"),
        (&["--shape", "1x32"], 2, "MxNxK"),
        (&["--format", "q4_k"], 2, "blocks of 256"),
        (&["--filter", "nothing like it"], 2, "nothing like it"),
    ];
    for (arguments, code, message) in rows {
        let ran = bench(arguments);
        assert!(ran.code == code && ran.err.contains(message), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_shader_of_ones_own_is_bound_and_timed() {
    let saxpy = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/saxpy.wgsl");
    let bench = |more: &[&str]| run(&[&["bench", "kernels", "--wgsl", saxpy], more].concat());
    let small = [
        "--bind",
        "x=4KiB:count",
        "--bind",
        "y=4KiB:count",
        "--set",
        "a=2",
        "--operations",
        "2048",
    ];
    let ran = bench(&[&small[..], &["--bytes", "12292", "--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let row = &ran.json()["results"][0];
    assert_eq!((&row["shape"], &row["kernel"]), (&"saxpy.wgsl 4x1x1".into(), &"saxpy".into()));
    assert_eq!((&row["bytes"], &row["operations"]), (&(3 * 4096 + 4).into(), &2048.into()));
    assert!(row["median_us"].as_f64().unwrap() > 0.0 && row["max_error"].is_null(), "{row}");
    // More than memory gives is said to be so, and what nobody counted has no figure.
    let ran = bench(&["--grid", "10", "--bytes", "8GiB"]);
    assert!(
        ran.code == 0 && ran.err.contains("% of the roof: what it moves stays in a cache"),
        "{ran:?}"
    );
    assert!(ran.err.contains("left 0 without --set: numbers.a"), "{ran:?}");
    let ran = bench(&["--grid", "10", "--json"]);
    let row = &ran.json()["results"][0];
    assert!(
        row["bytes"].is_null() && row["gb_per_s"].is_null() && row["share_of_roof"].is_null(),
        "{row}"
    );
    assert!(ran.err.contains("without --bytes N"), "{ran:?}");
    for (more, message) in [
        (&["--bind", "z=4KiB"][..], "numbers, x, y"),
        (&["--bind", "x=1x"], "no size"),
        (&["--entry", "main"], "--entry saxpy"),
        (&["--filter", "decode"], "cannot be used with"),
        (&["--set", "a=nan"], "no finite number"),
        (&["--set", "LANES=1.5"], "LANES cannot be 1.5: it is an integer"),
        (&["--dump", "numbers=n"], "no storage buffer or texture \"numbers\", but x, y"),
        (&["--plot", "chart.svg"], "needs --bytes"),
        (&["--timeout", "0"], "--timeout"),
    ] {
        let ran = bench(more);
        assert!(ran.code == 2 && ran.err.contains(message), "{more:?}: {ran:?}");
    }
    let ran = run(&["bench", "kernels", "--wgsl", "/nowhere.wgsl"]);
    assert!(ran.code == 1 && ran.err.contains("/nowhere.wgsl"), "{ran:?}");
}

#[test]
fn a_token_on_paper_moves_little_more_than_it_must() {
    let paper = |more: &[&str]| {
        let given =
            ["explain", "--json", "--roofline", "--bandwidth", "1000", "--dispatch-us", "2"];
        run(&[&given, more].concat()).json()["roofline"].clone()
    };
    // Strategies of this adapter, those without subgroups, and what any adapter can run; a short
    // and a long cache.
    for device in [&[][..], &["--no-subgroups"], &["--host"]] {
        for at in ["100", "2000"] {
            let found = paper(&[device, &["--at", at]].concat());
            let number =
                |path: &str| found.pointer(path).and_then(serde_json::Value::as_f64).unwrap();
            let ratio = number("/moved_by_necessary");
            assert!((1.0..1.1).contains(&ratio), "{device:?} at {at}: {found}");
            let moved = number("/cost/moved_bytes");
            assert!((moved / number("/cost/necessary_bytes") - ratio).abs() < 1e-9);
            // Weights of 98 MB but for the tokenizer's part of the file, and the cache.
            assert!((90e6..150e6).contains(&moved), "{found}");
            let seconds = moved / 1e12 + number("/cost/dispatches") * 2e-6;
            assert!((number("/limit/tokens_per_s") * seconds - 1.0).abs() < 1e-6, "{found}");
        }
    }
    assert!(
        paper(&["--at", "2000"])["cost"]["necessary_bytes"].as_u64()
            > paper(&["--at", "100"])["cost"]["necessary_bytes"].as_u64()
    );
    let ran = run(&["explain", "--host", "--roofline"]);
    assert!(ran.code == 2 && ran.err.contains("--bandwidth"), "{ran:?}");
    let ran = run(&["explain", "--roofline", "--bandwidth", "0"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}
