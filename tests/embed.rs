//! Texts as vectors, against transformers: see `tests/data/README.md`.

mod common;

use common::program::{kaiwu, run, run_with};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn vectors_are_the_references() {
    let model = common::data("tiny/llama-f32");
    let model = model.to_str().unwrap();
    let expected = common::golden("tiny-embeddings.json");
    let expected = expected.as_array().unwrap();
    let texts: Vec<&str> = expected.iter().map(|row| row["text"].as_str().unwrap()).collect();
    for (pooling, reference) in [("mean", false), ("last", false), ("last", true)] {
        let mut arguments = vec!["embed", "-m", model, "--pooling", pooling, "--json"];
        if reference {
            arguments.push("--reference");
        }
        let ran = run(&[arguments, texts.clone()].concat());
        assert_eq!((ran.code, &*ran.err), (0, ""));
        let json = ran.json();
        assert_eq!(
            (&json["pooling"], json["embeddings"].as_array().unwrap().len()),
            (&pooling.into(), texts.len())
        );
        for (row, found) in expected.iter().zip(json["embeddings"].as_array().unwrap()) {
            assert_eq!(found["tokens"], row["tokens"]);
            let (found, row) = (numbers(&found["embedding"]), numbers(&row[pooling]));
            assert_eq!((json["dimensions"].as_u64().unwrap() as usize, found.len()), (row.len(), row.len()));
            let worst = found.iter().zip(&row).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            // The cache keeps keys and values as halves.
            assert!(worst < 1e-3, "{pooling}, reference {reference}: parts by {worst}");
            let length: f64 = found.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5, "length {length}");
        }
    }
}

#[test]
fn what_has_no_vector_is_an_error() {
    let long = "word ".repeat(9000);
    for (arguments, message) in [
        (["embed", "", "--json"], "no tokens"),
        (["embed", &long, "--json"], "made for 8192"),
        (["embed", "--pooling", "max"], "mean"),
    ] {
        let ran = run(&arguments);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(message), "{}", ran.err);
    }
    // Without --json, an array a line.
    let ran = run(&["embed", "a cat", "a kitten"]);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (a, b) = (numbers(&lines[0]), numbers(&lines[1]));
    let cosine: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    assert!(lines.len() == 2 && cosine > 0.5 && cosine < 0.9999, "{cosine}");
}

/// Texts of nothing but spaces, of one letter, of signs without a word, and forty at once: each has the vector that it has alone.
#[test]
fn odd_texts_and_many_have_vectors_too() {
    let model = common::data("tiny/llama-f32");
    let model = model.to_str().unwrap();
    let many: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
    let odd = [" ", "\n\n\t", "a", "é 猫 🙂", "<|im_end|>", "a cat", " a cat ", "\u{200b}"];
    let texts: Vec<&str> = odd.into_iter().chain(many.iter().map(String::as_str)).collect();
    let embed = |texts: &[&str]| run(&[&["embed", "-m", model, "--json"], texts].concat());
    let ran = embed(&texts);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let all = ran.json()["embeddings"].as_array().unwrap().clone();
    assert_eq!(all.len(), texts.len());
    for (text, found) in texts.iter().zip(&all) {
        assert!(found["tokens"].as_u64().unwrap() > 0, "{text:?}");
        let length: f64 = numbers(&found["embedding"]).iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{text:?}: length {length}");
    }
    for at in (0..odd.len()).chain([texts.len() - 1]) {
        let alone = embed(&[texts[at]]).json()["embeddings"][0].clone();
        assert_eq!(alone["tokens"], all[at]["tokens"], "{:?}", texts[at]);
        let [a, b] = [&alone, &all[at]].map(|one| numbers(&one["embedding"]));
        let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "{:?} parts by {worst}", texts[at]);
    }
    // One without tokens, or one that is too long, and there is no vector of any.
    for (text, message) in [
        ("", "text 2, \"\": it has no tokens"),
        (&*"word ".repeat(2000), "text 2, \"word word word word word…\": it has "),
    ] {
        let ran = embed(&["a cat", text, "a dog"]);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(message), "{}", ran.err);
        let lines = format!("a cat\n{text}\na dog\n");
        let arguments = ["embed", "-m", model, "--json", "-f", "-"];
        let ran = run_with(kaiwu().args(arguments), &lines);
        assert!(ran.code == 2 && ran.err.contains("standard input, line 2: it has "), "{}", ran.err);
    }
    // A text a line, in their order.
    let lines = run_with(kaiwu().args(["embed", "-m", model, "-f", "-"]), "\u{feff}a cat\r\na dog\n");
    assert_eq!((lines.code, lines.out), (0, run(&["embed", "-m", model, "a cat", "a dog"]).out));
}
