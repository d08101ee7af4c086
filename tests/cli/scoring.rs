//! The commands that judge models, as a script meets them.

use crate::common;
use crate::common::program::{kaiwu, run, run_with};
use crate::common::{TempFile, data, default_model};

const KEYS: [&str; 4] = ["tokens", "scored", "mean_nll", "perplexity"];

#[test]
fn perplexity_gives_the_references_likelihood() {
    let text = data("text.txt");
    let ran = run(&["perplexity", text.to_str().unwrap(), "--json"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let json = ran.json();
    let [tokens, scored, nll, perplexity] = KEYS.map(|key| json[key].as_f64().unwrap());
    let expected = common::golden("SmolLM2-135M-Instruct.Q4_1.json")["text"].clone();
    assert_eq!((tokens, scored), (220.0, 219.0));
    assert!((nll - expected["mean_nll"].as_f64().unwrap()).abs() < 1e-3, "{json}");
    assert!((perplexity - nll.exp()).abs() < 1e-6, "{json}");

    // A byte-order mark is no part of a text, and the rest is as it is.
    let marked = format!("\u{feff}{}", std::fs::read_to_string(&text).unwrap());
    let ran = run_with(kaiwu().args(["perplexity", "--json", "-"]), &marked);
    assert_eq!(
        (&ran.json()["tokens"], &ran.json()["mean_nll"]),
        (&json["tokens"], &json["mean_nll"])
    );

    // The same from standard input, in windows: the first token of each is not scored.
    let input = std::fs::read_to_string(&text).unwrap();
    let ran = run_with(kaiwu().args(["perplexity", "--context", "64", "--json", "-"]), &input);
    let json = ran.json();
    assert_eq!(
        [&json["tokens"], &json["scored"], &json["windows"]].map(|n| n.as_u64()),
        [Some(220), Some(216), Some(4)]
    );
    assert!(json["mean_nll"].as_f64().unwrap() > nll, "less context, less likely: {json}");
    let ran = run_with(kaiwu().args(["perplexity", "--context", "64", "-"]), &input);
    assert!(ran.out.contains("216 scored") && ran.out.contains("nats a token"), "{}", ran.out);
}

#[test]
fn a_model_compared_with_itself_is_the_same() {
    let (model, text) = (default_model(), data("text.txt"));
    let [model, text] = [&model, &text].map(|path| path.to_str().unwrap());
    let ran = run(&["compare", "-m", model, "-m", model, text, "--json"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let json = ran.json();
    assert_eq!(json["a"], json["b"]);
    assert_eq!(json["top1_agreement"], 1.0);
    assert!(json["mean_divergence"].as_f64().unwrap() < 1e-6, "{json}");
}

/// A folder, the file made of it, whose vocabulary has names for what fills it up, and the same
/// quantised while loading.
#[test]
fn a_folder_is_compared_with_its_file() {
    let (folder, text) = (common::data("tiny/llama-f32"), data("text.txt"));
    let out = common::Folder::new("compare-converted");
    let file = out.0.join("converted.gguf");
    let [folder, text, file] = [&folder, &text, &file].map(|path| path.to_str().unwrap());
    let converted = run(&["convert", "-m", folder, "-o", file, "--quantize", "q8_0"]);
    assert_eq!(converted.code, 0, "{}", converted.err);
    let compare = |b: &[&str]| {
        let ran =
            run(&[&["compare", "-m", folder, "-m"], b, &["--context", "64", text, "--json"]]
                .concat());
        assert_eq!((ran.code, &*ran.err), (0, ""));
        ran.json()
    };
    let (by_file, loading) = (compare(&[file]), compare(&[folder, "--quantize", "q8_0"]));
    let divergence = |found: &serde_json::Value| found["mean_divergence"].as_f64().unwrap();
    assert!(divergence(&by_file) > 0.0 && divergence(&by_file) < 0.01, "{by_file}");
    assert!((divergence(&by_file) - divergence(&loading)).abs() < 1e-6, "{by_file}, {loading}");

    let other = default_model();
    let ran = run(&["compare", "-m", folder, "-m", other.to_str().unwrap(), text]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("cannot be compared"), "{}", ran.err);
}

#[test]
fn what_cannot_be_judged_is_said() {
    let binary = TempFile::new("judge-binary", &[0x61, 0xff, 0x62]);
    let short = TempFile::new("judge-short", b"a");
    let empty = TempFile::new("judge-empty", b"");
    let [binary, short, empty] = [&binary, &short, &empty].map(|file| file.0.to_str().unwrap());
    let (model, folder) = (common::data("tiny/llama-f32"), common::data("tiny"));
    let [model, folder] = [&model, &folder].map(|path| path.to_str().unwrap());
    let rows: [(&[&str], i32, &str); 14] = [
        (&["perplexity", folder], 1, "cannot read"),
        (&["perplexity", empty], 2, "leaves nothing to score"),
        (&["perplexity", "-m", folder, short], 1, "config.json"),
        (&["compare", "-m", model, "-m", model, folder], 1, "cannot read"),
        (&["compare", "-m", model, "-m", model, empty], 2, "leaves nothing to score"),
        (&["compare", "-m", model, "-m", model, short], 2, "leaves nothing to score"),
        (&["compare", "-m", model, "-m", model, binary], 2, "is not UTF-8 (byte 1)"),
        (&["perplexity", "/nowhere/text"], 1, "cannot read /nowhere/text"),
        (&["perplexity", binary], 2, "is not UTF-8 (byte 1)"),
        (&["perplexity", short], 2, "leaves nothing to score"),
        (&["perplexity", short, "--context", "1"], 2, "1 is not in 2.."),
        (&["perplexity", short, "--context", "9000"], 2, "8192"),
        (&["compare", short], 2, "--model"),
        (&["compare", "-m", "a", short], 2, "-m is given 1 times"),
    ];
    for (arguments, code, message) in rows {
        let ran = run(arguments);
        assert_eq!((ran.code, &*ran.out), (code, ""), "{arguments:?}: {}", ran.err);
        assert!(
            ran.err.starts_with("kaiwu: ") && ran.err.contains(message),
            "{arguments:?}: {}",
            ran.err
        );
    }
}
