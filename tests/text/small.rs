//! Tokenizers of a few tokens, worked out by hand, and damaged ones.

use crate::common;
use std::borrow::Cow;

use crate::common::streamed;
use kaiwu::format::{Source, Strings};
use kaiwu::text::{TextStream, TokenKind, Tokenizer, TokenizerMetadata};

/// A byte-level vocabulary of a few words; the ids are the order.
fn tiny() -> (Strings, Vec<i32>, Strings) {
    use TokenKind::{Control, Normal, Unused, UserDefined};
    let table: [(&str, TokenKind); 18] = [
        ("<s>", Control),
        ("</s>", Control),
        ("a", Normal),
        ("b", Normal),
        ("c", Normal),
        ("Ġ", Normal),
        ("ab", Normal),
        ("abc", Normal),
        ("Ġa", Normal),
        ("Ã", Normal),
        ("©", Normal),
        ("<tool>", UserDefined),
        ("ab", Normal),
        ("<pad>", Unused),
        ("<", Normal),
        ("a日", Normal),
        (">", Normal),
        ("cab", Control),
    ];
    let merges = ["a b", "ab c", "Ġ a", "c ab"];
    (
        table.iter().map(|(text, _)| text).collect(),
        table.iter().map(|&(_, kind)| kind as i32).collect(),
        merges.iter().collect(),
    )
}

fn parts<'a>(tokens: &'a Strings, kinds: &'a [i32], merges: &'a Strings) -> TokenizerMetadata<'a> {
    TokenizerMetadata {
        model: "gpt2",
        pre: Some("gpt-2"),
        tokens: Cow::Borrowed(tokens),
        kinds: Some(Cow::Borrowed(kinds)),
        merges: Some(Cow::Borrowed(merges)),
        bos: Some(0),
        eos: Some(1),
        ..TokenizerMetadata::default()
    }
}

#[test]
fn a_small_byte_level_tokenizer_merges_by_rank() {
    let (tokens, kinds, merges) = tiny();
    let tokenizer = Tokenizer::from_parts(&parts(&tokens, &kinds, &merges)).unwrap();
    // id 12 has the same text as 6; the later one is found, both can be read.
    let rows: [(&str, &[u32]); 9] = [
        ("", &[]),
        ("abc", &[7]),
        ("ab", &[12]),
        ("ab ac ab", &[12, 8, 4, 5, 12]),
        ("é", &[9, 10]),
        ("<s>a</s>", &[0, 2, 1]),
        ("a<tool>b", &[2, 11, 3]),
        ("azc", &[2, 4]),
        ("<pad>", &[14, 2, 16]),
    ];
    for (text, want) in rows {
        assert_eq!(tokenizer.encode(text, false).unwrap(), want, "{text:?}");
    }
    // The last merge would make a control token out of text: it is left out.
    assert_eq!(tokenizer.encode("cab<tool>", false).unwrap(), [17, 11]);
    assert_eq!(tokenizer.encode_plain("cab<tool>").unwrap(), [4, 12, 11]);
    assert_eq!(tokenizer.decode(&[6, 12, 13, 0, 99], false), "abab<pad><s>");
    assert_eq!(tokenizer.decode(&[0, 2, 9, 1], true), "a\u{fffd}");
    assert_eq!(tokenizer.decode(&[15], true), "a日", "not in the alphabet: its own text");
}

#[test]
fn bos_and_eos_are_added_as_asked_and_never_doubled() {
    let (tokens, kinds, merges) = tiny();
    let base = parts(&tokens, &kinds, &merges);
    type Row<'a> = (Option<bool>, Option<bool>, &'a str, &'a [u32]);
    let rows: [Row; 6] = [
        (None, None, "a", &[2]),
        (Some(true), None, "a", &[0, 2]),
        (Some(true), Some(true), "a", &[0, 2, 1]),
        (Some(true), Some(true), "<s>a</s>", &[0, 2, 1]),
        (Some(true), Some(true), "", &[0, 1]),
        (Some(false), Some(true), "a", &[2, 1]),
    ];
    for (add_bos, add_eos, text, want) in rows {
        let tokenizer =
            Tokenizer::from_parts(&TokenizerMetadata { add_bos, add_eos, ..base.clone() }).unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap(), want, "{add_bos:?} {add_eos:?} {text:?}");
    }
    // llama-bpe files that do not say begin with BOS.
    let llama =
        Tokenizer::from_parts(&TokenizerMetadata { pre: Some("llama-bpe"), ..base.clone() })
            .unwrap();
    assert_eq!(llama.encode("a", true).unwrap(), [0, 2]);
}

#[test]
fn a_small_sentencepiece_tokenizer_merges_by_score() {
    use TokenKind::{Byte, Control, Normal, Unknown, UserDefined};
    let table: [(&str, f32, TokenKind); 14] = [
        ("<unk>", 0.0, Unknown),
        ("<s>", 0.0, Control),
        ("▁", -9.0, Normal),
        ("a", -9.0, Normal),
        ("b", -9.0, Normal),
        ("ab", -2.0, Normal),
        ("ba", -1.0, Normal),
        ("▁a", -3.0, Normal),
        ("aba", -4.0, Normal),
        ("<0xC3>", 0.0, Byte),
        ("<0xA9>", 0.0, Byte),
        ("\n\n", 0.0, UserDefined),
        ("▁ab", -5.0, Normal),
        ("aa", -8.0, Normal),
    ];
    let tokens: Strings = table.iter().map(|(text, ..)| text).collect();
    let scores: Vec<f32> = table.iter().map(|&(_, score, _)| score).collect();
    let kinds: Vec<i32> = table.iter().map(|&(.., kind)| kind as i32).collect();
    let base = TokenizerMetadata {
        model: "llama",
        tokens: Cow::Borrowed(&tokens),
        kinds: Some(Cow::Borrowed(&kinds)),
        scores: Some(&scores),
        bos: Some(1),
        unknown: Some(0),
        add_space_prefix: Some(false),
        ..TokenizerMetadata::default()
    };
    let tokenizer = Tokenizer::from_parts(&base).unwrap();
    let rows: [(&str, &[u32]); 10] = [
        ("", &[]),
        ("aaa", &[13, 3]),
        ("ab", &[5]),
        // b-a first (-1), then a-ba (-4).
        ("aba", &[8]),
        ("abab", &[8, 4]),
        (" ab", &[12]),
        ("é", &[9, 10]),
        ("a\n\nb", &[3, 11, 4]),
        ("<0xC3>z", &[0, 0, 0, 0, 0, 0, 0]),
        ("<s>ab", &[1, 5]),
    ];
    for (text, want) in rows {
        assert_eq!(tokenizer.encode(text, false).unwrap(), want, "{text:?}");
    }
    assert_eq!(
        tokenizer.encode("a", true).unwrap(),
        [1, 3],
        "SentencePiece files begin with BOS by default"
    );
    // The space prefix goes to the beginning and after special tokens, and decoding takes the first
    // one back.
    let prefixed =
        Tokenizer::from_parts(&TokenizerMetadata { add_space_prefix: None, ..base.clone() })
            .unwrap();
    assert_eq!(prefixed.encode("ab", false).unwrap(), [12]);
    assert_eq!(prefixed.encode("<s>ab", false).unwrap(), [1, 12]);
    assert_eq!(prefixed.decode(&[1, 12], true), "ab");
    assert_eq!(prefixed.decode(&[12, 12], true), "ab ab");
    let mut continuing = TextStream::continuing(&prefixed, true);
    assert_eq!(continuing.push(12), " ab");
    let no_unknown = Tokenizer::from_parts(&TokenizerMetadata { unknown: None, ..base }).unwrap();
    assert!(no_unknown.encode("z", false).unwrap_err().to_string().contains("\"z\""));
}

#[test]
fn damaged_parts_are_errors_that_name_them() {
    let (tokens, kinds, merges) = tiny();
    let base = parts(&tokens, &kinds, &merges);
    let strings = |list: &[&str]| -> Option<Cow<'static, Strings>> {
        Some(Cow::Owned(list.iter().collect()))
    };
    let llama = TokenizerMetadata { model: "llama", ..base.clone() };
    let byte_kinds = vec![6; tokens.len()];
    let scores = vec![0.0; tokens.len()];
    let nan = vec![f32::NAN; tokens.len()];
    let b = || base.clone();
    let rows: [(TokenizerMetadata, &str); 15] = [
        (TokenizerMetadata { model: "bert", ..b() }, "\"bert\""),
        (
            TokenizerMetadata { pre: Some("martian"), ..b() },
            "\"martian\" is not known; known are default, gpt-2",
        ),
        (TokenizerMetadata { tokens: Cow::Owned(Strings::default()), ..b() }, "0 tokens"),
        (
            TokenizerMetadata { kinds: Some(Cow::Borrowed(&kinds[1..])), ..b() },
            "token_type has 17 entries for 18",
        ),
        (TokenizerMetadata { merges: None, ..b() }, "merges is missing"),
        (TokenizerMetadata { merges: strings(&["a b", "ab"]), ..b() }, "\"ab\" at 1"),
        (TokenizerMetadata { merges: strings(&[""]), ..b() }, "\"\" at 0"),
        (TokenizerMetadata { merges: strings(&["a "]), ..b() }, "\"a \" at 0"),
        (TokenizerMetadata { merges: strings(&["a x"]), ..b() }, "merges"),
        (TokenizerMetadata { merges: strings(&["c c"]), ..b() }, "merges"),
        // Longer than any token: the library below would panic on it.
        (TokenizerMetadata { merges: strings(&["<tool> <tool>"]), ..b() }, "at 0"),
        (llama.clone(), "scores is missing"),
        (
            TokenizerMetadata { scores: Some(&scores[1..]), ..llama.clone() },
            "scores has 17 entries for 18",
        ),
        (TokenizerMetadata { scores: Some(&nan), ..llama.clone() }, "NaN"),
        (
            TokenizerMetadata {
                scores: Some(&scores),
                kinds: Some(Cow::Owned(byte_kinds)),
                ..llama
            },
            "byte token 0 is \"<s>\"",
        ),
    ];
    for (parts, want) in rows {
        let message = Tokenizer::from_parts(&parts).expect_err(want).to_string();
        assert!(message.contains(want), "{message} does not contain {want}");
    }
}

#[test]
fn what_means_nothing_is_ignored() {
    let (tokens, kinds, merges) = tiny();
    let base = parts(&tokens, &kinds, &merges);
    let sound = Tokenizer::from_parts(&base).unwrap();
    // Ids without a token, and types without a meaning.
    let ids = TokenizerMetadata {
        eot: Some(18),
        eom: Some(u32::MAX),
        unknown: Some(32_000),
        ..base.clone()
    };
    let tokenizer = Tokenizer::from_parts(&ids).unwrap();
    assert_eq!(tokenizer.end_of_turn(), sound.end_of_turn());
    let no_bos = Tokenizer::from_parts(&TokenizerMetadata {
        bos: Some(18),
        add_bos: Some(true),
        ..base.clone()
    })
    .unwrap();
    assert_eq!((no_bos.bos(), no_bos.encode("a", true).unwrap()), (None, vec![2]));
    for strange in [0, 7, -1, i32::MAX] {
        let mut kinds = kinds.clone();
        kinds[7] = strange;
        let tokenizer = Tokenizer::from_parts(&TokenizerMetadata {
            kinds: Some(Cow::Owned(kinds)),
            ..base.clone()
        })
        .unwrap();
        assert_eq!(tokenizer.encode("abc", false).unwrap(), [7], "{strange}");
        assert_eq!(tokenizer.decode(&[7], true), "abc", "{strange}");
    }
}

#[test]
fn markers_of_turns_are_control_tokens_whatever_their_type() {
    use TokenKind::{Control, Normal, Unused, UserDefined};
    let table = ["a", "<|im_start|>", "<|im_end|>", "<b>", "<end_of_turn>", "<", "Ġ"];
    let tokens: Strings = table.iter().collect();
    let merges = Strings::default();
    for (kind, is_control) in
        [(Normal, true), (Unused, true), (Control, true), (UserDefined, false)]
    {
        let mut kinds = vec![Normal as i32; table.len()];
        [1, 2, 4].iter().for_each(|&id| kinds[id] = kind as i32);
        let tokenizer = Tokenizer::from_parts(&TokenizerMetadata {
            bos: None,
            eos: None,
            ..parts(&tokens, &kinds, &merges)
        })
        .unwrap();
        assert_eq!(
            tokenizer.encode("<|im_start|>a<|im_end|>", false).unwrap(),
            [1, 0, 2],
            "{kind:?}"
        );
        assert_eq!(tokenizer.is_special(1), is_control, "{kind:?}");
        assert_eq!(tokenizer.end_of_turn(), [2, 4], "{kind:?}");
        assert_eq!(tokenizer.encode("<b>", false).unwrap(), [5], "{kind:?}: no marker");
        if is_control {
            assert_eq!(tokenizer.encode_plain("<|im_end|>").unwrap()[0], 5, "{kind:?}");
            assert_eq!(tokenizer.decode(&[1, 0, 2], true), "a", "{kind:?}");
        }
    }
    // In pieces with scores no text is merged into one, either.
    let table = ["▁", "a", "<end_of_turn>", "<end", "_of_turn>", "<0x3C>"];
    let tokens: Strings = table.iter().collect();
    let (kinds, scores) = ([1, 1, 1, 1, 1, 6], [0.0; 6]);
    let tokenizer = Tokenizer::from_parts(&TokenizerMetadata {
        model: "llama",
        tokens: Cow::Borrowed(&tokens),
        kinds: Some(Cow::Borrowed(&kinds)),
        scores: Some(&scores),
        add_space_prefix: Some(false),
        unknown: Some(1),
        ..TokenizerMetadata::default()
    })
    .unwrap();
    assert_eq!(tokenizer.encode("a<end_of_turn>", false).unwrap(), [1, 2]);
    assert!(!tokenizer.encode_plain("<end_of_turn>").unwrap().contains(&2));
}

#[test]
fn tokens_that_are_no_text_keep_their_bytes() {
    // Old vocabularies have bytes beyond ASCII as they are.
    let table: [&[u8]; 8] =
        [b"<unk>", b"a", b"\xc3", b"\xa9", b"\xe7\x8c", b"\xab", b"\xff<x>", "\u{fffd}".as_bytes()];
    let tokens = Strings::from_bytes(table);
    assert_eq!(
        (tokens.get(2), tokens.raw(2), tokens.raw(7)),
        (Some("\u{fffd}"), Some(&b"\xc3"[..]), None)
    );
    assert_eq!(tokens.bytes(1), Some(&b"a"[..]));
    let scores = [0.0; 8];
    for kinds in [[2, 1, 1, 1, 1, 1, 4, 1], [2, 1, 6, 6, 1, 1, 3, 1]] {
        let tokenizer = Tokenizer::from_parts(&TokenizerMetadata {
            model: "llama",
            tokens: Cow::Borrowed(&tokens),
            kinds: Some(Cow::Borrowed(&kinds)),
            scores: Some(&scores),
            add_space_prefix: Some(false),
            unknown: Some(0),
            ..TokenizerMetadata::default()
        })
        .unwrap();
        assert_eq!(tokenizer.decode(&[1, 2, 3, 4, 5], false), "aé猫");
        assert_eq!(streamed(&tokenizer, &[4, 5, 4, 1], false), "猫\u{fffd}a");
        assert_eq!(tokenizer.encode("aé", false).unwrap(), [1, 2, 3], "byte by byte");
        assert_eq!(
            tokenizer.encode("\u{fffd}", false).unwrap(),
            [7],
            "text is not what only looks like it"
        );
        assert_eq!(tokenizer.decode(&[6], false), "\u{fffd}<x>");
        assert_eq!(tokenizer.encode("\u{fffd}<x>", false).unwrap()[0], 7);
    }
    let merges = Strings::from_bytes([&b"a \xc3"[..]]);
    let kinds = [2, 1, 1, 1, 1, 1, 4, 1];
    let bytes = Tokenizer::from_parts(&parts(&tokens, &kinds, &merges)).unwrap();
    assert_eq!(bytes.decode(&[1, 2, 3], false), "aé");
    assert_eq!(bytes.encode("a", false).unwrap(), [1]);
}

/// A folder with the weights of a tiny checkpoint and this `tokenizer.json`.
fn folder_with(tokenizer: &serde_json::Value) -> (common::Folder, Tokenizer) {
    let folder = common::Folder::new("decoders");
    let tiny = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/llama-f32");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(tiny.join(file), folder.0.join(file)).unwrap();
    }
    folder.write("tokenizer.json", &tokenizer.to_string());
    let tokenizer = Tokenizer::from_source(&Source::open(&folder.0).unwrap()).unwrap();
    (folder, tokenizer)
}

#[test]
fn ids_become_the_text_that_a_decoder_says() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decoders.json");
    let data: serde_json::Value = serde_json::from_slice(&std::fs::read(data).unwrap()).unwrap();
    let mut json = data["tokenizer"].clone();
    let mut built: Option<(common::Folder, Tokenizer)> = None;
    let rows = data["rows"].as_array().unwrap();
    assert!(rows.len() > 300);
    for row in rows {
        if built.is_none() || json["decoder"] != row[0] {
            json["decoder"] = row[0].clone();
            built = Some(folder_with(&json));
        }
        let (_, tokenizer) = built.as_ref().unwrap();
        let ids: Vec<u32> = serde_json::from_value(row[1].clone()).unwrap();
        let (skip, text) = (row[2].as_bool().unwrap(), row[3].as_str().unwrap());
        assert_eq!(tokenizer.decode(&ids, skip), text, "{row}");
        assert_eq!(streamed(tokenizer, &ids, skip), text, "{row}");
    }
}

#[test]
fn text_after_text_keeps_its_spaces() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decoders.json");
    let data: serde_json::Value = serde_json::from_slice(&std::fs::read(data).unwrap()).unwrap();
    let llama = serde_json::json!([
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]);
    let metaspace = serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let rows = [
        (serde_json::json!({"type": "Sequence", "decoders": llama}), [" the", "猫"]),
        (metaspace, [" the", "<0xE7><0x8C><0xAB>"]),
        // Words, with spaces between them alone.
        (serde_json::Value::Null, ["▁the", " <0xE7> <0x8C> <0xAB>"]),
    ];
    for (decoder, wanted) in rows {
        let mut json = data["tokenizer"].clone();
        json["decoder"] = decoder;
        let (_folder, tokenizer) = folder_with(&json);
        let mut stream = TextStream::continuing(&tokenizer, true);
        let first = stream.push(0);
        let next: String = [3, 4, 5].map(|id| stream.push(id)).concat() + &stream.finish();
        assert_eq!([&first, &next], wanted);
    }
}

/// Whatever a file says, there is a tokenizer or an error; and what a tokenizer encodes it can
/// decode.
#[test]
fn random_parts_never_panic() {
    let mut rng = kaiwu::sample::Rng::new(11);
    let mut below = move |n: u64| (rng.next_u64() % n) as usize;
    let alphabet = ["a", "b", "Ġ", "▁", "é", "<", ">", "<0x41>", " ", "\n", "Ã", "🙂", "", "Ċ"];
    let mut built = 0;
    for _ in 0..20_000 {
        let mut word = |most| (0..below(most)).map(|_| alphabet[below(14)]).collect::<String>();
        let tokens: Vec<String> = (0..20).map(|_| word(4)).collect();
        let merges: Strings =
            (0..below(5)).map(|_| format!("{} {}", tokens[below(20)], tokens[below(20)])).collect();
        let kinds: Vec<i32> =
            (0..20).map(|_| [1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 0, 9][below(12)]).collect();
        let scores: Vec<f32> = (0..20).map(|_| -(below(9) as f32)).collect();
        // Some are no text.
        let cut = |text: &String| {
            text.as_bytes()[..text.len() - usize::from(text.ends_with('é'))].to_vec()
        };
        let tokens = Strings::from_bytes(tokens.iter().map(cut));
        let id = |id: usize| (id < 24).then_some(id as u32);
        let parts = TokenizerMetadata {
            model: ["gpt2", "llama"][below(2)],
            pre: Some(["gpt-2", "llama-bpe", "default"][below(3)]),
            tokens: Cow::Borrowed(&tokens),
            kinds: Some(Cow::Owned(kinds)),
            merges: Some(Cow::Owned(merges)),
            scores: Some(&scores),
            bos: id(below(100)),
            unknown: id(below(30)),
            ..TokenizerMetadata::default()
        };
        let Ok(tokenizer) = Tokenizer::from_parts(&parts) else { continue };
        built += 1;
        for text in ["", "ab a <0x41>é\n🙂", " <a>b", "bbbaaab▁a  \n\n"] {
            for ids in
                [tokenizer.encode(text, true), tokenizer.encode_plain(text)].into_iter().flatten()
            {
                assert!(ids.iter().all(|&id| tokenizer.token(id).is_some()), "{parts:?} {ids:?}");
                assert_eq!(
                    streamed(&tokenizer, &ids, false),
                    tokenizer.decode(&ids, false),
                    "{parts:?}"
                );
            }
            let plain = tokenizer.encode_plain(text).unwrap_or_default();
            let control =
                plain.iter().any(|&id| tokenizer.is_special(id) && Some(id) != parts.unknown);
            assert!(!control, "{text:?} became a control token: {parts:?}");
        }
    }
    assert!(built > 4000, "only {built} of the random tokenizers are sound: the test tests little");
}
