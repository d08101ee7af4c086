//! Byte-level BPE, as GPT-2 introduced it: bytes are written as printable characters, then merged.

use std::collections::HashSet;

use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::{Model, models::bpe::BpeBuilder};

use super::pretokenizers::{self, WordCutter};
use crate::error::{Error, Result};
use crate::text::TokenKind;
use crate::text::TokenizerMetadata;

/// The character that stands for each byte: itself where it is printable Latin-1, else one from 256
/// on.
const ALPHABET: [char; 256] = {
    let mut alphabet = ['\0'; 256];
    let mut next = 256;
    let mut byte = 0;
    while byte < 256 {
        let printable = matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let code = if printable { byte as u32 } else { next };
        next += !printable as u32;
        // Below 0x144, where every number is a character.
        alphabet[byte] = match char::from_u32(code) {
            Some(c) => c,
            None => panic!("not a character"),
        };
        byte += 1;
    }
    alphabet
};

/// The byte a character of the alphabet stands for.
const BYTES: [Option<u8>; 0x144] = {
    let mut bytes = [None; 0x144];
    let mut byte = 0;
    while byte < 256 {
        bytes[ALPHABET[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    bytes
};

/// Merges and vocabulary of a byte-level model.
#[derive(Debug)]
pub(in crate::text) struct ByteLevel {
    bpe: BPE,
    words: WordCutter,
    /// Bytes the vocabulary has no token for: some models were trained without the rare ones.
    missing: Vec<u8>,
    /// Tokens whose text another, later token has as well: the merges find only that one. And those
    /// that are no text.
    shadowed: Vec<(u32, String)>,
    /// What the file's silence on BOS means.
    pub add_bos: bool,
}

impl ByteLevel {
    /// Builds from the file's parts. Only normal, user-defined and byte tokens take part in
    /// merging, so no text can be merged into a control token.
    pub fn new(parts: &TokenizerMetadata, kinds: &[TokenKind]) -> Result<Self> {
        let rule = match parts.pre {
            Some(name) => pretokenizers::by_name(name).ok_or_else(|| {
                let known = pretokenizers::known_names().collect::<Vec<_>>().join(", ");
                Error::Tokenizer(format!(
                    "the pre-tokenizer {name:?} is not known; known are {known}"
                ))
            })?,
            None => {
                log::warn!(
                    "the model file names no pre-tokenizer; \"default\" may split words wrongly"
                );
                pretokenizers::by_name("default")
                    .ok_or_else(|| Error::Tokenizer("no default rule".into()))?
            }
        };
        let words =
            WordCutter::new(rule).map_err(|e| Error::Tokenizer(format!("a word pattern: {e}")))?;

        let mut vocab = Vocab::with_capacity(parts.tokens.len());
        let mut shadowed = Vec::new();
        let mut excluded = HashSet::new();
        let mut longest = 0;
        for ((id, token), kind) in (0u32..).zip(parts.tokens.iter()).zip(kinds) {
            if matches!(kind, TokenKind::Normal | TokenKind::UserDefined | TokenKind::Byte) {
                if parts.tokens.raw(id as usize).is_some() {
                    shadowed.push((id, token.to_owned()));
                    continue;
                }
                longest = longest.max(token.len());
                if let Some(earlier) = vocab.insert(token.to_owned(), id) {
                    shadowed.push((earlier, token.to_owned()));
                }
            } else {
                excluded.insert(token);
            }
        }
        shadowed.sort_unstable_by_key(|&(id, _)| id);
        let merges = read_merges(parts, longest, &excluded)?;
        let bpe = BpeBuilder::new()
            .vocab_and_merges(vocab, merges)
            .ignore_merges(rule.ignore_merges)
            .build()
            .map_err(|e| {
                Error::Tokenizer(format!("tokenizer.ggml.merges: {e}; the file is damaged"))
            })?;
        let has = |c: char| bpe.token_to_id(c.encode_utf8(&mut [0; 4])).is_some();
        let missing = (0..=255u8).filter(|&byte| !has(ALPHABET[byte as usize])).collect();
        Ok(Self { bpe, words, missing, shadowed, add_bos: rule.add_bos })
    }

    /// Appends the ids of `text`, which holds no added tokens.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        self.warn_of_missing(text);
        let failed =
            |e: tokenizers::Error| Error::Tokenizer(format!("cannot encode the text: {e}"));
        let mut written = String::new();
        for word in self.words.cut(text).map_err(failed)? {
            written.clear();
            written.extend(word.bytes().map(|byte| ALPHABET[byte as usize]));
            ids.extend(self.bpe.tokenize(&written).map_err(failed)?.iter().map(|token| token.id));
        }
        Ok(())
    }

    /// Appends the bytes a token stands for.
    pub fn decode(&self, id: u32, bytes: &mut Vec<u8>) {
        if let Some(token) = self.token(id) {
            append_spelled(&token, bytes);
        }
    }

    /// The vocabulary entry of an id, as stored.
    pub fn token(&self, id: u32) -> Option<String> {
        self.bpe.id_to_token(id).or_else(|| {
            let at = self.shadowed.binary_search_by_key(&id, |&(id, _)| id).ok()?;
            Some(self.shadowed[at].1.clone())
        })
    }

    /// Such bytes vanish from the ids, as in the models' own tokenizers; people should know.
    fn warn_of_missing(&self, text: &str) {
        if self.missing.is_empty() {
            return;
        }
        let mut lost: Vec<u8> = text.bytes().filter(|byte| self.missing.contains(byte)).collect();
        if !lost.is_empty() {
            let count = lost.len();
            lost.sort_unstable();
            lost.dedup();
            log::warn!(
                "the vocabulary has no token for the bytes {lost:02x?}: {count} of the text are \
                 dropped"
            );
        }
    }
}

/// Appends the bytes that a token written in the alphabet stands for.
pub(in crate::text) fn append_spelled(token: &str, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for c in token.chars() {
        match BYTES.get(c as usize).copied().flatten() {
            Some(byte) => bytes.push(byte),
            // Not written in the alphabet after all: the token is its own text.
            None => {
                bytes.truncate(start);
                bytes.extend_from_slice(token.as_bytes());
                return;
            }
        }
    }
}

/// Splits "left right" pairs. The library trusts their lengths, so they are checked here; that each
/// part is in the vocabulary it checks itself.
fn read_merges(
    parts: &TokenizerMetadata,
    longest: usize,
    excluded: &HashSet<&str>,
) -> Result<Merges> {
    let Some(merges) = &parts.merges else {
        return Err(Error::Tokenizer(
            "tokenizer.ggml.merges is missing; choose a complete model file".into(),
        ));
    };
    // Most merges differ in length from every excluded token, and need no look-up.
    let lengths: HashSet<usize> = excluded.iter().map(|token| token.len()).collect();
    let is_excluded = |text: &str| lengths.contains(&text.len()) && excluded.contains(text);
    let mut merged = String::new();
    let mut pairs = Merges::with_capacity(merges.len());
    for (rank, merge) in merges.iter().enumerate() {
        if merges.raw(rank).is_some() {
            // Not of text, so no text needs it.
            continue;
        }
        // The left part has at least one byte, so a space there belongs to it.
        let space = merge.bytes().skip(1).position(|byte| byte == b' ').map(|at| at + 1);
        let (left, right) = space.map_or((merge, ""), |at| (&merge[..at], &merge[at + 1..]));
        if right.is_empty() || left.len() + right.len() > longest {
            let shown: String = merge.chars().take(40).collect();
            return Err(Error::Tokenizer(format!(
                "tokenizer.ggml.merges has {shown:?} at {rank}, which is not two parts of a \
                 token; the file is damaged"
            )));
        }
        merged.clear();
        merged.push_str(left);
        merged.push_str(right);
        if is_excluded(left) || is_excluded(right) || is_excluded(&merged) {
            continue;
        }
        pairs.push((left.to_owned(), right.to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_gpt2s_and_has_an_inverse() {
        assert_eq!(ALPHABET[b'A' as usize], 'A');
        assert_eq!(ALPHABET[b' ' as usize], 'Ġ');
        assert_eq!(ALPHABET[b'\n' as usize], 'Ċ');
        assert_eq!(ALPHABET[0xad], 'Ń');
        for byte in 0..=255u8 {
            assert_eq!(BYTES[ALPHABET[byte as usize] as usize], Some(byte));
        }
    }
}
