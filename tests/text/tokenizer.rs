//! Token ids against reference tokenizers, and text through ids and back.

use crate::common;
use crate::common::ids;
use crate::common::streamed;
use kaiwu::format::Gguf;
use kaiwu::text::{ChatTemplate, Message, TextStream, Tokenizer};

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
            let messages: Vec<_> = messages
                .iter()
                .map(|m| Message::new(field(m, "role"), field(m, "content")))
                .collect();
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

/// The ids of awkward texts; `key` names the model's in the file.
fn check_rows(tokenizer: &Tokenizer, key: &str) {
    let rows = common::golden("token-ids.json");
    for row in rows.as_array().unwrap() {
        let text = row["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text, false).unwrap(), ids(&row[key]), "{text:?}");
    }
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

#[test]
fn smollm2_ids_are_the_reference_tokenizers() {
    let (gguf, tokenizer) = open(common::default_model());
    check_golden(&gguf, &tokenizer, "SmolLM2-135M-Instruct.Q4_1.json");
    check_rows(&tokenizer, "smollm2");
    assert_eq!(tokenizer.vocab_size(), 49152);
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    assert_eq!(tokenizer.end_of_turn(), [0, 2]);
    assert_eq!(tokenizer.token(2).as_deref(), Some("<|im_end|>"));
    assert_eq!(tokenizer.token(260).as_deref(), Some("Ġthe"));
    assert_eq!(tokenizer.token(49152), None);
}

/// This vocabulary lacks six control characters and the planes from U+40000 to U+BFFFF, which its
/// own tokenizer drops as well.
#[test]
fn smollm2_text_survives_ids() {
    let (_, tokenizer) = open(common::default_model());
    check_round_trips(&tokenizer, str::to_owned);
    let lost = "a\u{4}\u{6}\u{13}\u{14}\u{16}\u{1d}b";
    assert_eq!(tokenizer.decode(&tokenizer.encode(lost, false).unwrap(), false), "ab");
    // Every other character below U+3000 survives alone, and so do the ends of each range of UTF-8.
    let ends = ['\u{ffff}', '\u{10000}', '\u{3ffff}', '\u{c0000}', '\u{10ffff}'];
    for c in (0..0x3000).filter_map(char::from_u32).chain(ends).filter(|&c| !lost[1..].contains(c))
    {
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
    check_rows(&tokenizer, "gemma");
    assert_eq!(tokenizer.end_of_turn(), [1, 106]);
    assert!(ChatTemplate::from_gguf(&gguf, &tokenizer).unwrap().is_none());
    // ▁ in text reads as a space, as in SentencePiece itself.
    check_round_trips(&tokenizer, |text| text.replace('▁', " "));
    let turn = tokenizer.encode("<bos><start_of_turn>user\n", true).unwrap();
    assert_eq!(turn[..2], [2, 105], "BOS is not doubled");
}

/// A tokenizer can be built beside the device's start, on another thread.
#[test]
fn a_tokenizer_can_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Tokenizer>();
    crosses::<ChatTemplate>();
}
