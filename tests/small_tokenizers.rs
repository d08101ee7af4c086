//! Tokenizers of a few tokens, worked out by hand, and damaged ones.

mod common;

use std::borrow::Cow;

use common::streamed;
use kaiwu::format::Strings;
use kaiwu::text::{TextStream, TokenKind, Tokenizer, TokenizerParts};

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

/// Whatever a file says, there is a tokenizer or an error; and what a tokenizer encodes it can decode.
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
        let kinds: Vec<i32> = (0..20).map(|_| [1, 1, 1, 1, 1, 1, 2, 3, 4, 5][below(10)]).collect();
        let scores: Vec<f32> = (0..20).map(|_| -(below(9) as f32)).collect();
        let tokens: Strings = tokens.iter().collect();
        let id = |id: usize| (id < 24).then_some(id as u32);
        let parts = TokenizerParts {
            model: ["gpt2", "llama"][below(2)],
            pre: Some(["gpt-2", "llama-bpe", "default"][below(3)]),
            tokens: Cow::Borrowed(&tokens),
            kinds: Some(Cow::Owned(kinds)),
            merges: Some(Cow::Owned(merges)),
            scores: Some(&scores),
            bos: id(below(100)),
            unknown: id(below(30)),
            ..TokenizerParts::default()
        };
        let Ok(tokenizer) = Tokenizer::from_parts(&parts) else { continue };
        built += 1;
        for text in ["", "ab a <0x41>é\n🙂", " <a>b", "bbbaaab▁a  \n\n"] {
            for ids in [tokenizer.encode(text, true), tokenizer.encode_plain(text)].into_iter().flatten() {
                assert!(ids.iter().all(|&id| tokenizer.token(id).is_some()), "{parts:?} {ids:?}");
                assert_eq!(streamed(&tokenizer, &ids, false), tokenizer.decode(&ids, false), "{parts:?}");
            }
            let plain = tokenizer.encode_plain(text).unwrap_or_default();
            let control = plain.iter().any(|&id| tokenizer.is_special(id) && Some(id) != parts.unknown);
            assert!(!control, "{text:?} became a control token: {parts:?}");
        }
    }
    assert!(built > 4000, "only {built} of the random tokenizers are sound: the test tests little");
}
