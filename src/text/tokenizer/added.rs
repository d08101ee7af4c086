//! Tokens that merging never forms: control tokens, user-defined pieces, and fillers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::format::Strings;
use crate::text::TokenKind;

/// The tokens that are not of the merged vocabulary, found in text as wholes.
#[derive(Debug, Default)]
pub(in crate::text) struct AddedTokens {
    by_id: HashMap<u32, (Arc<str>, TokenKind)>,
    by_text: HashMap<Arc<str>, u32>,
    /// For each first byte, the lengths in bytes of the tokens that start with it, the longest
    /// first.
    lengths: HashMap<u8, Vec<usize>>,
    /// Whether tokens take the spaces after them, as Phi-3's do.
    take_spaces: bool,
}

/// Whether a GGUF file of this name has tokens that take the spaces after them. There is no other
/// word for it: llama.cpp, too, knows Phi-3 by its name.
pub(in crate::text) fn named_phi3(name: &str) -> bool {
    let name = name.to_lowercase();
    name.contains("phi-3") || name.contains("phi3")
}

/// Tokens that such a file has. The first three do not take spaces.
pub(in crate::text) const PHI3_TOKENS: [&str; 4] = ["<unk>", "<s>", "<|endoftext|>", "</s>"];

/// Which of its tokens do.
pub(in crate::text) fn phi3_takes_spaces(token: &str) -> bool {
    !PHI3_TOKENS[..3].contains(&token)
}

/// A stretch of text, or a token found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::text) enum Segment<'a> {
    Text(&'a str),
    Token(u32),
}

impl AddedTokens {
    /// From a whole vocabulary and the kinds of its tokens.
    pub fn new(tokens: &Strings, kinds: &[TokenKind]) -> Self {
        let all =
            (0u32..).zip(tokens.iter()).zip(kinds).map(|((id, text), &kind)| (id, text, kind));
        let mut added = Self::from_tokens(all);
        // No text has these bytes.
        added.by_text.retain(|_, id| tokens.raw(*id as usize).is_none());
        added
    }

    /// From ids, texts and kinds.
    pub fn from_tokens<'a>(tokens: impl Iterator<Item = (u32, &'a str, TokenKind)>) -> Self {
        let mut added = Self::default();
        for (id, text, kind) in tokens {
            if matches!(kind, TokenKind::Normal | TokenKind::Byte) {
                continue;
            }
            let text: Arc<str> = text.into();
            // A filler can be read, but is never matched; nor is an empty text.
            if let (Some(&first), true) = (text.as_bytes().first(), kind != TokenKind::Unused) {
                added.lengths.entry(first).or_default().push(text.len());
                added.by_text.insert(text.clone(), id);
            }
            added.by_id.insert(id, (text, kind));
        }
        for lengths in added.lengths.values_mut() {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
        }
        added
    }

    /// These tokens, taking the spaces after them if the model's name says so.
    pub fn named(self, name: Option<&str>) -> Self {
        Self { take_spaces: name.is_some_and(named_phi3), ..self }
    }

    pub fn get(&self, id: u32) -> Option<(&str, TokenKind)> {
        self.by_id.get(&id).map(|(text, kind)| (&**text, *kind))
    }

    /// The id of an added token by its exact text.
    pub fn id(&self, text: &str) -> Option<u32> {
        self.by_text.get(text).copied()
    }

    /// Cuts `text` at the added tokens in it: the leftmost first, the longest of those that start
    /// there. Control tokens count only with `parse_special`.
    pub fn cut<'a>(&self, text: &'a str, parse_special: bool) -> Vec<Segment<'a>> {
        let mut segments = Vec::new();
        let mut start = 0;
        let mut at = 0;
        while at < text.len() {
            let Some((id, length)) = self.starting_at(text, at, parse_special) else {
                at += 1;
                continue;
            };
            if start < at {
                segments.push(Segment::Text(&text[start..at]));
            }
            segments.push(Segment::Token(id));
            at += length;
            if self.take_spaces && phi3_takes_spaces(&text[at - length..at]) {
                at = text.len() - text[at..].trim_start().len();
            }
            start = at;
        }
        if start < text.len() {
            segments.push(Segment::Text(&text[start..]));
        }
        segments
    }

    /// `at` may be inside a character: no token starts with such a byte.
    fn starting_at(&self, text: &str, at: usize, parse_special: bool) -> Option<(u32, usize)> {
        let lengths = self.lengths.get(&text.as_bytes()[at])?;
        lengths.iter().find_map(|&length| {
            let id = *self.by_text.get(text.get(at..at + length)?)?;
            let special = self.by_id.get(&id).is_some_and(|(_, kind)| kind.is_special());
            (parse_special || !special).then_some((id, length))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_leftmost_longest_and_only_what_is_asked_for() {
        use Segment::{Text, Token};
        let table = [
            ("a", TokenKind::Normal),
            ("<s>", TokenKind::Control),
            ("\n", TokenKind::UserDefined),
            ("\n\n", TokenKind::UserDefined),
            ("<pad>", TokenKind::Unused),
            ("é!", TokenKind::UserDefined),
            ("", TokenKind::Control),
            ("<s>\n", TokenKind::UserDefined),
        ];
        let tokens: Strings = table.iter().map(|(text, _)| text).collect();
        let kinds: Vec<TokenKind> = table.iter().map(|&(_, kind)| kind).collect();
        let added = AddedTokens::new(&tokens, &kinds);
        let rows: [(&str, bool, &[Segment]); 9] = [
            ("", true, &[]),
            ("a", true, &[Text("a")]),
            ("a<s>a", true, &[Text("a"), Token(1), Text("a")]),
            ("a<s>a", false, &[Text("a<s>a")]),
            ("<s><s>", true, &[Token(1), Token(1)]),
            ("\n\n\n", false, &[Token(3), Token(2)]),
            ("<s>\n", true, &[Token(7)]),
            ("<pad>é!é", true, &[Text("<pad>"), Token(5), Text("é")]),
            ("é<s", true, &[Text("é<s")]),
        ];
        for (text, parse_special, want) in rows {
            assert_eq!(
                added.cut(text, parse_special),
                want,
                "{text:?} parse_special {parse_special}"
            );
        }
        assert_eq!(added.get(4), Some(("<pad>", TokenKind::Unused)));
        let phi3 = added.named(Some("Microsoft Phi-3 mini"));
        let rows: [(&str, bool, &[Segment]); 4] = [
            ("é! \n a", true, &[Token(5), Text("a")]),
            ("é! \n <s> \n\n ", true, &[Token(5), Token(1), Text(" "), Token(3)]),
            ("é! ", true, &[Token(5)]),
            ("a<s> é!", false, &[Text("a<s> "), Token(5)]),
        ];
        for (text, parse_special, want) in rows {
            assert_eq!(
                phi3.cut(text, parse_special),
                want,
                "{text:?} parse_special {parse_special}"
            );
        }
        let added = phi3.named(Some("Phi 4"));
        assert_eq!(added.cut("é! a", true), [Token(5), Text(" a")]);
        assert_eq!(added.get(0), None);
    }
}
