//! Decodes generated text into whole characters, as early as possible.

use super::Tokenizer;
use crate::text::tokenizer::decoders::{Position, WholeText};
use std::ops::Deref;

/// Decodes ids one at a time. The concatenated pieces equal [`Tokenizer::decode`] of all ids.
///
/// `T` is a reference to the tokenizer, or an `Arc` of it where the stream outlives the borrow.
#[derive(Debug)]
pub struct TextStream<T> {
    tokenizer: T,
    skip_special: bool,
    /// The first bytes of a character whose other bytes are in later tokens: at most 3 bytes
    /// between calls.
    pending: Vec<u8>,
    /// Whether the next text may begin with the space that encoding added.
    strip_space: bool,
    position: Position,
    whole: WholeText,
}

impl<T: Deref<Target = Tokenizer>> TextStream<T> {
    /// A stream at the beginning of a text.
    pub fn new(tokenizer: T, skip_special: bool) -> Self {
        Self::at(Position::Beginning, tokenizer, skip_special)
    }

    /// A stream that continues a text, such as a prompt: a leading space is part of the text.
    pub fn continuing(tokenizer: T, skip_special: bool) -> Self {
        Self::at(Position::AfterText, tokenizer, skip_special)
    }

    fn at(position: Position, tokenizer: T, skip_special: bool) -> Self {
        let strip_space = position == Position::Beginning && tokenizer.adds_space_prefix();
        let whole = tokenizer.whole_text(position);
        Self { tokenizer, skip_special, pending: Vec::new(), strip_space, position, whole }
    }

    /// Takes the next id and returns the characters it completes, often none. Bytes that cannot be
    /// UTF-8 become U+FFFD.
    pub fn push(&mut self, id: u32) -> String {
        let held = self.pending.len();
        if self.tokenizer.append_bytes(id, self.skip_special, self.position, &mut self.pending) {
            self.position = Position::AfterTokens;
        }
        if self.strip_space && self.pending.len() > held && !self.tokenizer.is_special(id) {
            self.strip_space = false;
            if self.pending[held] == b' ' {
                self.pending.remove(held);
            }
        }
        let mut text = String::new();
        let mut whole = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            whole += chunk.valid().len();
            let invalid = chunk.invalid();
            // `from_utf8` distinguishes a character cut short at the end from invalid bytes.
            let cut_short = whole + invalid.len() == self.pending.len()
                && std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            if !invalid.is_empty() && !cut_short {
                text.push(char::REPLACEMENT_CHARACTER);
                whole += invalid.len();
            }
        }
        self.pending.drain(..whole);
        self.whole.push(text)
    }

    /// Ends the stream and returns the whole characters that were held back.
    pub fn rest(&mut self) -> String {
        self.whole.finish()
    }

    /// Ends the stream; a character that was cut short becomes U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        self.whole.push(text) + &self.rest()
    }
}
