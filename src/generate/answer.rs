//! What came of a prompt: ids, text, why it ended, and what it took.

use crate::model::Counters;
use crate::platform::Instant;
use serde::Serialize;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model ended its turn, or wrote a stop string.
    Stop,
    /// As many tokens as were asked for, or as the context holds.
    Length,
    /// Someone interrupted it.
    Interrupted,
}

/// An answer with its figures.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Every id chosen, the end of turn included.
    pub ids: Vec<u32>,
    /// Their text, without special tokens, up to a stop string. A character cut short at the end is
    /// left out.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Tokens of the prompt that were in the cache already.
    pub reused: usize,
    /// When the first id was chosen.
    pub first_token: Option<Instant>,
    /// Seconds from the start to the first id.
    pub prefill_seconds: f64,
    /// Seconds from the first id to the end.
    pub decode_seconds: f64,
    /// What reading the prompt and choosing the first id took.
    pub prefill: Counters,
    /// What the rest took.
    pub decode: Counters,
}

impl Answer {
    /// Tokens of the prompt read a second.
    pub fn prefill_rate(&self) -> Option<f64> {
        (self.first_token.is_some()).then(|| self.prefill.tokens as f64 / self.prefill_seconds)
    }

    /// Tokens written a second after the first, surplus steps counted as lost time.
    pub fn decode_rate(&self) -> Option<f64> {
        (self.ids.len() > 1).then(|| (self.ids.len() - 1) as f64 / self.decode_seconds)
    }
}
