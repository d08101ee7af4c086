//! Token ids against reference tokenizers, and text through ids and back.

mod common;

use kaiwu::format::{Gguf, Strings};
use kaiwu::text::{ChatTemplate, Message, TextStream, TokenKind, Tokenizer, TokenizerParts};
use std::borrow::Cow;

/// Strings that trip tokenizers.
const NASTY: [&str; 30] = [
    "",
    " ",
    "  ",
    "        ",
    "\t",
    "\t\t x\t",
    "\n",
    "\r\n",
    "a\r\n\r\nb\rc",
    "  leading and trailing  ",
    "\u{a0}no-break\u{2003}em\u{200b}zero",
    "👩‍👩‍👧‍👦👍🏽 🇫🇷",
    "e\u{301}\u{323}a\u{308} Z͑ͫ̓ͪ",
    "漢字と仮名、한국어",
    "السلام عليكم ٣٤٥",
    "नमस्ते दुनिया",
    "0 12 345 6789 ½ ² Ⅷ 1,000.50",
    "\u{1}\u{2}\u{7f}",
    "\u{0}",
    "\u{85}\u{2028}\u{feff}\u{fffd}",
    "\u{10ffff}\u{e000}",
    "<|im_start|>user\nhi<|im_end|>",
    "<|im_start",
    "|im_end|><|im_end|",
    "<0x0A><s></s><bos><start_of_turn>",
    "▁under▁",
    "Ġ Ċ",
    "I'LL don't it's 'tis ''",
    "a\u{200d}b\u{fe0f}",
    "https://example.org/?q=%20&x=[1,2]{3}#\\~`^",
];

fn open(path: std::path::PathBuf) -> (Gguf, Tokenizer) {
    let gguf = Gguf::open(&path).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    (gguf, tokenizer)
}

fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Every prompt, its chat template, the text, and the greedy ids' text, of a reference file.
fn check_golden(gguf: &Gguf, tokenizer: &Tokenizer, golden: &str) {
    let golden = common::golden(golden);
    let prompts = golden["prompts"].as_array().unwrap();
    assert!(!prompts.is_empty());
    let added = tokenizer.encode("", true).unwrap().len();
    for prompt in prompts {
        let text = prompt["text"].as_str().unwrap();
        if let Some(messages) = prompt["prompt"].as_array() {
            let field = |m: &serde_json::Value, name: &str| m[name].as_str().unwrap().to_owned();
            let messages: Vec<_> =
                messages.iter().map(|m| Message::new(field(m, "role"), field(m, "content"))).collect();
            let template = ChatTemplate::from_gguf(gguf, tokenizer).unwrap().unwrap();
            assert_eq!(template.render(&messages, true).unwrap(), text);
        }
        let want = ids(&prompt["input_ids"]);
        assert_eq!(tokenizer.encode(text, true).unwrap(), want, "{text:?}");
        assert_eq!(tokenizer.decode(&want[added..], false), text);
        let greedy = ids(&prompt["greedy_ids"]);
        assert_eq!(tokenizer.decode(&greedy, false), prompt["greedy_text"].as_str().unwrap());
    }
    let text = std::fs::read_to_string(common::data("text.txt")).unwrap();
    assert_eq!(tokenizer.encode(&text, true).unwrap(), ids(&golden["text"]["input_ids"]));
}

/// Through ids and back, at once and streamed. `kept` is what the vocabulary can express of a text.
fn check_round_trips(tokenizer: &Tokenizer, kept: impl Fn(&str) -> String) {
    let long = NASTY.join(" ");
    for text in NASTY.iter().copied().chain([long.as_str()]) {
        for (how, ids) in [
            ("parsed", tokenizer.encode(text, false).unwrap()),
            ("plain", tokenizer.encode_plain(text).unwrap()),
        ] {
            assert_eq!(tokenizer.decode(&ids, false), kept(text), "{how} {text:?} {ids:?}");
            assert_eq!(streamed(tokenizer, &ids, false), kept(text), "{how} {text:?}, streamed");
            if how == "plain" {
                assert!(!ids.iter().any(|&id| tokenizer.is_special(id)), "{text:?} became {ids:?}");
            }
        }
    }
}

/// The pieces of a stream, joined; none may be damaged where the whole is not.
fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip_special: bool) -> String {
    let mut stream = TextStream::new(tokenizer, skip_special);
    let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    pieces.push(stream.finish());
    pieces.concat()
}

#[test]
fn smollm2_ids_are_the_reference_tokenizers() {
    let (gguf, tokenizer) = open(common::default_model());
    check_golden(&gguf, &tokenizer, "SmolLM2-135M-Instruct.Q4_1.json");
    assert_eq!(tokenizer.vocab_size(), 49152);
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    assert_eq!(tokenizer.end_of_turn(), [0, 2]);
    assert_eq!(tokenizer.token(2).as_deref(), Some("<|im_end|>"));
    assert_eq!(tokenizer.token(260).as_deref(), Some("Ġthe"));
    assert_eq!(tokenizer.token(49152), None);
}

/// This vocabulary lacks six control characters and the planes from U+40000 to U+BFFFF, which its own
/// tokenizer drops as well.
#[test]
fn smollm2_text_survives_ids() {
    let (_, tokenizer) = open(common::default_model());
    check_round_trips(&tokenizer, str::to_owned);
    let lost = "a\u{4}\u{6}\u{13}\u{14}\u{16}\u{1d}b";
    assert_eq!(tokenizer.decode(&tokenizer.encode(lost, false).unwrap(), false), "ab");
    // Every other character below U+3000 survives alone, and so do the ends of each range of UTF-8.
    let ends = ['\u{ffff}', '\u{10000}', '\u{3ffff}', '\u{c0000}', '\u{10ffff}'];
    for c in (0..0x3000).filter_map(char::from_u32).chain(ends).filter(|&c| !lost[1..].contains(c)) {
        let text = format!("x{c}y");
        let ids = tokenizer.encode(&text, false).unwrap();
        assert_eq!(tokenizer.decode(&ids, false), text, "{c:?}");
        assert_eq!(streamed(&tokenizer, &ids, false), text, "{c:?}");
    }
}

#[test]
fn smollm2_special_tokens_are_parsed_skipped_or_left_as_text() {
    let (_, tokenizer) = open(common::default_model());
    let text = "<|im_start|>user\nhi<|im_end|>";
    let parsed = tokenizer.encode(text, false).unwrap();
    assert_eq!((parsed[0], *parsed.last().unwrap()), (1, 2));
    assert_eq!(tokenizer.decode(&parsed, true), "user\nhi");
    let plain = tokenizer.encode_plain(text).unwrap();
    assert!(plain.iter().all(|&id| id > 16), "{plain:?}");
    assert_eq!(tokenizer.decode(&plain, true), text);
}

/// Any ids, also ones no text gives: halves of characters, ids outside the vocabulary.
#[test]
fn streamed_pieces_join_to_the_whole_for_any_ids() {
    let (_, tokenizer) = open(common::default_model());
    let mut rng = kaiwu::sample::Rng::new(7);
    for _ in 0..300 {
        // Mostly the low ids, where the single bytes are.
        let range = if rng.next_u64().is_multiple_of(4) { 50_000 } else { 300 };
        let ids: Vec<u32> = (0..24).map(|_| (rng.next_u64() % range) as u32).collect();
        for skip in [false, true] {
            assert_eq!(streamed(&tokenizer, &ids, skip), tokenizer.decode(&ids, skip), "{ids:?}");
        }
    }
}

#[test]
fn a_character_in_several_tokens_comes_out_whole() {
    let (_, tokenizer) = open(common::default_model());
    let ids = tokenizer.encode("は🫠", false).unwrap();
    assert!(ids.len() >= 4, "{ids:?}");
    let mut stream = TextStream::new(&tokenizer, true);
    let pieces: Vec<String> =
        ids.iter().map(|&id| stream.push(id)).filter(|piece| !piece.is_empty()).collect();
    assert_eq!(pieces, ["は", "🫠"]);
    assert_eq!(stream.finish(), "");
    // Cut short, it ends in one replacement character.
    let mut cut = TextStream::new(&tokenizer, true);
    let most: String = ids[..ids.len() - 1].iter().map(|&id| cut.push(id)).collect();
    assert_eq!(most + &cut.finish(), "は\u{fffd}");
    assert_eq!(cut.finish(), "");
}

#[test]
#[ignore = "needs the 253 MB of Gemma 3 270M: tests/data/README.md"]
fn gemma_ids_are_the_reference_tokenizers() {
    let (gguf, tokenizer) = open(common::gemma_model());
    check_golden(&gguf, &tokenizer, "gemma-3-270m-q4_k_m.json");
    assert_eq!(tokenizer.end_of_turn(), [1, 106]);
    assert!(ChatTemplate::from_gguf(&gguf, &tokenizer).unwrap().is_none());
    // ▁ in text reads as a space, as in SentencePiece itself.
    check_round_trips(&tokenizer, |text| text.replace('▁', " "));
    let turn = tokenizer.encode("<bos><start_of_turn>user\n", true).unwrap();
    assert_eq!(turn[..2], [2, 105], "BOS is not doubled");
}

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
        ("s", Normal),
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

fn parts<'a>(tokens: &'a Strings, kinds: &'a [i32], merges: &'a Strings) -> TokenizerParts<'a> {
    TokenizerParts {
        model: "gpt2",
        pre: Some("gpt-2"),
        tokens: Cow::Borrowed(tokens),
        kinds: Some(Cow::Borrowed(kinds)),
        merges: Some(Cow::Borrowed(merges)),
        bos: Some(0),
        eos: Some(1),
        ..TokenizerParts::default()
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
        let tokenizer = Tokenizer::from_parts(&TokenizerParts { add_bos, add_eos, ..base.clone() }).unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap(), want, "{add_bos:?} {add_eos:?} {text:?}");
    }
    // llama-bpe files that do not say begin with BOS.
    let llama = Tokenizer::from_parts(&TokenizerParts { pre: Some("llama-bpe"), ..base.clone() }).unwrap();
    assert_eq!(llama.encode("a", true).unwrap(), [0, 2]);
}

#[test]
fn a_small_sentencepiece_tokenizer_merges_by_score() {
    use TokenKind::{Byte, Control, Normal, Unknown, UserDefined};
    let table: [(&str, f32, TokenKind); 13] = [
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
    ];
    let tokens: Strings = table.iter().map(|(text, ..)| text).collect();
    let scores: Vec<f32> = table.iter().map(|&(_, score, _)| score).collect();
    let kinds: Vec<i32> = table.iter().map(|&(.., kind)| kind as i32).collect();
    let base = TokenizerParts {
        model: "llama",
        tokens: Cow::Borrowed(&tokens),
        kinds: Some(Cow::Borrowed(&kinds)),
        scores: Some(&scores),
        bos: Some(1),
        unknown: Some(0),
        add_space_prefix: Some(false),
        ..TokenizerParts::default()
    };
    let tokenizer = Tokenizer::from_parts(&base).unwrap();
    let rows: [(&str, &[u32]); 9] = [
        ("", &[]),
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
    assert_eq!(tokenizer.encode("a", true).unwrap(), [1, 3], "SentencePiece files begin with BOS by default");
    // The space prefix goes to the beginning and after special tokens, and decoding takes the first one back.
    let prefixed = Tokenizer::from_parts(&TokenizerParts { add_space_prefix: None, ..base.clone() }).unwrap();
    assert_eq!(prefixed.encode("ab", false).unwrap(), [12]);
    assert_eq!(prefixed.encode("<s>ab", false).unwrap(), [1, 12]);
    assert_eq!(prefixed.decode(&[1, 12], true), "ab");
    assert_eq!(prefixed.decode(&[12, 12], true), "ab ab");
    let mut continuing = TextStream::continuing(&prefixed, true);
    assert_eq!(continuing.push(12), " ab");
    let no_unknown = Tokenizer::from_parts(&TokenizerParts { unknown: None, ..base }).unwrap();
    assert!(no_unknown.encode("z", false).unwrap_err().to_string().contains("\"z\""));
}

#[test]
fn damaged_parts_are_errors_that_name_them() {
    let (tokens, kinds, merges) = tiny();
    let base = parts(&tokens, &kinds, &merges);
    let strings =
        |list: &[&str]| -> Option<Cow<'static, Strings>> { Some(Cow::Owned(list.iter().collect())) };
    let bad_kinds: Vec<i32> = std::iter::once(9).chain(kinds[1..].iter().copied()).collect();
    let llama = TokenizerParts { model: "llama", ..base.clone() };
    let byte_kinds = vec![6; tokens.len()];
    let scores = vec![0.0; tokens.len()];
    let nan = vec![f32::NAN; tokens.len()];
    let b = || base.clone();
    let rows: [(TokenizerParts, &str); 18] = [
        (TokenizerParts { model: "bert", ..b() }, "\"bert\""),
        (
            TokenizerParts { pre: Some("martian"), ..b() },
            "\"martian\" is not known; known are default, gpt-2",
        ),
        (TokenizerParts { tokens: Cow::Owned(Strings::default()), ..b() }, "0 tokens"),
        (
            TokenizerParts { kinds: Some(Cow::Borrowed(&kinds[1..])), ..b() },
            "token_type has 17 entries for 18",
        ),
        (TokenizerParts { kinds: Some(Cow::Borrowed(&bad_kinds)), ..b() }, "token 0 has the type 9"),
        (TokenizerParts { bos: Some(18), ..b() }, "bos_token_id is 18"),
        (TokenizerParts { eot: Some(u32::MAX), ..b() }, "eot_token_id"),
        (TokenizerParts { merges: None, ..b() }, "merges is missing"),
        (TokenizerParts { merges: strings(&["a b", "ab"]), ..b() }, "\"ab\" at 1"),
        (TokenizerParts { merges: strings(&[""]), ..b() }, "\"\" at 0"),
        (TokenizerParts { merges: strings(&["a "]), ..b() }, "\"a \" at 0"),
        (TokenizerParts { merges: strings(&["a x"]), ..b() }, "merges"),
        (TokenizerParts { merges: strings(&["c c"]), ..b() }, "merges"),
        // Longer than any token: the library below would panic on it.
        (TokenizerParts { merges: strings(&["<tool> <tool>"]), ..b() }, "at 0"),
        (llama.clone(), "scores is missing"),
        (TokenizerParts { scores: Some(&scores[1..]), ..llama.clone() }, "scores has 17 entries for 18"),
        (TokenizerParts { scores: Some(&nan), ..llama.clone() }, "NaN"),
        (
            TokenizerParts { scores: Some(&scores), kinds: Some(Cow::Owned(byte_kinds)), ..llama },
            "byte token 0 is \"<s>\"",
        ),
    ];
    for (parts, want) in rows {
        let message = Tokenizer::from_parts(&parts).expect_err(want).to_string();
        assert!(message.contains(want), "{message} does not contain {want}");
    }
}
