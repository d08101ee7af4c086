//! Byte-level tokenizers give back every text whose bytes they have, whole and as a stream.

use crate::common;
use crate::common::streamed;
use kaiwu::format::Source;
use kaiwu::text::Tokenizer;
use kaiwu::workbench::Numbers;
use std::path::Path;

/// A text of up to 60 characters of all kinds: ASCII, spaces and controls, accents that combine,
/// other scripts, emoji with joiners, and anything at all.
fn text(numbers: &mut Numbers) -> String {
    let mut next = |most: u64| (numbers.next_u64() % most) as u32;
    let length = next(61);
    let character = |_| match next(8) {
        0 | 1 => char::from(b' ' + next(95) as u8),
        2 => ['\n', '\r', '\t', ' ', ' ', '\u{a0}', '\0', '\u{3000}'][next(8) as usize],
        3 => ['\u{301}', '\u{200d}', '\u{fe0f}', 'é', 'ß', '\u{feff}', 'ı', '\u{e000}']
            [next(8) as usize],
        4 => char::from_u32(0x4e00 + next(0x5000)).unwrap_or(' '),
        5 => char::from_u32(0x1f300 + next(0x400)).unwrap_or(' '),
        6 => ['<', '|', '>', 'i', 'm', '_', 'e', '\''][next(8) as usize],
        // SmolLM2 has no tokens for some controls, and for bytes that characters of higher planes
        // begin with.
        _ => char::from_u32(32 + next(0x2_ff00)).unwrap_or('\u{fffd}'),
    };
    (0..length).map(character).collect()
}

#[test]
fn every_text_comes_back() {
    let tiny =
        |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name);
    for path in [tiny("llama-f32"), tiny("gpt2-f32"), common::default_model()] {
        let tokenizer = Tokenizer::from_source(&Source::open(&path).unwrap()).unwrap();
        let mut numbers = Numbers::new(11);
        for round in 0..2000 {
            let text = text(&mut numbers);
            let ids = tokenizer.encode_plain(&text).unwrap();
            assert_eq!(tokenizer.decode(&ids, true), text, "{}, round {round}", path.display());
            assert_eq!(
                streamed(&tokenizer, &ids, true),
                text,
                "{}, round {round}, streamed",
                path.display()
            );
        }
    }
}
