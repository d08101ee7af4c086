//! Decodes tokens as the decoder of a `tokenizer.json` prescribes, one token at a time, so that
//! text can be shown as it is generated.
//!
//! Some steps apply to each token separately; steps after one that joins all tokens apply to the
//! whole text. Invalid bytes become U+FFFD only where they cannot be part of a character, whereas
//! the `tokenizers` crate also replaces their neighbours.

use super::byte_level::append_spelled;
use super::sentencepiece::byte_of;
use crate::error::{Error, Result};
use tokenizers::{Decoder, DecoderWrapper};

/// The position of a token in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text) enum Position {
    /// Nothing precedes it.
    Beginning,
    /// Text precedes it, but no token.
    AfterText,
    /// Tokens precede it.
    AfterTokens,
}

/// The steps of a decoder.
#[derive(Debug, Default)]
pub(in crate::text) struct Decoders {
    /// There is no decoder: tokens are words, joined by spaces.
    spaced: bool,
    /// Tokens are written in GPT-2's alphabet of bytes.
    byte_level: bool,
    /// Steps for each token, before and after bytes are distinguished from texts.
    each: [Vec<DecoderWrapper>; 2],
    /// Tokens such as `<0x0A>` are single bytes.
    bytes: bool,
    whole: Vec<DecoderWrapper>,
}

impl Decoders {
    /// # Errors
    /// If the decoder has an unknown step.
    pub(in crate::text) fn new(decoder: Option<&DecoderWrapper>) -> Result<Self> {
        let mut all = Self { spaced: decoder.is_none(), ..Self::default() };
        let mut joined = false;
        decoder.map_or(Ok(()), |decoder| all.add(decoder, &mut joined))?;
        Ok(all)
    }

    fn add(&mut self, decoder: &DecoderWrapper, joined: &mut bool) -> Result<()> {
        match decoder {
            DecoderWrapper::Sequence(all) => {
                return all.get_decoders().iter().try_for_each(|decoder| self.add(decoder, joined));
            }
            DecoderWrapper::ByteLevel(_) if !*joined => (self.byte_level, *joined) = (true, true),
            DecoderWrapper::Fuse(_) => *joined = true,
            DecoderWrapper::ByteFallback(_) => self.bytes |= !*joined,
            DecoderWrapper::Replace(_)
            | DecoderWrapper::Strip(_)
            | DecoderWrapper::Metaspace(_) => {
                let steps =
                    if *joined { &mut self.whole } else { &mut self.each[usize::from(self.bytes)] };
                steps.push(decoder.clone());
            }
            other => {
                let kind = format!("{other:?}");
                let kind = kind.split('(').next().unwrap_or_default();
                let message =
                    format!("tokenizer.json: decoders of kind {kind} are not supported here");
                return Err(Error::Tokenizer(message));
            }
        }
        Ok(())
    }

    /// Appends the bytes of a token. `is_added` marks a token that is not in the model's
    /// vocabulary.
    pub(in crate::text) fn append(
        &self,
        token: &str,
        is_added: bool,
        position: Position,
        bytes: &mut Vec<u8>,
    ) {
        if self.spaced && position == Position::AfterTokens {
            bytes.push(b' ');
        }
        let step = |text: String, step: &DecoderWrapper| decoded(step, text, position);
        let text = self.each[0].iter().fold(token.to_owned(), step);
        if let (true, Some(byte)) = (self.bytes, byte_of(&text)) {
            bytes.push(byte);
            return;
        }
        let text = self.each[1].iter().fold(text, step);
        if self.byte_level && !is_added {
            append_spelled(&text, bytes)
        } else {
            bytes.extend_from_slice(text.as_bytes())
        }
    }

    /// The steps that apply to the whole of a text that begins at `position`.
    pub(in crate::text) fn whole(&self, position: Position) -> WholeText {
        let begins = position == Position::Beginning;
        let step = |decoder: &DecoderWrapper| match decoder {
            DecoderWrapper::Strip(strip) => Step::Strip {
                content: strip.content,
                start: if begins { strip.start } else { 0 },
                stop: strip.stop,
                held: 0,
            },
            other => Step::Held { decoder: other.clone(), position, text: String::new() },
        };
        WholeText { steps: self.whole.iter().map(step).collect() }
    }
}

/// A text, or a token, after one step.
fn decoded(decoder: &DecoderWrapper, text: String, position: Position) -> String {
    if let DecoderWrapper::Strip(strip) = decoder {
        let cut = |text: &str, most: usize| {
            text.chars().take(most).take_while(|c| *c == strip.content).count()
                * strip.content.len_utf8()
        };
        let text = &text[cut(&text, strip.start)..];
        let trailing =
            text.chars().rev().take(strip.stop).take_while(|c| *c == strip.content).count();
        return text[..text.len() - trailing * strip.content.len_utf8()].to_owned();
    }
    // Some steps treat the first token differently.
    let mut tokens = match position {
        Position::Beginning => vec![text.clone()],
        _ => vec![String::new(), text.clone()],
    };
    tokens = decoder.decode_chain(tokens).unwrap_or_default();
    tokens.pop().unwrap_or(text)
}

/// Applies steps to the text of all tokens, as pieces of it arrive.
#[derive(Debug, Default)]
pub(in crate::text) struct WholeText {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// Removes up to `start` characters at the beginning and up to `stop` at the end. The last
    /// `held` characters may be among the latter.
    Strip { content: char, start: usize, stop: usize, held: usize },
    /// A step that needs the complete text.
    Held { decoder: DecoderWrapper, position: Position, text: String },
}

impl Step {
    fn push(&mut self, piece: &str) -> String {
        match self {
            Self::Held { text, .. } => {
                text.push_str(piece);
                String::new()
            }
            Self::Strip { content, start, stop, held } => {
                let mut piece = piece;
                while let (true, Some(first)) = (*start > 0, piece.chars().next()) {
                    *start -= 1;
                    if first == *content { piece = &piece[first.len_utf8()..] } else { *start = 0 }
                }
                let mut text = String::from_iter(std::iter::repeat_n(*content, *held)) + piece;
                *held = text.chars().rev().take(*stop).take_while(|c| c == content).count();
                text.truncate(text.len() - *held * content.len_utf8());
                text
            }
        }
    }

    fn finish(&mut self) -> String {
        match self {
            Self::Held { decoder, position, text } => {
                decoded(decoder, std::mem::take(text), *position)
            }
            Self::Strip { .. } => String::new(),
        }
    }
}

impl WholeText {
    /// Takes another piece, and returns the text that can no longer change.
    pub(in crate::text) fn push(&mut self, piece: String) -> String {
        self.steps.iter_mut().fold(piece, |piece, step| step.push(&piece))
    }

    /// Returns the remaining text at the end.
    pub(in crate::text) fn finish(&mut self) -> String {
        self.steps.iter_mut().fold(String::new(), |piece, step| step.push(&piece) + &step.finish())
    }
}
