//! GGUF files, sound and damaged: sound ones read back as written, damaged ones are errors that say
//! what is wrong.

use crate::common;
use crate::common::TempFile;
use crate::common::gguf_writer::{Writer, array, string};
use kaiwu::format::blocks::quantise;
use kaiwu::format::{Array, DType, Gguf, Source, Strings, Value, write_gguf};
use kaiwu::text::Tokenizer;

/// Opens bytes as a file; the error as text, without the path that starts it.
fn open(name: &str, bytes: &[u8]) -> Result<Gguf, String> {
    let file = TempFile::new(&format!("{name}.gguf"), bytes);
    Gguf::open(&file.0).map_err(|e| {
        let (message, path) = (e.to_string(), file.0.display().to_string());
        assert!(message.contains(&path), "{message:?} does not name the file {path}");
        message.replace(&path, "")
    })
}

fn data(dtype: DType, count: usize) -> Vec<u8> {
    quantise(dtype, &(0..count).map(|i| i as f32 - 7.0).collect::<Vec<_>>())
}

/// Two tensors, a few entries of each kind the damage below needs.
fn sound() -> Writer {
    Writer::new()
        .with_str("general.architecture", "llama")
        .with_u32("llama.block_count", 2)
        .with_strings("tokenizer.ggml.tokens", &["<unk>", "", "é", "猫"])
        .with_tensor("token_embd.weight", &[4, 64], DType::Q4_1, data(DType::Q4_1, 256))
        .with_tensor("output_norm.weight", &[64], DType::F32, data(DType::F32, 64))
}

#[test]
fn a_sound_file_reads_back_as_written() {
    for version in [2, 3] {
        let gguf = open(&format!("sound-{version}"), &Writer { version, ..sound() }.bytes())
            .expect("a sound file");
        assert_eq!(gguf.version(), version);
        let keys: Vec<&str> = gguf.metadata().iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["general.architecture", "llama.block_count", "tokenizer.ggml.tokens"]);
        assert_eq!(gguf.str("general.architecture").expect("there"), "llama");
        assert_eq!(gguf.u32("llama.block_count").expect("there"), 2);
        let tokens = gguf.strings("tokenizer.ggml.tokens").expect("there");
        assert_eq!(tokens.iter().collect::<Vec<_>>(), ["<unk>", "", "é", "猫"]);
        assert_eq!((tokens.len(), tokens.get(3), tokens.get(4)), (4, Some("猫"), None));

        let names: Vec<&str> = gguf.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["token_embd.weight", "output_norm.weight"]);
        let embedding = gguf.tensor("token_embd.weight").expect("there");
        assert_eq!(
            (&embedding.shape[..], embedding.dtype, embedding.bytes),
            (&[4, 64][..], DType::Q4_1, 160)
        );
        assert_eq!(embedding.elements(), 256);
        assert_eq!(gguf.data(embedding), data(DType::Q4_1, 256));
        let norm = gguf.tensor("output_norm.weight").expect("there");
        assert_eq!(norm.offset, embedding.offset + 160);
        assert_eq!(gguf.data(norm), data(DType::F32, 64));
        assert_eq!(gguf.file_bytes(), norm.offset + norm.bytes);
    }
}

#[test]
fn every_value_type_is_read() {
    let nested =
        [array(9, 2), array(4, 1), 9u32.to_le_bytes().to_vec(), array(8, 1), string("x")].concat();
    let cases: Vec<(u32, Vec<u8>, Value)> = vec![
        (0, vec![200], Value::U8(200)),
        (1, vec![200], Value::I8(-56)),
        (2, vec![1, 255], Value::U16(0xff01)),
        (3, vec![1, 255], Value::I16(-255)),
        (4, vec![1, 0, 0, 255], Value::U32(0xff00_0001)),
        (5, vec![254, 255, 255, 255], Value::I32(-2)),
        (6, 1.5f32.to_le_bytes().into(), Value::F32(1.5)),
        (7, vec![1], Value::Bool(true)),
        (8, string("猫"), Value::String("猫".into())),
        (10, u64::MAX.to_le_bytes().into(), Value::U64(u64::MAX)),
        (11, (-3i64).to_le_bytes().into(), Value::I64(-3)),
        (12, 0.1f64.to_le_bytes().into(), Value::F64(0.1)),
        (9, [array(0, 2), vec![1, 2]].concat(), Value::Array(Array::U8(vec![1, 2]))),
        (9, [array(1, 1), vec![255]].concat(), Value::Array(Array::I8(vec![-1]))),
        (9, [array(2, 1), vec![1, 2]].concat(), Value::Array(Array::U16(vec![0x201]))),
        (9, [array(3, 1), vec![0, 128]].concat(), Value::Array(Array::I16(vec![i16::MIN]))),
        (9, [array(4, 1), vec![1, 0, 0, 0]].concat(), Value::Array(Array::U32(vec![1]))),
        (9, [array(5, 1), vec![255; 4]].concat(), Value::Array(Array::I32(vec![-1]))),
        (9, [array(6, 1), 2f32.to_le_bytes().into()].concat(), Value::Array(Array::F32(vec![2.0]))),
        (9, [array(7, 2), vec![0, 1]].concat(), Value::Array(Array::Bool(vec![false, true]))),
        (
            9,
            [array(8, 1), string("a")].concat(),
            Value::Array(Array::String(Strings::from_iter(["a"]))),
        ),
        (
            9,
            [array(10, 1), vec![1; 8]].concat(),
            Value::Array(Array::U64(vec![0x0101_0101_0101_0101])),
        ),
        (9, [array(11, 1), vec![255; 8]].concat(), Value::Array(Array::I64(vec![-1]))),
        (
            9,
            [array(12, 1), 2f64.to_le_bytes().into()].concat(),
            Value::Array(Array::F64(vec![2.0])),
        ),
        (9, array(4, 0), Value::Array(Array::U32(vec![]))),
        (
            9,
            nested,
            Value::Array(Array::Nested(vec![
                Array::U32(vec![9]),
                Array::String(Strings::from_iter(["x"])),
            ])),
        ),
    ];
    let mut writer = Writer::new();
    for (i, (type_id, bytes, _)) in cases.iter().enumerate() {
        writer = writer.with(format!("key.{i}"), *type_id, bytes);
    }
    let gguf = open("types", &writer.bytes()).expect("a sound file");
    for (i, (_, _, value)) in cases.iter().enumerate() {
        assert_eq!(gguf.get(&format!("key.{i}")), Some(value), "key.{i}");
    }
}

#[test]
fn values_that_are_no_utf_8_are_read_all_the_same() {
    let list = [array(8, 3), string("a"), string(b"\xe7\x8c"), string("猫")].concat();
    let writer = sound().with("name", 8, string(b"caf\xe9")).with("tokens", 9, list);
    let gguf = open("not-utf-8", &writer.bytes()).expect("a sound file");
    assert_eq!(gguf.str("name").expect("there"), "caf\u{fffd}");
    let tokens = gguf.strings("tokens").expect("there");
    assert_eq!(tokens.iter().collect::<Vec<_>>(), ["a", "\u{fffd}", "猫"]);
    assert_eq!(tokens.all_raw().collect::<Vec<_>>(), [(1, &b"\xe7\x8c"[..])]);
    assert_eq!(
        (tokens.bytes(1), tokens.bytes(2), tokens.bytes(3)),
        (Some(&b"\xe7\x8c"[..]), Some("猫".as_bytes()), None)
    );
    // Written again, they are what they were.
    let file = TempFile::new("not-utf-8-again.gguf", &[]);
    write_gguf(&file.0, gguf.metadata(), &[], |_| Ok(vec![])).expect("written");
    assert_eq!(Gguf::open(&file.0).expect("sound").strings("tokens").expect("there"), tokens);
}

#[test]
fn a_file_may_have_no_tokenizer() {
    let has = |name: &str, writer: Writer| {
        let file = TempFile::new(&format!("{name}.gguf"), &writer.bytes());
        let source = Source::open(&file.0).expect("a sound file");
        let error = Tokenizer::from_source(&source).map(|_| ()).expect_err(name).to_string();
        (Tokenizer::is_in(&source), error)
    };
    let plain = || Writer::new().with_str("general.architecture", "llama");
    let none =
        [("no-keys", plain()), ("no-vocab", plain().with_str("tokenizer.ggml.model", "no_vocab"))];
    for (name, writer) in none {
        let (is_in, error) = has(name, writer);
        assert!(!is_in && error.contains("has no tokenizer"), "{name}: {error}");
    }
    let damaged = [
        ("tokens-alone", sound(), "tokenizer.ggml.model"),
        ("model-alone", plain().with_str("tokenizer.ggml.model", "gpt2"), "tokenizer.ggml.tokens"),
    ];
    for (name, writer, part) in damaged {
        let (is_in, error) = has(name, writer);
        assert!(is_in && error.contains(part), "{name}: {error}");
    }
}

#[test]
fn negative_special_ids_are_none_and_an_empty_rule_is_no_rule() {
    let writer = Writer::new()
        .with_str("tokenizer.ggml.model", "gpt2")
        .with_str("tokenizer.ggml.pre", "")
        .with_strings("tokenizer.ggml.tokens", &["a", "b", "ab"])
        .with_strings("tokenizer.ggml.merges", &["a b"])
        .with("tokenizer.ggml.bos_token_id", 5, (-1i32).to_le_bytes())
        .with_u32("tokenizer.ggml.eos_token_id", u32::MAX);
    let tokenizer = Tokenizer::from_gguf(&open("negative", &writer.bytes()).expect("a sound file"))
        .expect("sound");
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (None, None));
    assert_eq!(tokenizer.encode("ab", true).expect("ids"), [2]);
}

#[test]
fn typed_lookups_say_what_they_found() {
    let writer = sound()
        .with("wide", 10, 7u64.to_le_bytes())
        .with("negative", 5, (-1i32).to_le_bytes())
        .with_bool("flag", true)
        .with_f32("epsilon", 1e-5);
    let gguf = open("lookups", &writer.bytes()).expect("a sound file");
    assert_eq!(gguf.u32("wide").expect("fits"), 7);
    assert!(gguf.bool("flag").expect("there"));
    assert_eq!(gguf.opt_f32("epsilon").expect("a float"), Some(1e-5));
    assert_eq!(gguf.opt_u32("absent").expect("no error"), None);
    assert_eq!(gguf.opt_str("absent").expect("no error"), None);
    assert!(gguf.opt_tensor("absent").is_none());

    let text = |error: kaiwu::Error| error.to_string();
    let cases = [
        (gguf.u32("absent").map_err(text).err(), "metadata key \"absent\" is missing"),
        (
            gguf.u32("negative").map_err(text).err(),
            "an integer of 0 to 2^32 - 1, but is the i32 -1",
        ),
        (gguf.opt_u32("epsilon").map_err(text).err(), "but is the f32 0.00001"),
        (gguf.str("flag").map_err(text).err(), "should be a string, but is the bool true"),
        (
            gguf.bool("general.architecture").map_err(text).err(),
            "a boolean, but is the string \"llama\"",
        ),
        (
            gguf.f32("tokenizer.ggml.tokens").map_err(text).err(),
            "a float, but is the array [string; 4]",
        ),
        (gguf.strings("wide").map_err(text).err(), "an array of strings, but is the u64 7"),
        (
            gguf.tensor("blk.7.attn_q.weight").map_err(text).err(),
            "has no tensor \"blk.7.attn_q.weight\"",
        ),
    ];
    for (message, phrase) in cases {
        let message = message.unwrap_or_default();
        assert!(
            message.contains(phrase) && message.contains(".gguf: "),
            "{message:?} lacks {phrase:?}"
        );
    }
}

/// A model in three parts, in a folder of its own: the first one has the metadata, the second one
/// its own alignment.
fn parts() -> [Writer; 3] {
    let part = |number: u16, writer: Writer| {
        writer
            .with("split.no", 2, number.to_le_bytes())
            .with("split.count", 2, 3u16.to_le_bytes())
            .with("split.tensors.count", 5, 4i32.to_le_bytes())
    };
    let second = Writer { alignment: 64, ..Writer::new() }.with_u32("general.alignment", 64);
    [
        part(0, sound()),
        part(1, second.with_tensor("a", &[3, 32], DType::F32, data(DType::F32, 96))),
        part(2, Writer::new().with_tensor("b", &[64], DType::Q8_0, data(DType::Q8_0, 64))),
    ]
}

fn part_name(number: usize) -> String {
    format!("model-{:05}-of-00003.gguf", number + 1)
}

fn parts_in(folder: &common::Folder, parts: &[Writer]) {
    for (number, writer) in parts.iter().enumerate() {
        std::fs::write(folder.0.join(part_name(number)), writer.bytes()).expect("written");
    }
}

#[test]
fn a_model_in_parts_is_one_whichever_part_is_given() {
    let folder = common::Folder::new("gguf-parts");
    parts_in(&folder, &parts());
    for given in 0..3 {
        let path = folder.0.join(part_name(given));
        let gguf = Gguf::open(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((gguf.path(), gguf.files().len()), (&*path, 3));
        let names: Vec<&str> = gguf.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["token_embd.weight", "output_norm.weight", "a", "b"]);
        assert_eq!(gguf.u32("llama.block_count").expect("there"), 2);
        assert!(gguf.metadata().iter().all(|(key, _)| !key.starts_with("split.")));
        for (name, dtype, count) in
            [("token_embd.weight", DType::Q4_1, 256), ("a", DType::F32, 96), ("b", DType::Q8_0, 64)]
        {
            assert_eq!(gguf.data(gguf.tensor(name).expect("there")), data(dtype, count), "{name}");
        }
        let bytes: u64 = (0..3)
            .map(|part| std::fs::metadata(folder.0.join(part_name(part))).expect("there").len())
            .sum();
        assert_eq!(gguf.file_bytes(), bytes);
        gguf.release_all();
        assert_eq!(gguf.data(gguf.tensor("b").expect("there")), data(DType::Q8_0, 64));
    }
}

#[test]
fn parts_that_do_not_make_a_model_are_errors() {
    type Change = fn(&common::Folder);
    let rows: [(&str, Change, &str); 7] = [
        (
            "missing",
            |folder| std::fs::remove_file(folder.0.join(part_name(2))).expect("gone"),
            "model-00003-of-00003.gguf is missing",
        ),
        (
            "renamed",
            |folder| {
                std::fs::rename(folder.0.join(part_name(0)), folder.0.join("given.gguf"))
                    .expect("renamed")
            },
            "which are found by their names; give it back the one that ends in \"-00001-of-00003.gguf\"",
        ),
        (
            "swapped",
            |folder| {
                _ = std::fs::copy(folder.0.join(part_name(2)), folder.0.join(part_name(1)))
                    .expect("copied")
            },
            "should be part 2 of 3, but says that it is part 3 of 3",
        ),
        (
            "whole",
            |folder| std::fs::write(folder.0.join(part_name(1)), sound().bytes()).expect("written"),
            "should be part 2 of 3, but says that it is no part",
        ),
        (
            "fewer",
            |folder| {
                let [_, second, _] = parts();
                let fewer = Writer { tensors: vec![], ..second };
                std::fs::write(folder.0.join(part_name(1)), fewer.bytes()).expect("written");
            },
            "a model of 4 tensors, but all parts have 3",
        ),
        (
            "twice",
            |folder| {
                let [_, mut second, _] = parts();
                second.tensors[0].name = "b".into();
                std::fs::write(folder.0.join(part_name(1)), second.bytes()).expect("written");
            },
            "tensor \"b\" is there twice",
        ),
        (
            "cut",
            |folder| {
                let bytes = parts()[2].bytes();
                std::fs::write(folder.0.join(part_name(2)), &bytes[..bytes.len() - 40])
                    .expect("written");
            },
            "model-00003-of-00003.gguf: tensor \"b\"",
        ),
    ];
    for (name, change, phrase) in rows {
        let folder = common::Folder::new(&format!("gguf-parts-{name}"));
        parts_in(&folder, &parts());
        change(&folder);
        let given = [folder.0.join("given.gguf"), folder.0.join(part_name(0))];
        let given = given.iter().find(|path| path.exists()).expect("one of them");
        let message = Gguf::open(given).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(phrase), "{name}: {message:?} lacks {phrase:?}");
    }
    let beyond = sound().with("split.no", 2, [3, 0]).with("split.count", 2, [3, 0]);
    assert!(
        open("part-beyond", &beyond.bytes())
            .unwrap_err()
            .contains("split.no is 3, but there are 3 parts")
    );
    let odd = sound().with_str("split.count", "3");
    assert!(open("part-odd", &odd.bytes()).unwrap_err().contains("split.count is \"3\""));
    // One of one is a whole.
    let whole = sound().with("split.no", 2, [0, 0]).with("split.count", 2, [1, 0]);
    assert_eq!(open("part-whole", &whole.bytes()).expect("a sound file").files().len(), 1);
}

#[test]
fn axes_of_one_before_the_others_do_not_count() {
    let norm = |axes: &[u64]| sound().with_raw_tensor("norm", axes.to_vec(), 0, None, vec![0; 256]);
    for axes in [&[64][..], &[64, 1], &[64, 1, 1, 1]] {
        let gguf = open("ones", &norm(axes).bytes()).expect("a sound file");
        assert_eq!(gguf.tensor("norm").expect("there").shape, [64], "{axes:?}");
    }
    let gguf = open("ones-before", &norm(&[1, 64, 1]).bytes()).expect("a sound file");
    assert_eq!(gguf.tensor("norm").expect("there").shape, [64, 1]);
}

#[test]
fn alignment_follows_the_metadata() {
    let writer = Writer { alignment: 256, ..sound() }.with_u32("general.alignment", 256);
    let gguf = open("alignment", &writer.bytes()).expect("a sound file");
    assert!(gguf.tensors().iter().all(|tensor| tensor.offset % 256 == 0));
    assert_eq!(gguf.data(&gguf.tensors()[1]), data(DType::F32, 64));
}

/// What is wrong, the file, and a phrase of the message that says so.
fn damaged() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let file = sound().bytes();
    let cut = |bytes: usize| file[..bytes].to_vec();
    let table = file.windows(17).position(|w| w == b"token_embd.weight").expect("its name") - 8;
    let f32s = |axes: &[u64], offset| {
        sound().with_raw_tensor("extra", axes.to_vec(), 0, offset, vec![0; 256])
    };
    let nested =
        |depth: usize| sound().with("deep", 9, [array(9, 1).repeat(depth), array(4, 0)].concat());
    let aligned = |value: u32| sound().with_u32("general.alignment", value);
    vec![
        ("empty", vec![], "is empty; fetch it again"),
        ("cut in the magic", cut(3), "is not GGUF: its first four bytes"),
        ("cut after the magic", cut(4), "4 bytes are due at byte 4, but the file ends at byte 4"),
        ("cut in the header", cut(20), "8 bytes are due at byte 16, but the file ends at byte 20"),
        (
            "cut in the metadata",
            cut(66),
            "\"general.architecture\": 5 bytes are due at byte 64, but the file ends at byte 66",
        ),
        ("cut in the tensor table", cut(table + 60), "not fully downloaded, fetch it again"),
        (
            "cut in the data",
            cut(file.len() - 1),
            "tensor \"output_norm.weight\": its 256 bytes at offset 160",
        ),
        (
            "wrong magic",
            Writer { magic: *b"GGUE", ..sound() }.bytes(),
            "is not GGUF: its first four bytes",
        ),
        (
            "version 1",
            Writer { version: 1, ..sound() }.bytes(),
            "version 1, which was replaced in 2023",
        ),
        ("version 4", Writer { version: 4, ..sound() }.bytes(), "only 2 and 3 are known"),
        ("big-endian", Writer { version: 3 << 24, ..sound() }.bytes(), "is a big-endian GGUF file"),
        (
            "big-endian magic",
            Writer { magic: *b"FUGG", ..sound() }.bytes(),
            "magic in big-endian order",
        ),
        (
            "LFS pointer",
            b"version https://git-lfs.github.com/spec/v1\noid".into(),
            "run `git lfs pull`",
        ),
        ("zip", b"PK\x03\x04rest of it".into(), "not GGUF but a zip archive"),
        (
            "safetensors",
            b"\x40\x01\0\0\0\0\0\0{\"__metadata__\"".into(),
            "not GGUF but safetensors",
        ),
        ("web page", b"<!DOCTYPE html>".into(), "not GGUF but a web page"),
        (
            "absurd tensor count",
            Writer { tensor_count: Some(u64::MAX), ..sound() }.bytes(),
            "18446744073709551615 tensors are announced at byte",
        ),
        (
            "one tensor too many",
            Writer { tensor_count: Some(3), ..sound() }.bytes(),
            "tensor \"\": it has 0 axes",
        ),
        (
            "absurd entry count",
            Writer { entry_count: Some(1 << 40), ..sound() }.bytes(),
            "1099511627776 metadata entries are announced at byte 24",
        ),
        (
            "giant string",
            sound().with("long", 8, u64::MAX.to_le_bytes()).bytes(),
            "metadata key \"long\": 18446744073709551615 bytes are due at byte",
        ),
        (
            "giant key",
            [&file[..24], &[255; 8], &file[32..]].concat(),
            "the key of metadata entry 0 (at byte 24)",
        ),
        ("empty key", sound().with_u32("", 1).bytes(), "has 0 bytes, allowed are 1 to 65535"),
        (
            "long key",
            sound().with_u32(&"k".repeat(65536), 1).bytes(),
            "has 65536 bytes, allowed are",
        ),
        (
            "giant array",
            sound().with("list", 9, array(12, u64::MAX)).bytes(),
            "metadata key \"list\"",
        ),
        (
            "giant array of strings",
            sound().with("list", 9, array(8, 1 << 60)).bytes(),
            "strings are announced",
        ),
        (
            "giant array of arrays",
            sound().with("list", 9, array(9, 1 << 60)).bytes(),
            "arrays are announced",
        ),
        (
            "deep array",
            nested(4).bytes(),
            "metadata key \"deep\": its arrays are nested deeper than 4 levels",
        ),
        ("very deep array", nested(100_000).bytes(), "nested deeper than 4 levels"),
        (
            "unknown value type",
            sound().with("odd", 13, [0; 8]).bytes(),
            "\"odd\": its type number 13 is unknown",
        ),
        (
            "unknown element type",
            sound().with("odd", 9, array(77, 0)).bytes(),
            "type number 77 is unknown",
        ),
        ("bad boolean", sound().with("flag", 7, [2]).bytes(), "\"flag\": 2 is not a boolean"),
        (
            "bad boolean in array",
            sound().with("flag", 9, [array(7, 1), vec![9]].concat()).bytes(),
            "9 is not a",
        ),
        (
            "bad UTF-8 in key",
            sound().with(b"k\xff", 7, [1]).bytes(),
            "the key of metadata entry 3 (at byte",
        ),
        (
            "key twice",
            sound().with_u32("llama.block_count", 3).bytes(),
            "key \"llama.block_count\" is there twice",
        ),
        (
            "tensor twice",
            sound()
                .with_tensor("output_norm.weight", &[64], DType::F32, data(DType::F32, 64))
                .bytes(),
            "tensor \"output_norm.weight\" is there twice",
        ),
        ("alignment 0", aligned(0).bytes(), "general.alignment is 0, not a power of two"),
        ("alignment 48", aligned(48).bytes(), "general.alignment is 48, not a power of two"),
        (
            "alignment past the end",
            aligned(1 << 31).bytes(),
            "(which starts at byte 2147483648) reach past",
        ),
        (
            "alignment of text",
            sound().with_str("general.alignment", "32").bytes(),
            "general.alignment is \"32\"",
        ),
        ("no axes", f32s(&[], None).bytes(), "tensor \"extra\": it has 0 axes, allowed are 1 to 4"),
        ("five axes", f32s(&[1; 5], None).bytes(), "tensor \"extra\": it has 5 axes"),
        ("axis of size 0", f32s(&[64, 0], None).bytes(), "its shape [0, 64] has an axis of size 0"),
        (
            "shape overflows",
            f32s(&[1 << 32, 1 << 32], None).bytes(),
            "[4294967296, 4294967296] overflows",
        ),
        (
            "bytes overflow",
            f32s(&[1 << 62], None).bytes(),
            "the size of its shape [4611686018427387904] overflows",
        ),
        (
            "row not whole blocks",
            sound().with_raw_tensor("extra", vec![33, 32], 8, None, vec![0; 2048]).bytes(),
            "its rows of 33 elements are not whole Q8_0 blocks of 32",
        ),
        (
            "unsupported type",
            sound()
                .with_raw_tensor("blk.0.ffn_up.weight", vec![256], 17, None, vec![0; 256])
                .bytes(),
            "tensor \"blk.0.ffn_up.weight\": it has type IQ2_XS, which is not supported; supported are F32, F16,",
        ),
        (
            "unknown type",
            sound().with_raw_tensor("extra", vec![256], 0xdead, None, vec![0; 256]).bytes(),
            "it has type number 57005, which is not supported",
        ),
        (
            "offset not aligned",
            f32s(&[64], Some(417)).bytes(),
            "its offset 417 is not a multiple of the alignment 32",
        ),
        (
            "offset past the end",
            f32s(&[64], Some(1 << 40)).bytes(),
            "its 256 bytes at offset 1099511627776",
        ),
        (
            "offset overflows",
            f32s(&[64], Some(u64::MAX - 31)).bytes(),
            "reach past the end of the file",
        ),
        (
            "overlap",
            f32s(&[64], Some(224)).bytes(),
            "tensors \"output_norm.weight\" and \"extra\" overlap at byte",
        ),
        ("same place", f32s(&[64], Some(160)).bytes(), "overlap at byte"),
    ]
}

#[test]
fn damage_is_an_error_that_says_what() {
    let mut failures = Vec::new();
    for (what, bytes, phrase) in damaged() {
        match open(&what.replace(' ', "-"), &bytes) {
            Ok(_) => failures.push(format!("{what}: was opened")),
            Err(message) if !message.contains(phrase) => {
                failures.push(format!("{what}: {message:?} lacks {phrase:?}"))
            }
            Err(message) if message.len() > 500 => {
                failures.push(format!("{what}: {} bytes long", message.len()))
            }
            Err(_) => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn messages_escape_and_cut_what_strangers_wrote() {
    let name = format!("\x1b[31m{}", "猫".repeat(500));
    let file = sound().with_raw_tensor(&name, vec![64], 99, None, vec![0; 256]);
    let message = open("escape", &file.bytes()).err().unwrap_or_default();
    assert!(message.contains("\\u{1b}[31m猫") && message.contains("… (1505 bytes)"), "{message}");
    assert!(!message.contains('\x1b') && message.len() < 1000, "{message}");
}

#[test]
fn what_is_not_a_file_is_an_error() {
    let directory = std::env::temp_dir();
    let cases = [
        (directory.clone(), "is not a file"),
        (directory.join("kaiwu-no-such.gguf"), "cannot open "),
    ];
    for (path, phrase) in cases {
        let message = Gguf::open(&path).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(
            message.contains(phrase) && message.contains(&path.display().to_string()),
            "{message}"
        );
    }
}

/// Thousands of small changes: each file is refused, or opens with tables that can be walked to the
/// last byte.
#[test]
fn no_change_of_bytes_panics() {
    let file = sound()
        .with("nested", 9, [array(9, 2), array(7, 2), vec![0, 1], array(6, 1), vec![0; 4]].concat())
        .with_u32("general.alignment", 32)
        .bytes();
    let table_end = file.len() - 160 - 256;
    let mut changed: Vec<Vec<u8>> =
        (0..file.len()).step_by(3).map(|end| file[..end].to_vec()).collect();
    for at in 0..table_end {
        for value in [0, 1, 0x7f, 0x80, 0xff, file[at] ^ 1, file[at].wrapping_add(1)] {
            let mut bytes = file.clone();
            bytes[at] = value;
            changed.push(bytes);
        }
    }
    // Eight bytes at once, as lengths, counts and offsets are.
    for at in 0..table_end - 8 {
        for value in [u64::MAX, 1 << 63, 1 << 32, u64::from(u32::MAX), file.len() as u64] {
            let mut bytes = file.clone();
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            changed.push(bytes);
        }
    }
    assert!(changed.len() > 4000, "{}", changed.len());
    let (mut opened, mut refused) = (0, 0);
    for bytes in &changed {
        match open("mutation", bytes) {
            Err(_) => refused += 1,
            Ok(gguf) => {
                opened += 1;
                let read: u64 =
                    gguf.tensors().iter().map(|tensor| gguf.data(tensor).len() as u64).sum();
                assert!(read <= gguf.file_bytes());
                let found = |(key, value): &(String, Value)| {
                    gguf.get(key).is_some_and(|v| std::ptr::eq(v, value))
                };
                assert!(gguf.metadata().iter().all(found));
            }
        }
    }
    assert!(
        opened > 100 && refused > 1000,
        "{opened} opened, {refused} refused: the changes miss their aim"
    );
}
