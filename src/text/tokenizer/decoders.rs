//! From tokens to text as the decoder of a `tokenizer.json` says, a token at a time, so that text
//! can be shown as it comes.
//!
//! Some steps are for each token by itself; those behind a step that joins all are for the whole
//! text. Of bytes that make no character, each U+FFFD stands for what cannot be part of one, where
//! the `tokenizers` crate replaces their neighbours, too.

use super::byte_level::append_spelled;
use super::sentencepiece::byte_of;
use crate::error::{Error, Result};
use tokenizers::{Decoder, DecoderWrapper};

/// Where in a text a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text) enum Position {
    /// Nothing came before.
    Beginning,
    /// Text did, but no token.
    AfterText,
    /// Tokens did.
    AfterTokens,
}

/// The steps of a decoder.
#[derive(Debug, Default)]
pub(in crate::text) struct Decoders {
    /// There is none: tokens are words, with spaces between.
    spaced: bool,
    /// Tokens are in GPT-2's alphabet of bytes.
    byte_level: bool,
    /// What each token goes through, before bytes are told from texts and after.
    each: [Vec<DecoderWrapper>; 2],
    /// Tokens such as `<0x0A>` are bytes.
    bytes: bool,
    whole: Vec<DecoderWrapper>,
}

impl Decoders {
    /// # Errors
    /// If there is a step that is not known.
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

    /// Appends the bytes of a token; `is_added` where it is none of the model's own.
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
        match self.byte_level && !is_added {
            true => append_spelled(&text, bytes),
            false => bytes.extend_from_slice(text.as_bytes()),
        }
    }

    /// What a text that begins at `position` goes through.
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
    // Some steps treat the first token in another way.
    let mut tokens = match position {
        Position::Beginning => vec![text.clone()],
        _ => vec![String::new(), text.clone()],
    };
    tokens = decoder.decode_chain(tokens).unwrap_or_default();
    tokens.pop().unwrap_or(text)
}

/// What goes on with the text of all tokens, in pieces as it comes.
#[derive(Debug, Default)]
pub(in crate::text) struct WholeText {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// Up to `start` characters go at the beginning, and up to `stop` at the end; so many of them
    /// may be the last ones.
    Strip { content: char, start: usize, stop: usize, held: usize },
    /// Needs all of the text.
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
                    match first == *content {
                        true => piece = &piece[first.len_utf8()..],
                        false => *start = 0,
                    }
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
    /// What of the text is certain after another piece of it.
    pub(in crate::text) fn push(&mut self, piece: String) -> String {
        self.steps.iter_mut().fold(piece, |piece, step| step.push(&piece))
    }

    /// What is left.
    pub(in crate::text) fn finish(&mut self) -> String {
        self.steps.iter_mut().fold(String::new(), |piece, step| step.push(&piece) + &step.finish())
    }
}
