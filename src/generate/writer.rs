//! Ids in, text that may be shown out: whole characters, and nothing of a stop string.

use crate::Result;
use crate::sample::StopStrings;
use crate::text::{TextStream, Tokenizer};
use std::sync::Arc;

pub(super) struct Writer {
    stream: TextStream<Arc<Tokenizer>>,
    stops: StopStrings,
    text: String,
}

impl Writer {
    pub(super) fn new(tokenizer: Arc<Tokenizer>, stops: Vec<String>) -> Result<Self> {
        let stream = TextStream::continuing(tokenizer, true);
        Ok(Self { stream, stops: StopStrings::new(stops)?, text: String::new() })
    }

    /// Takes an id and shows what it completes; true if that ends a stop string.
    pub(super) fn push(&mut self, id: u32, show: impl FnMut(&str) -> Result<()>) -> Result<bool> {
        let released = self.stops.push(&self.stream.push(id));
        self.show(&released.text, show)?;
        Ok(released.stop.is_some())
    }

    /// Shows what was held back in case it became a stop string, and gives the whole text.
    pub(super) fn finish(&mut self, mut show: impl FnMut(&str) -> Result<()>) -> Result<String> {
        let released = self.stops.push(&self.stream.rest());
        self.show(&released.text, &mut show)?;
        let held = self.stops.finish();
        self.show(&held, show)?;
        Ok(std::mem::take(&mut self.text))
    }

    fn show(&mut self, piece: &str, mut show: impl FnMut(&str) -> Result<()>) -> Result<()> {
        self.text.push_str(piece);
        if piece.is_empty() { Ok(()) } else { show(piece) }
    }
}
