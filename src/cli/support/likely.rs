//! Likely tokens as text and as JSON.

use crate::sample::{Likelihoods, Likely};
use crate::text::{TextStream, Tokenizer};
use serde_json::{Value, json};

/// The text of a single token; bytes that are not a whole character become U+FFFD.
pub(in crate::cli) fn text(tokenizer: &Tokenizer, id: u32) -> String {
    let mut stream = TextStream::continuing(tokenizer, false);
    stream.push(id) + &stream.finish()
}

/// Formats a token as {"id", "text", "logprob"}.
pub(in crate::cli) fn as_json(tokenizer: &Tokenizer, likely: &Likely) -> Value {
    json!({ "id": likely.id, "text": text(tokenizer, likely.id), "logprob": likely.logprob })
}

/// Formats a chosen token as {"id", "text", "logprob", "top": […]}.
pub(in crate::cli) fn chosen_as_json(
    tokenizer: &Tokenizer,
    id: u32,
    likelihoods: &Likelihoods,
) -> Value {
    let Likelihoods { logprob, top } = likelihoods;
    let mut row = as_json(tokenizer, &Likely { id, logprob: *logprob });
    row["top"] = top.iter().map(|likely| as_json(tokenizer, likely)).collect();
    row
}

/// Formats a chosen token with its alternatives, as a line.
pub(in crate::cli) fn line(tokenizer: &Tokenizer, id: u32, likelihoods: &Likelihoods) -> String {
    let Likelihoods { logprob, top } = likelihoods;
    let others = top
        .iter()
        .map(|likely| format!("{:?} {}", text(tokenizer, likely.id), percent(likely.logprob)));
    let others = others.collect::<Vec<_>>().join("  ");
    let chosen = format!("{:?}", text(tokenizer, id));
    let line = format!("{chosen:<16} {:>8}  {logprob:>9.4}  {others}", percent(*logprob));
    line.trim_end().to_owned() + "\n"
}

/// The column headings of [`line`].
pub(in crate::cli) const HEADING: &str =
    "token            probability, its logarithm, and the likeliest tokens\n";

/// Formats the probability with this logarithm.
pub(in crate::cli) fn percent(logprob: f32) -> String {
    format!("{:.2} %", f64::from(logprob).exp() * 100.0)
}
