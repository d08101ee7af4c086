//! SentencePiece's BPE: characters are merged by the score of the piece they form, across the whole
//! text.
//!
//! After Kudo and Richardson (2018) and the behaviour of llama.cpp for `tokenizer.ggml.model` =
//! "llama": of all neighbours whose joined text is a piece, the pair with the highest score is
//! joined first, the leftmost among equals. Spaces are written ▁ (U+2581). What is left without a
//! piece is written in byte tokens.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::vocabulary::Vocabulary;
use crate::error::{Error, Result};
use crate::text::TokenKind;
use crate::text::TokenizerMetadata;

/// Stands for a space inside pieces.
pub(in crate::text) const SPACE: &str = "\u{2581}";

/// Pieces and scores of a SentencePiece model.
#[derive(Debug)]
pub(in crate::text) struct SentencePiece {
    pieces: Vocabulary,
    scores: Vec<f32>,
    kinds: Vec<TokenKind>,
    /// The id of each byte's token.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    /// A text is read as if a space stood before it.
    pub add_space_prefix: bool,
}

/// A stretch of the text that is one piece by now. Absorbed ones have length 0.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    length: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that form a piece. Outdated once the sum of their lengths differs.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl SentencePiece {
    /// Builds from the file's parts. Only normal and user-defined tokens can be merged into, so
    /// text can form neither control nor byte tokens by spelling them.
    pub fn new(parts: &TokenizerMetadata, kinds: &[TokenKind]) -> Result<Self> {
        let Some(scores) = parts.scores else {
            return Err(Error::Tokenizer(
                "tokenizer.ggml.scores is missing; choose a complete model file".into(),
            ));
        };
        if scores.len() != parts.tokens.len() {
            return Err(Error::Tokenizer(format!(
                "tokenizer.ggml.scores has {} entries for {} tokens; the file is damaged",
                scores.len(),
                parts.tokens.len()
            )));
        }
        if let Some(id) = scores.iter().position(|score| score.is_nan()) {
            return Err(Error::Tokenizer(format!(
                "the score of token {id} is NaN; the file is damaged"
            )));
        }
        let mergeable =
            |id: u32| matches!(kinds[id as usize], TokenKind::Normal | TokenKind::UserDefined);
        let pieces = Vocabulary::new(&parts.tokens, mergeable)
            .ok_or_else(|| Error::Tokenizer("the vocabulary is larger than 4 GiB".into()))?;
        let mut bytes = vec![None; 256];
        for ((id, token), &kind) in (0u32..).zip(parts.tokens.iter()).zip(kinds) {
            if kind == TokenKind::Byte {
                let raw = match parts.tokens.bytes(id as usize) {
                    Some(&[byte]) => Some(byte),
                    _ => None,
                };
                let byte = byte_of(token).or(raw).ok_or_else(|| {
                    Error::Tokenizer(format!(
                        "byte token {id} is {token:?}, not like <0x0A>; the file is damaged"
                    ))
                })?;
                bytes[byte as usize] = Some(id);
            }
        }
        // Old vocabularies have the byte itself.
        for (id, raw) in parts.tokens.all_raw() {
            if let ([byte], true) = (raw, mergeable(id as u32)) {
                bytes[*byte as usize].get_or_insert(id as u32);
            }
        }
        Ok(Self {
            pieces,
            scores: scores.to_vec(),
            kinds: kinds.to_vec(),
            bytes,
            unknown: parts.unknown,
            add_space_prefix: parts.add_space_prefix.unwrap_or(true),
        })
    }

    /// Appends the ids of `text`, which holds no added tokens and is as long as it can be: at its
    /// beginning, or after an added token, is where a space prefix goes.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut written = String::with_capacity(text.len() + text.len() / 4 + SPACE.len());
        if self.add_space_prefix {
            written.push_str(SPACE);
        }
        for part in text.split_inclusive(' ') {
            match part.strip_suffix(' ') {
                Some(word) => {
                    written.push_str(word);
                    written.push_str(SPACE);
                }
                None => written.push_str(part),
            }
        }
        for symbol in self.merge(&written) {
            let piece = &written[symbol.start..symbol.start + symbol.length];
            match self.pieces.id(piece) {
                Some(id) => ids.push(id),
                None => self.spell(piece, ids)?,
            }
        }
        Ok(())
    }

    /// Joins pairs until none is left; the remaining symbols in order.
    fn merge(&self, text: &str) -> impl Iterator<Item = Symbol> {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(i, (start, c))| Symbol {
                start,
                length: c.len_utf8(),
                previous: i.checked_sub(1),
                next: Some(i + 1),
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = None;
        }
        let mut pairs = BinaryHeap::new();
        for right in 1..symbols.len() {
            pairs.extend(self.pair(text, &symbols, right - 1, right));
        }
        while let Some(Pair { left, right, length, .. }) = pairs.pop() {
            let (a, b) = (symbols[left], symbols[right]);
            if a.length == 0 || b.length == 0 || a.length + b.length != length {
                continue;
            }
            symbols[left].length = length;
            symbols[left].next = b.next;
            symbols[right].length = 0;
            if let Some(next) = b.next {
                symbols[next].previous = Some(left);
                pairs.extend(self.pair(text, &symbols, left, next));
            }
            if let Some(previous) = a.previous {
                pairs.extend(self.pair(text, &symbols, previous, left));
            }
        }
        symbols.into_iter().filter(|symbol| symbol.length > 0)
    }

    fn pair(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
        let start = symbols[left].start;
        let length = symbols[left].length + symbols[right].length;
        let id = self.pieces.id(&text[start..start + length])?;
        Some(Pair { score: self.scores[id as usize], left, right, length })
    }

    /// Appends byte tokens; the unknown token where the vocabulary has none.
    fn spell(&self, piece: &str, ids: &mut Vec<u32>) -> Result<()> {
        for byte in piece.bytes() {
            let Some(id) = self.bytes[byte as usize] else {
                let unknown = self.unknown.ok_or_else(|| {
                    Error::Tokenizer(format!(
                        "the vocabulary has no token for {piece:?}, and none for unknown text"
                    ))
                })?;
                ids.push(unknown);
                return Ok(());
            };
            ids.push(id);
        }
        Ok(())
    }

    /// Appends the bytes a token stands for.
    pub fn decode(&self, id: u32, bytes: &mut Vec<u8>) {
        let Some(piece) = self.pieces.get(id) else { return };
        match (self.kinds[id as usize], byte_of(piece)) {
            (TokenKind::Byte, Some(byte)) => bytes.push(byte),
            _ => bytes.extend_from_slice(piece.replace(SPACE, " ").as_bytes()),
        }
    }

    /// The vocabulary entry of an id, as stored.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.pieces.get(id)
    }
}

/// The byte of `<0x0A>`.
pub(in crate::text) fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}
