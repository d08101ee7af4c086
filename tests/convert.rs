//! Hugging Face folders written as GGUF: the same logits, the same tokens, and an error where GGUF has no words.

mod common;

use common::TempFile;
use kaiwu::format::{Folder, Gguf, NewTensor, Source, write_gguf};
use kaiwu::gpu::Place;
use kaiwu::model::{Export, Model, Runner};
use kaiwu::text::{ChatTemplate, Message, Tokenizer};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)
}

fn words(name: &str, tensor: &str) -> Vec<u32> {
    let bytes = std::fs::read(folder(name).join("expected.safetensors")).unwrap();
    bytemuck::pod_collect_to_vec(SafeTensors::deserialize(&bytes).unwrap().tensor(tensor).unwrap().data())
}

/// A folder's model as a GGUF file without a tokenizer.
fn written(name: &str) -> kaiwu::Result<TempFile> {
    let export = Export::new(&Arc::new(Folder::open(&folder(name))?))?;
    let file = TempFile::new(&format!("convert-{name}.gguf"), &[]);
    let tensors = export.tensors();
    let new = tensors.iter().map(|tensor| NewTensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype: tensor.dtype,
    });
    let new: Vec<_> = new.collect();
    write_gguf(&file.0, &export.metadata, &new, |index| export.data(index, tensors[index].dtype))?;
    Ok(file)
}

#[test]
fn files_give_the_logits_of_their_folders() {
    let names = [
        "llama-f32",
        "llama-bf16-sharded",
        "llama3rope-f16",
        "mistral-f16",
        "qwen2-bf16",
        "qwen3-bf16",
        "gemma3-six",
        "phi3-bf16",
        "phi3-long-partial",
        "gpt2-f32",
        "qwen3moe-renormalised",
    ];
    let mut failures = vec![];
    for name in names {
        let file = written(name).unwrap_or_else(|error| panic!("{error}"));
        let source = Source::Gguf(Arc::new(Gguf::open(&file.0).unwrap()));
        let model = Model::load(&Place::Host, &source, |_| ()).unwrap_or_else(|error| panic!("{error}"));
        let (input, logits) = (words(name, "input_ids"), words(name, "logits"));
        let vocabulary = logits.len() / input.len();
        let mut runner = Runner::new(&Place::Host, &Arc::new(model), None, 16).unwrap();
        let mut worst = 0.0f32;
        let each = |token: usize, found: &[f32]| {
            for (found, &wanted) in found.iter().zip(&logits[token * vocabulary..][..vocabulary]) {
                let wanted = f32::from_bits(wanted);
                let share = (found - wanted).abs() / (2e-3 + 1e-3 * wanted.abs());
                worst = worst.max(if share.is_nan() { f32::INFINITY } else { share });
            }
            Ok(())
        };
        runner.all_logits(&input, each).unwrap();
        eprintln!("{name}: {worst:.3} of what is allowed");
        if worst > 1.0 {
            failures.push(format!("{name}: {worst} times too far"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_gguf_cannot_say_is_an_error() {
    let rows = [
        ("gemma3-bf16", "no regular order"),
        ("gemma3-caps", "attention is scaled by"),
        ("llama-linear-bias", "attention has biases"),
        ("qwen2-yarn-window", "some layers see a window only"),
        ("qwen3moe-every-second", "shares of the chosen experts"),
    ];
    for (name, part) in rows {
        let error = written(name).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("cannot say"), "{name}: {error}");
    }
}

fn convert(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_kaiwu")).arg("convert").args(arguments).output().unwrap()
}

#[test]
fn tokenizers_and_templates_come_along() {
    let file = TempFile::new("convert-whole.gguf", &[]);
    let model = folder("llama-f32");
    let ran = convert(&["-m", model.to_str().unwrap(), "-o", file.0.to_str().unwrap(), "--json"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let gguf = Source::open(&file.0).unwrap();
    let folder = Source::open(&model).unwrap();
    let (written, original) =
        (Tokenizer::from_source(&gguf).unwrap(), Tokenizer::from_source(&folder).unwrap());
    assert_eq!((written.bos(), written.eos()), (original.bos(), original.eos()));
    for text in [
        "the moment of insight: é 猫 <|im_end|>",
        "",
        " one  two\n\n3's",
        "memorises and then it understands.",
    ] {
        assert_eq!(written.encode(text, true).unwrap(), original.encode(text, true).unwrap(), "{text:?}");
        assert_eq!(written.encode_plain(text).unwrap(), original.encode_plain(text).unwrap(), "{text:?}");
    }
    let messages = [Message::new("user", "one two")];
    let prompt = |source: &Source, tokenizer: &Tokenizer| {
        ChatTemplate::from_source(source, tokenizer).unwrap().unwrap().render(&messages, true).unwrap()
    };
    assert_eq!(prompt(&gguf, &written), prompt(&folder, &original));
}

#[test]
fn a_folder_without_a_tokenizer_is_an_error_unless_none_is_wanted() {
    let file = TempFile::new("convert-without.gguf", &[]);
    let (model, to) = (folder("gemma3-six"), file.0.to_str().unwrap());
    let ran = convert(&["-m", model.to_str().unwrap(), "-o", to]);
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && error.contains("no tokenizer.json"), "{error}");
    let ran = convert(&["-m", model.to_str().unwrap(), "-o", to, "--no-tokenizer", "--quantize", "q8_0"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(Gguf::open(&file.0).unwrap().str("tokenizer.ggml.model").unwrap(), "no_vocab");
}

/// A folder with the weights of `llama-f32` and this tokenizer, without a template.
fn with_tokenizer(name: &str, tokenizer: &str) -> common::Folder {
    let made = common::Folder::new(name);
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(folder("llama-f32").join(file), made.0.join(file)).unwrap();
    }
    std::fs::write(made.0.join("tokenizer.json"), tokenizer).unwrap();
    let special = r#"{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}"#;
    std::fs::write(made.0.join("tokenizer_config.json"), special).unwrap();
    made
}

fn sentencepiece(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sentencepiece");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn sentencepiece_comes_along() {
    let made = with_tokenizer("convert-pieces", &sentencepiece("tokenizer.json"));
    let file = TempFile::new("convert-pieces.gguf", &[]);
    let ran = convert(&["-m", made.0.to_str().unwrap(), "-o", file.0.to_str().unwrap()]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let gguf = Source::open(&file.0).unwrap();
    let (written, original) = (
        Tokenizer::from_source(&gguf).unwrap(),
        Tokenizer::from_source(&Source::open(&made.0).unwrap()).unwrap(),
    );
    let rows: Vec<serde_json::Value> = serde_json::from_str(&sentencepiece("ids.json")).unwrap();
    for row in &rows {
        let text = row["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
        assert_eq!(written.encode(text, true).unwrap(), ids, "{text:?}");
        assert_eq!(original.encode(text, true).unwrap(), ids, "{text:?}");
    }
    // And whatever else of these parts: letters that merge, spaces, what has no piece, what looks like a token.
    let parts =
        ["t", "h", "e", " ", "in", "an", "s", "é", "猫", "<s>", "<extra>", "\n", "\u{2581}", "<0x41>"];
    let mut state = 1u32;
    for _ in 0..2000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text += parts[(state >> 16) as usize % parts.len()];
        }
        assert_eq!(written.encode(&text, false).unwrap(), original.encode(&text, false).unwrap(), "{text:?}");
    }
}

#[test]
fn what_is_no_sentencepiece_is_an_error() {
    let rows: [(&str, &str, &str); 7] = [
        (r#""Prepend""#, r#""NFKC""#, "NFKC"),
        (r#""dropout": null"#, r#""dropout": 0.5"#, "dropout"),
        (r#""ignore_merges": false"#, r#""ignore_merges": true"#, "whole words"),
        (r#""rstrip": false"#, r#""rstrip": true"#, "spaces beside"),
        (r#""<0x41>""#, r#""<0x4Z>""#, "<0x41>"),
        (r#""content": "▁""#, r#""content": "_""#, "Replace"),
        // A merge that is missing, another in its place.
        ("\"▁t\",\n\"he\"", "\"▁\",\n\"t\"", "not those of a SentencePiece model"),
    ];
    let json = sentencepiece("tokenizer.json");
    for (from, to, message) in rows {
        let spoilt = json.replacen(from, to, 1);
        assert_ne!(spoilt, json, "{from}");
        let made = with_tokenizer("convert-spoilt", &spoilt);
        let file = TempFile::new("convert-spoilt.gguf", &[]);
        let ran = convert(&["-m", made.0.to_str().unwrap(), "-o", file.0.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && error.contains(message), "{from}: {error}");
    }
}
