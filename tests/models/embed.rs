//! Texts as vectors, against transformers: see `tests/data/README.md`.

use crate::common;
use crate::common::program::{kaiwu, run, run_with};
use crate::common::{Folder, TempFile, data};
use kaiwu::format::{Gguf, NewTensor, Source, Value as Entry, write_gguf};
use kaiwu::model::{Export, Pooling};
use safetensors::tensor::TensorView;
use safetensors::{SafeTensors, serialize_to_file};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

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
    let rows = ["mean", "first", "last", "max", "weighted"].map(|pooling| (pooling, false));
    for (pooling, reference) in rows.into_iter().chain([("last", true)]) {
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
            assert_eq!(
                (json["dimensions"].as_u64().unwrap() as usize, found.len()),
                (row.len(), row.len())
            );
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
        (["embed", "--pooling", "least"], "mean"),
    ] {
        let ran = run(&arguments);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(message), "{}", ran.err);
    }
    // Without --json, an array a line.
    let ran = run(&["embed", "a cat", "a kitten"]);
    let lines: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (a, b) = (numbers(&lines[0]), numbers(&lines[1]));
    let cosine: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    assert!(lines.len() == 2 && cosine > 0.5 && cosine < 0.9999, "{cosine}");
}

/// Texts of nothing but spaces, of one letter, of signs without a word, and forty at once: each has
/// the vector that it has alone.
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
        assert!(
            ran.code == 2 && ran.err.contains("standard input, line 2: it has "),
            "{}",
            ran.err
        );
    }
    // A text a line, in their order.
    let lines =
        run_with(kaiwu().args(["embed", "-m", model, "-f", "-"]), "\u{feff}a cat\r\na dog\n");
    assert_eq!((lines.code, lines.out), (0, run(&["embed", "-m", model, "a cat", "a dog"]).out));
}

/// A copy of a tiny model.
fn copied(of: &str, test: &str) -> Folder {
    let folder = Folder::new(&format!("embed-{test}"));
    for file in std::fs::read_dir(data("tiny").join(of)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.0.join(file.file_name())).unwrap();
    }
    folder
}

/// What sentence-transformers writes beside a model that pools so.
fn pool(folder: &Folder, settings: &Value) {
    let step = |at: usize, path: &str, kind: &str| json!({ "idx": at, "name": at.to_string(), "path": path, "type": format!("sentence_transformers.models.{kind}") });
    let steps = [
        step(0, "", "Transformer"),
        step(1, "1_Pooling", "Pooling"),
        step(2, "2_Normalize", "Normalize"),
    ];
    folder.write("modules.json", &json!(steps).to_string());
    std::fs::create_dir_all(folder.0.join("1_Pooling")).unwrap();
    folder.write("1_Pooling/config.json", &settings.to_string());
}

/// How far the vector of the first text is from the reference at most, and how it was pooled.
#[track_caller]
fn first_vector(model: &str, options: &[&str], pooling: &str) -> (f64, Value) {
    let expected = common::golden("tiny-embeddings.json");
    let text = expected[0]["text"].as_str().unwrap();
    let ran = run(&[&["embed", "-m", model, "--json"], options, &[text]].concat());
    assert_eq!((ran.code, &*ran.err), (0, ""), "{options:?}");
    let (found, row) =
        (numbers(&ran.json()["embeddings"][0]["embedding"]), numbers(&expected[0][pooling]));
    let worst = found.iter().zip(&row).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    (worst, ran.json()["pooling"].clone())
}

#[test]
fn a_folder_says_how_it_pools() {
    let folder = copied("llama-f32", "declared");
    let model = folder.0.to_str().unwrap().to_owned();
    let declared = || Pooling::declared(&Source::open(&folder.0).unwrap());
    assert_eq!(declared().unwrap(), None);
    let rows = [
        (
            json!({ "pooling_mode_mean_tokens": false, "pooling_mode_lasttoken": true }),
            Pooling::Last,
        ),
        (
            json!({ "pooling_mode_mean_tokens": false, "pooling_mode_cls_token": true }),
            Pooling::First,
        ),
        (
            json!({ "pooling_mode_mean_tokens": false, "pooling_mode_max_tokens": true }),
            Pooling::Max,
        ),
        (json!({ "pooling_mode": "weightedmean", "include_prompt": true }), Pooling::Weighted),
        (json!({ "word_embedding_dimension": 64 }), Pooling::Mean),
    ];
    for (settings, pooling) in rows {
        pool(&folder, &settings);
        assert_eq!(declared().unwrap().unwrap().pooling, pooling, "{settings}");
        let (worst, named) = first_vector(&model, &[], pooling.name());
        assert!(worst < 1e-3 && named == pooling.name(), "{settings}: {named}, parts by {worst}");
    }
    // The option overrides it, and inspect says it.
    pool(&folder, &json!({ "pooling_mode": "lasttoken" }));
    let (worst, named) = first_vector(&model, &["--pooling", "mean"], "mean");
    assert!(worst < 1e-3 && named == "mean", "{named}, parts by {worst}");
    let converted = TempFile::new("embed-converted.gguf", b"");
    let path = converted.0.to_str().unwrap();
    assert_eq!(run(&["convert", "-m", &model, "-o", path]).code, 0);
    let (worst, named) = first_vector(path, &[], "last");
    assert!(worst < 1e-3 && named == "last", "{named}, parts by {worst}");
    assert_eq!(run(&["inspect", &model, "--json"]).json()["pooling"], "last");
    assert!(run(&["inspect", &model]).out.contains("last, says 1_Pooling/config.json"));

    // What else becomes of vectors is not passed over.
    let dense = json!([{ "idx": 0, "name": "0", "path": "2_Dense", "type": "sentence_transformers.models.Dense" }]);
    let rows = [
        ("modules.json", dense.to_string(), "sentence_transformers.models.Dense"),
        ("modules.json", "{}".into(), "should be a list"),
        (
            "modules.json",
            json!([{ "path": "../1_Pooling", "type": "a.Pooling" }]).to_string(),
            "no folder within",
        ),
        (
            "modules.json",
            json!([{ "path": "3_Pooling", "type": "a.Pooling" }]).to_string(),
            "has no 3_Pooling",
        ),
        (
            "1_Pooling/config.json",
            json!({ "pooling_mode": "magic" }).to_string(),
            "names no pooling",
        ),
        (
            "1_Pooling/config.json",
            json!({ "pooling_mode_lasttoken": true }).to_string(),
            "several vectors",
        ),
    ];
    for (file, text, message) in rows {
        pool(&folder, &json!({ "pooling_mode": "lasttoken" }));
        folder.write(file, &text);
        let ran = run(&["embed", "-m", &model, "a"]);
        assert!(ran.code == 1 && ran.err.contains(message), "{file} {text}: {}", ran.err);
        assert_eq!(
            run(&["embed", "-m", &model, "--pooling", "last", "a"]).code,
            0,
            "{file} {text}"
        );
    }
}

#[test]
fn a_gguf_file_says_how_it_pools() {
    let folder = copied("llama-f32", "gguf");
    let plain = TempFile::new("embed-plain.gguf", b"");
    let path = plain.0.to_str().unwrap();
    let ran = run(&["convert", "-m", folder.0.to_str().unwrap(), "-o", path]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let gguf = Gguf::open(&plain.0).unwrap();
    let tensors: Vec<NewTensor> = gguf
        .tensors()
        .iter()
        .map(|tensor| NewTensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: tensor.dtype,
        })
        .collect();
    let file = TempFile::new("embed-pooled.gguf", b"");
    let model = file.0.to_str().unwrap();
    for (number, pooling) in [(0, "mean"), (1, "mean"), (2, "first"), (3, "last")] {
        let key = [("llama.pooling_type".to_owned(), Entry::U32(number))];
        let metadata = [gguf.metadata(), &key].concat();
        let data = |index: usize| Ok(gguf.data(&gguf.tensors()[index]).to_vec());
        write_gguf(&file.0, &metadata, &tensors, data).unwrap();
        let (worst, named) = first_vector(model, &[], pooling);
        assert!(worst < 1e-3 && named == pooling, "{number}: {named}, parts by {worst}");
    }
    let key = [("llama.pooling_type".to_owned(), Entry::U32(4))];
    let metadata = [gguf.metadata(), &key].concat();
    write_gguf(&file.0, &metadata, &tensors, |index| {
        Ok(gguf.data(&gguf.tensors()[index]).to_vec())
    })
    .unwrap();
    let ran = run(&["embed", "-m", model, "a"]);
    assert!(
        ran.code == 1 && ran.err.contains("llama.pooling_type = 4: the model ranks texts"),
        "{}",
        ran.err
    );
}

/// As `AutoModel` saves a model, without the part that makes logits of hidden states.
#[test]
fn vectors_need_no_output_matrix() {
    let folder = copied("llama-f32", "headless");
    let weights = folder.0.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let kept = stored.iter().filter(|(name, _)| *name != "lm_head.weight");
    let tensors: HashMap<String, TensorView> = kept
        .map(|(name, tensor)| (name.strip_prefix("model.").unwrap().to_owned(), tensor))
        .collect();
    assert_eq!(tensors.len() + 1, stored.len());
    serialize_to_file(&tensors, None, &weights).unwrap();
    let model = folder.0.to_str().unwrap();
    let (worst, _) = first_vector(model, &[], "mean");
    assert!(worst < 1e-3, "parts by {worst}");
    let (worst, _) = first_vector(model, &["--reference"], "mean");
    assert!(worst < 1e-3, "parts by {worst}");
    let ran = run(&["generate", "-m", model, "-n", "1", "a"]);
    assert!(
        ran.code == 1 && ran.err.contains("has no output matrix (lm_head.weight)"),
        "{}",
        ran.err
    );
    // Nor is it written as if it were whole.
    assert!(Export::new(&Arc::new(kaiwu::format::Folder::open(&folder.0).unwrap())).is_err());
}
