//! A tokenizer of one's own, learned from a text: byte-level BPE (Sennrich et al. 2016,
//! arXiv:1508.07909, over bytes as GPT-2 has it). With 256 tokens there are no merges, and each
//! byte is a token: a model of characters.

use crate::error::{Error, Result};
use crate::files::write_whole;
use std::path::Path;
use tokenizers::Tokenizer;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// Tokens that every such tokenizer has.
pub const BYTES: usize = 256;

/// Bytes, about, of a piece of text from which merges are learned or which is encoded: whole lines.
const PIECE: usize = 1 << 16;

/// A tokenizer that was learned, and writes the `tokenizer.json` that other tools read.
pub struct TrainedBpe {
    tokenizer: Tokenizer,
}

/// Pieces of whole lines: the crate walks over a whole sequence in one go.
fn pieces(text: &str) -> impl Iterator<Item = &str> + Send {
    let mut rest = text;
    std::iter::from_fn(move || {
        let after = rest.bytes().enumerate().skip(PIECE).find(|(_, byte)| *byte == b'\n');
        let (piece, later) = rest.split_at(after.map_or(rest.len(), |(at, _)| at + 1));
        rest = later;
        (!piece.is_empty()).then_some(piece)
    })
}

impl TrainedBpe {
    /// Learns at most `vocabulary` tokens, 256 or more; fewer where the text has no more pairs that
    /// come twice.
    ///
    /// # Errors
    /// When `vocabulary` is too small.
    pub fn new(text: &str, vocabulary: usize) -> Result<Self> {
        if vocabulary < BYTES {
            return Err(Error::Tokenizer(format!(
                "a vocabulary of {vocabulary}; the bytes alone are {BYTES}"
            )));
        }
        let mut tokenizer = Tokenizer::new(BPE::default());
        let bytes = ByteLevel::new(false, false, true);
        tokenizer.with_pre_tokenizer(Some(bytes)).with_decoder(Some(bytes));
        let trainer = BpeTrainerBuilder::new()
            .show_progress(false)
            .vocab_size(vocabulary)
            .min_frequency(2)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut trainer = TrainerWrapper::from(trainer);
        let learned = tokenizer.train(&mut trainer, pieces(text));
        learned.map_err(|error| Error::Tokenizer(format!("learning a tokenizer: {error}")))?;
        Ok(Self { tokenizer })
    }

    /// One that was written before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let tokenizer =
            Tokenizer::from_bytes(bytes).map_err(|e| Error::damaged(path, e.to_string()))?;
        Ok(Self { tokenizer })
    }

    /// Writes `tokenizer.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text =
            self.tokenizer.to_string(false).map_err(|e| Error::damaged(path, e.to_string()))?;
        write_whole(path, text)
    }

    /// Count of tokens.
    pub fn len(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Whether there are none: never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids of a text.
    ///
    /// # Errors
    /// When the crate fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = vec![];
        for piece in pieces(text) {
            let encoding = self.tokenizer.encode_fast(piece, false);
            ids.extend_from_slice(
                encoding.map_err(|error| Error::Tokenizer(error.to_string()))?.get_ids(),
            );
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_lines_and_nothing_is_lost() {
        let text = "a line of words\n".repeat(20_000) + "and no more";
        let cut: Vec<_> = pieces(&text).collect();
        assert!(cut.len() > 3 && cut[0].ends_with('\n'));
        assert_eq!(cut.concat(), text);
    }

    #[test]
    fn frequent_pairs_are_merged() {
        let text = "the cat and the dog, and the bird\n".repeat(50);
        let characters = TrainedBpe::new(&text, 256).unwrap();
        let merged = TrainedBpe::new(&text, 280).unwrap();
        assert_eq!((characters.len(), characters.encode(&text).unwrap().len()), (256, text.len()));
        assert!(merged.len() > 256 && merged.encode(&text).unwrap().len() < text.len() / 2);
        assert!(TrainedBpe::new(&text, 100).is_err());
    }
}
