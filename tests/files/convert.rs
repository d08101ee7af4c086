//! Hugging Face folders written as GGUF: the same logits, the same tokens, and an error where GGUF
//! has no words.

use crate::common;
use crate::common::TempFile;
use crate::common::program::{Ran, kaiwu, run, run_with};
use crate::common::tiny;
use kaiwu::format::{Folder, Gguf, Lora, NewTensor, Source, Value, write_gguf};
use kaiwu::generate::recommended;
use kaiwu::gpu::Device;
use kaiwu::model::{Export, Runner, Weights};
use kaiwu::text::{ChatTemplate, Message, Tokenizer};
use safetensors::SafeTensors;
use std::path::Path;
use std::sync::Arc;

fn words(name: &str, tensor: &str) -> Vec<u32> {
    let bytes = std::fs::read(tiny(name).join("expected.safetensors")).unwrap();
    bytemuck::pod_collect_to_vec(
        SafeTensors::deserialize(&bytes).unwrap().tensor(tensor).unwrap().data(),
    )
}

/// A folder's model as a GGUF file without a tokenizer.
fn written(name: &str) -> kaiwu::Result<TempFile> {
    let export = Export::new(&Arc::new(Folder::open(&tiny(name))?))?;
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
        "llama-linear-bias",
        "llama3rope-f16",
        "mistral-f16",
        "qwen2-bf16",
        "qwen3-bf16",
        "gemma3-six",
        "phi3-bf16",
        "phi3-long-partial",
        "phi3-long-short",
        "gpt2-f32",
        "qwen3moe-renormalised",
    ];
    let mut failures = vec![];
    for name in names {
        let file = written(name).unwrap_or_else(|error| panic!("{error}"));
        let source = Source::Gguf(Arc::new(Gguf::open(&file.0).unwrap()));
        let model = Weights::load(&Device::Reference, &source, |_| ())
            .unwrap_or_else(|error| panic!("{error}"));
        let (input, logits) = (words(name, "input_ids"), words(name, "logits"));
        let vocabulary = logits.len() / input.len();
        let mut runner = Runner::new(&Device::Reference, &Arc::new(model), None, 16).unwrap();
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
        ("llama-mlp-bias", "feed-forward parts have biases"),
        ("gpt2-exact", "attention is scaled by the layer's number"),
        ("qwen2-yarn-window", "some layers see a window only"),
        ("qwen3moe-every-second", "shares of the chosen experts"),
    ];
    for (name, part) in rows {
        let error = written(name).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("cannot say"), "{name}: {error}");
    }
}

/// The tensors of a file, each with its bytes.
fn tensors_of(gguf: &Gguf) -> Vec<(NewTensor, Vec<u8>)> {
    let all = gguf.tensors().iter().map(|tensor| {
        let new = NewTensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: tensor.dtype,
        };
        (new, gguf.data(tensor).to_vec())
    });
    all.collect()
}

fn write(path: &Path, metadata: &[(String, Value)], tensors: &[(NewTensor, Vec<u8>)]) {
    let new: Vec<_> = tensors.iter().map(|(new, _)| new.clone()).collect();
    write_gguf(path, metadata, &new, |index| Ok(tensors[index].1.clone())).unwrap();
}

fn last_logits(path: &Path) -> Vec<f32> {
    let model = Weights::load(&Device::Reference, Source::open(path).unwrap(), |_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    let mut runner = Runner::new(&Device::Reference, &Arc::new(model), None, 16).unwrap();
    runner.prefill(&[3, 100, 120, 60, 61], |_| ()).unwrap();
    runner.last_logits().unwrap()
}

#[test]
fn biases_that_only_some_layers_have_are_zeros_in_the_others() {
    let file = written("llama-linear-bias").unwrap();
    let gguf = Gguf::open(&file.0).unwrap();
    let all = tensors_of(&gguf);
    let dropped = |(new, _): &&(NewTensor, Vec<u8>)| {
        ["blk.0.attn_q.bias", "blk.1.attn_output.bias", "blk.2.attn_v.bias"].contains(&&*new.name)
    };
    assert_eq!(all.iter().filter(dropped).count(), 3);
    let without: Vec<_> = all.iter().filter(|tensor| !dropped(tensor)).cloned().collect();
    let zeros = all.iter().map(|tensor| match dropped(&tensor) {
        true => (tensor.0.clone(), vec![0; tensor.1.len()]),
        false => tensor.clone(),
    });
    let [some, zeroed] =
        ["some", "zeroed"].map(|name| TempFile::new(&format!("convert-bias-{name}.gguf"), &[]));
    write(&some.0, gguf.metadata(), &without);
    write(&zeroed.0, gguf.metadata(), &zeros.collect::<Vec<_>>());
    assert_eq!(last_logits(&some.0), last_logits(&zeroed.0));
    assert_ne!(last_logits(&some.0), last_logits(&file.0));
}

#[test]
fn a_model_in_parts_is_inspected_and_converted_as_one() {
    let file = written("llama-f32").unwrap();
    let gguf = Gguf::open(&file.0).unwrap();
    let folder = common::Folder::new("convert-parts");
    let path = |part: usize| folder.0.join(format!("m-{:05}-of-00003.gguf", part + 1));
    let all = tensors_of(&gguf);
    for part in 0..3 {
        let mut metadata = if part == 0 { gguf.metadata().to_vec() } else { vec![] };
        metadata.push(("split.no".into(), Value::U16(part as u16)));
        metadata.push(("split.count".into(), Value::U16(3)));
        let own: Vec<_> = all.iter().skip(part).step_by(3).cloned().collect();
        write(&path(part), &metadata, &own);
    }
    assert_eq!(last_logits(&path(1)), last_logits(&file.0));
    let inspected = run(&["inspect", path(2).to_str().unwrap()]);
    let said = inspected.out;
    assert!(
        said.contains("GGUF version 3 in 3 files") && said.contains("on the device, with"),
        "{said}"
    );
    // None of its own files is replaced, nor one of a folder's.
    let other = path(2);
    let own = convert(&[
        "-m",
        path(0).to_str().unwrap(),
        "-o",
        other.to_str().unwrap(),
        "--quantize",
        "f16",
    ]);
    let copied = folder.0.join("llama");
    std::fs::create_dir(&copied).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        std::fs::copy(common::data("tiny/llama-f32").join(name), copied.join(name)).unwrap();
    }
    let weights = copied.join("model.safetensors");
    let of_folder = convert(&["-m", copied.to_str().unwrap(), "-o", weights.to_str().unwrap()]);
    for ran in [own, of_folder] {
        let said = ran.err;
        assert!(ran.code == 2 && said.contains("is a file of the model itself"), "{said}");
    }
    assert!(Gguf::open(&path(0)).is_ok() && Folder::open(&copied).is_ok());
    let whole = folder.0.join("whole.gguf");
    let ran = convert(&[
        "-m",
        path(0).to_str().unwrap(),
        "-o",
        whole.to_str().unwrap(),
        "--quantize",
        "f16",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let converted = Gguf::open(&whole).unwrap();
    assert!(converted.metadata().iter().all(|(key, _)| !key.starts_with("split.")));
    assert_eq!(converted.tensors().len(), gguf.tensors().len());
    std::fs::remove_file(path(1)).unwrap();
    let ran = run(&["inspect", path(0).to_str().unwrap()]);
    let said = ran.err;
    assert!(ran.code != 0 && said.contains("m-00002-of-00003.gguf is missing"), "{said}");
}

fn convert(arguments: &[&str]) -> Ran {
    run_with(kaiwu().arg("convert").args(arguments), "")
}

#[test]
fn tokenizers_and_templates_come_along() {
    let file = TempFile::new("convert-whole.gguf", &[]);
    let model = tiny("llama-f32");
    let ran = convert(&["-m", model.to_str().unwrap(), "-o", file.0.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
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
        assert_eq!(
            written.encode(text, true).unwrap(),
            original.encode(text, true).unwrap(),
            "{text:?}"
        );
        assert_eq!(
            written.encode_plain(text).unwrap(),
            original.encode_plain(text).unwrap(),
            "{text:?}"
        );
    }
    let messages = [Message::new("user", "one two")];
    let prompt = |source: &Source, tokenizer: &Tokenizer| {
        ChatTemplate::from_source(source, tokenizer)
            .unwrap()
            .unwrap()
            .render(&messages, true)
            .unwrap()
    };
    assert_eq!(prompt(&gguf, &written), prompt(&folder, &original));
}

#[test]
fn a_folder_without_a_tokenizer_is_an_error_unless_none_is_wanted() {
    let file = TempFile::new("convert-without.gguf", &[]);
    let (model, to) = (tiny("gemma3-six"), file.0.to_str().unwrap());
    let ran = convert(&["-m", model.to_str().unwrap(), "-o", to]);
    let error = ran.err;
    assert!(ran.code != 0 && error.contains("no tokenizer.json"), "{error}");
    let ran =
        convert(&["-m", model.to_str().unwrap(), "-o", to, "--no-tokenizer", "--quantize", "q8_0"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(Gguf::open(&file.0).unwrap().str("tokenizer.ggml.model").unwrap(), "no_vocab");
}

/// A folder with the weights of `llama-f32` and this tokenizer, without a template.
fn with_tokenizer(name: &str, tokenizer: &str) -> common::Folder {
    let made = common::Folder::new(name);
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(tiny("llama-f32").join(file), made.0.join(file)).unwrap();
    }
    std::fs::write(made.0.join("tokenizer.json"), tokenizer).unwrap();
    let special = r#"{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}"#;
    std::fs::write(made.0.join("tokenizer_config.json"), special).unwrap();
    made
}

#[test]
fn what_the_makers_recommend_comes_along() {
    let json = std::fs::read_to_string(tiny("llama-f32").join("tokenizer.json")).unwrap();
    let rows = [
        r#"{"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.1}"#,
        r#"{"do_sample": true, "repetition_penalty": 1.1}"#,
        r#"{"repetition_penalty": 1.1}"#,
        r#"{"do_sample": false}"#,
    ];
    for row in rows {
        let made = with_tokenizer("convert-recommended", &json);
        std::fs::write(made.0.join("generation_config.json"), row).unwrap();
        let file = TempFile::new("convert-recommended.gguf", &[]);
        let ran = convert(&["-m", made.0.to_str().unwrap(), "-o", file.0.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let [written, original] =
            [&file.0, &made.0].map(|path| recommended(&Source::open(path).unwrap()).unwrap());
        assert_eq!(written, original, "{row}");
        assert_eq!(written.is_some(), row != rows[3], "{row}");
    }
}

#[test]
fn all_tokens_that_end_an_answer_come_along_or_are_named() {
    let json = std::fs::read_to_string(tiny("llama-f32").join("tokenizer.json")).unwrap();
    // Ids of generation_config.json, and the words of standard error about what is lost. 2 is
    // <|im_end|>, known by name.
    let rows = [
        ("[60]", None),
        ("[60, 61]", None),
        ("[60, 61, 62]", None),
        ("[60, 61, 2, 62]", None),
        ("[2, 60, 61, 62]", Some("(62)")),
        ("[60, 61, 62, 63]", Some("(63)")),
    ];
    for (ends, lost) in rows {
        let made = with_tokenizer("convert-ends", &json);
        std::fs::write(
            made.0.join("generation_config.json"),
            format!("{{\"eos_token_id\": {ends}}}"),
        )
        .unwrap();
        let file = TempFile::new("convert-ends.gguf", &[]);
        let ran = convert(&["-m", made.0.to_str().unwrap(), "-o", file.0.to_str().unwrap()]);
        let said = ran.err;
        assert!(ran.code == 0, "{said}");
        let [written, original] = [&file.0, &made.0]
            .map(|path| Tokenizer::from_source(&Source::open(path).unwrap()).unwrap());
        match lost {
            None => assert_eq!(written.end_of_turn(), original.end_of_turn(), "{ends}"),
            Some(lost) => {
                assert!(said.contains(lost) && said.contains("to stop at"), "{ends}: {said}")
            }
        }
        assert_eq!(said.contains("to stop at"), lost.is_some(), "{ends}: {said}");
    }
}

#[test]
fn what_is_said_of_an_end_without_a_processor_adds_none() {
    let json = std::fs::read_to_string(tiny("llama-f32").join("tokenizer.json")).unwrap();
    let made = with_tokenizer("convert-add-eos", &json);
    let said = r#"{"eos_token": "<|im_end|>", "add_eos_token": true}"#;
    std::fs::write(made.0.join("tokenizer_config.json"), said).unwrap();
    let file = TempFile::new("convert-add-eos.gguf", &[]);
    convert(&["-m", made.0.to_str().unwrap(), "-o", file.0.to_str().unwrap()]).ok();
    for path in [&file.0, &made.0] {
        let tokenizer = Tokenizer::from_source(&Source::open(path).unwrap()).unwrap();
        assert_eq!(tokenizer.eos(), Some(2));
        assert_eq!(tokenizer.encode("hi", true).unwrap(), tokenizer.encode("hi", false).unwrap());
    }
}

fn sentencepiece(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sentencepiece");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// Replaces what is there once at least.
fn replaced(json: &str, rows: &[(&str, &str)]) -> String {
    rows.iter().fold(json.to_owned(), |json, (from, to)| {
        assert!(json.contains(from), "{from}");
        json.replace(from, to)
    })
}

/// From where a value begins to where its last bracket ends.
fn value<'a>(json: &'a str, key: &str) -> &'a str {
    let start = json.find(&format!("\"{key}\": {{")).unwrap_or_else(|| panic!("{key}"));
    let mut depth = 0;
    let end = json[start..].char_indices().find(|(_, c)| {
        depth += (*c == '{') as i32 - (*c == '}') as i32;
        *c == '}' && depth == 0
    });
    &json[start..start + end.unwrap().0 + 1]
}

#[test]
fn sentencepiece_comes_along() {
    let json = sentencepiece("tokenizer.json");
    let normaliser = value(&json, "normalizer");
    let replace =
        r#""normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}"#;
    let split = r#""pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
        "invert": false}"#;
    let never = r#""pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false}"#;
    let none = r#""pre_tokenizer": null"#;
    let after_all = replaced(&json, &[(r#""rstrip": false"#, r#""rstrip": true"#)]);
    // Phi-3's: of these, one alone.
    let after_all = replaced(&after_all, &[("<extra>", "<|endoftext|>")]);
    let mut after_some = after_all.clone();
    for text in ["<unk>", "<s>", "<|endoftext|>"] {
        let start = after_some.find(&format!(r#""content": "{text}""#)).unwrap();
        let rest = after_some.split_off(start);
        after_some += &rest.replacen(r#""rstrip": true"#, r#""rstrip": false"#, 1);
    }
    let rows: [(&str, String); 5] = [
        ("as-it-is", json.clone()),
        // Gemma's.
        ("without-prefix", replaced(&json, &[(normaliser, replace), (none, split)])),
        ("metaspace", replaced(&json, &[(normaliser, r#""normalizer": null"#), (none, never)])),
        ("Phi-3-takes-spaces", after_some),
        (
            "normalised",
            replaced(
                &json,
                &[(normaliser, replace), (r#""normalized": false"#, r#""normalized": true"#)],
            ),
        ),
    ];
    let ids: Vec<serde_json::Value> = serde_json::from_str(&sentencepiece("ids.json")).unwrap();
    for (name, json) in rows {
        let made = with_tokenizer(&format!("convert-{name}"), &json);
        let file = TempFile::new(&format!("convert-{name}.gguf"), &[]);
        let to = file.0.to_str().unwrap();
        let ran = convert(&["-m", made.0.to_str().unwrap(), "-o", to, "--name", name]);
        assert!(ran.code == 0, "{name}: {}", ran.err);
        let gguf = Source::open(&file.0).unwrap();
        let (written, original) = (
            Tokenizer::from_source(&gguf).unwrap(),
            Tokenizer::from_source(&Source::open(&made.0).unwrap()).unwrap(),
        );
        for row in &ids {
            let text = row["text"].as_str().unwrap();
            let found = original.encode(text, true).unwrap();
            assert_eq!(written.encode(text, true).unwrap(), found, "{name}: {text:?}");
            if name == "as-it-is" {
                let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
                assert_eq!(found, ids, "{text:?}");
            }
        }
        // And whatever else of these parts: letters that merge, spaces, what has no piece, what
        // looks like a token.
        let parts = [
            "t",
            "h",
            "e",
            " ",
            "  ",
            "in",
            "an",
            "s",
            "é",
            "猫",
            "<s>",
            "</s>",
            "<extra>",
            "<|endoftext|>",
            "\n",
            "\u{2581}",
            "<0x41>",
        ];
        let mut state = 1u32;
        for _ in 0..2000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text += parts[(state >> 16) as usize % parts.len()];
            }
            for (found, wanted) in [
                (written.encode(&text, false), original.encode(&text, false)),
                (written.encode_plain(&text), original.encode_plain(&text)),
            ] {
                assert_eq!(found.unwrap(), wanted.unwrap(), "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn what_gguf_cannot_say_of_a_tokenizer_is_an_error() {
    let pieces = sentencepiece("tokenizer.json");
    let bytes = std::fs::read_to_string(tiny("llama-f32").join("tokenizer.json")).unwrap();
    let (normaliser, none) = (value(&pieces, "normalizer"), r#""pre_tokenizer": null"#);
    let metaspace = |scheme: &str| {
        let step = format!(
            r#""pre_tokenizer": {{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "{scheme}", "split": false}}"#
        );
        replaced(&pieces, &[(normaliser, r#""normalizer": null"#), (none, &step)])
    };
    let with = |json: &str, name: &str| {
        let (no, yes) = (format!("\"{name}\": false"), format!("\"{name}\": true"));
        replaced(json, &[(&no, &yes)])
    };
    let end = |json: &str| replaced(json, &[("<extra>", "<|endoftext|>")]);
    let rows: [(&str, String, &str); 10] = [
        ("first", metaspace("first"), "a space before some texts only"),
        ("always", metaspace("always"), "a space before some texts only"),
        ("normalised", with(&pieces, "normalized"), "is a token after spaces only"),
        ("before", with(&pieces, "lstrip"), "takes the spaces beside it"),
        ("phi-3-all", end(&with(&pieces, "rstrip")), "takes the spaces beside it"),
        ("phi-3-missing", with(&pieces, "rstrip"), "<|endoftext|>"),
        ("after", with(&pieces, "rstrip"), "one with \"phi-3\" in it"),
        ("phi-3-none", pieces.clone(), "one without \"phi-3\" in it"),
        ("bytes-before", with(&bytes, "lstrip"), "takes the spaces beside it"),
        ("bytes-words", with(&bytes, "single_word"), "takes the spaces beside it"),
    ];
    for (name, json, message) in rows {
        let made = with_tokenizer(&format!("convert-no-{name}"), &json);
        let file = TempFile::new(&format!("convert-no-{name}.gguf"), &[]);
        let to = file.0.to_str().unwrap();
        let ran = convert(&["-m", made.0.to_str().unwrap(), "-o", to, "--name", name]);
        let error = ran.err;
        for part in [message, "tokenizer.json", "--no-tokenizer"] {
            assert!(ran.code != 0 && error.contains(part), "{name}, {part}: {error}");
        }
    }
}

#[test]
fn what_is_no_sentencepiece_is_an_error() {
    let rows: [(&str, &str, &str); 7] = [
        (r#""Prepend""#, r#""NFKC""#, "NFKC"),
        (r#""dropout": null"#, r#""dropout": 0.5"#, "dropout"),
        (r#""ignore_merges": false"#, r#""ignore_merges": true"#, "whole words"),
        (r#""rstrip": false"#, r#""rstrip": true"#, "spaces after"),
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
        let error = ran.err;
        assert!(ran.code != 0 && error.contains(message), "{from}: {error}");
    }
}

/// The greatest share of what is allowed that logits of the models are apart.
fn apart(found: Weights, wanted: Weights, input: &[u32]) -> f32 {
    let logits = |model: Weights| {
        let mut all: Vec<f32> = vec![];
        let mut runner = Runner::new(&Device::Reference, &Arc::new(model), None, 16).unwrap();
        let each = |_, row: &[f32]| {
            all.extend_from_slice(row);
            Ok(())
        };
        runner.all_logits(input, each).unwrap();
        all
    };
    common::share(&logits(found), &logits(wanted))
}

#[test]
fn merged_adapters_give_the_logits_of_model_and_adapters() {
    let lora =
        |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lora").join(name);
    let rows: [(&str, &[(&str, f32)]); 5] = [
        ("llama-f32", &[("llama-all", 1.0)]),
        ("llama-f32", &[("llama-all", 0.5), ("llama-patterns", -1.0)]),
        ("qwen2-bf16", &[("qwen2-biases", 1.0)]),
        ("phi3-bf16", &[("phi3-fused", 1.0)]),
        ("gpt2-f32", &[("gpt2-transposed", 1.0)]),
    ];
    let open = |path: &Path, adapters: &[(&str, f32)]| {
        let source = Source::open(path).unwrap();
        let mut model = Weights::load(&Device::Reference, &source, |_| ()).unwrap();
        let architecture = model.config.architecture.name;
        let open =
            |(name, scale): &(&str, f32)| (Lora::open(&lora(name), architecture).unwrap(), *scale);
        model.adapt(&Device::Reference, &adapters.iter().map(open).collect::<Vec<_>>()).unwrap();
        model
    };
    for (base, adapters) in rows {
        let file = TempFile::new(&format!("convert-merged-{base}-{}.gguf", adapters.len()), &[]);
        // Of a folder, and of the GGUF file that is made of it.
        let plain = TempFile::new(&format!("convert-base-{base}-{}.gguf", adapters.len()), &[]);
        let (model, to, between) =
            (tiny(base), file.0.to_str().unwrap(), plain.0.to_str().unwrap());
        let added: Vec<String> = adapters
            .iter()
            .flat_map(|(n, s)| ["--lora".into(), format!("{}:{s}", lora(n).display())])
            .collect();
        let added: Vec<&str> = added.iter().map(String::as_str).collect();
        let common = ["--quantize", "f32", "--no-tokenizer"];
        let ran = convert(&[&["-m", model.to_str().unwrap(), "-o", between][..], &common].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let input = words(base, "input_ids");
        assert!(
            apart(open(&plain.0, adapters), open(&model, &[]), &input) > 1.0,
            "{base}: nothing to merge"
        );
        for from in [model.to_str().unwrap(), between] {
            let ran = convert(&[&["-m", from, "-o", to][..], &common, &added].concat());
            assert_eq!(ran.code, 0, "{}", ran.err);
            let off = apart(open(&file.0, &[]), open(&model, adapters), &input);
            assert!(off <= 1.0, "{from}: {off} of what is allowed");
        }
    }
    let (model, other) = (tiny("llama-f32"), lora("phi3-fused"));
    let ran = convert(&[
        "-m",
        model.to_str().unwrap(),
        "--lora",
        other.to_str().unwrap(),
        "-o",
        "/nowhere/x",
    ]);
    let error = ran.err;
    assert!(ran.code == 1 && error.contains("phi3-fused"), "{error}");
}

#[test]
fn rounding_twice_is_said() {
    let [once, twice] =
        ["once", "twice"].map(|name| TempFile::new(&format!("convert-{name}.gguf"), &[]));
    let [first, second] = [&once, &twice].map(|file| file.0.to_str().unwrap());
    let model = tiny("llama-f32");
    let rows = [
        (model.to_str().unwrap(), first, "q8_0", false),
        (first, second, "q4_0", true),
        (first, second, "q8_0", false),
        (first, second, "f16", false),
    ];
    for (from, to, kind, is_said) in rows {
        let ran = convert(&["-m", from, "--quantize", kind, "-o", to]);
        let error = ran.err;
        assert!(ran.code == 0, "{error}");
        assert_eq!(error.contains("rounded again"), is_said, "{kind}: {error}");
    }
}
