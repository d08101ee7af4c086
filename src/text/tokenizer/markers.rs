//! Tokens that mark the turns of a conversation, recognised by their spelling.

use super::added::AddedTokens;
use crate::format::Strings;
use crate::text::TokenKind;

/// Spellings of tokens that end a turn in known families of models. Metadata names one or two, but
/// models are often trained to end with another.
const ENDS: [&str; 18] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<turn|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|eot|>",
    "<EOT>",
    "<|endofturn|>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
    "[EOT]",
];

/// Spellings of tokens that begin a turn, or a part of one.
const BEGINNINGS: [&str; 19] = [
    "<|im_start|>",
    "<start_of_turn>",
    "<|turn>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|startoftext|>",
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|START_OF_TURN_TOKEN|>",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<｜begin▁of▁sentence｜>",
    "<｜User｜>",
    "<｜Assistant｜>",
];

/// Whether a token with this spelling ends a turn, independent of the metadata.
pub(in crate::text) fn ends_turn(text: &str) -> bool {
    ENDS.contains(&text)
}

/// Every token that ends an answer, in ascending order: the `known` ones, and those with a
/// well-known spelling.
pub(in crate::text) fn turn_ends(
    known: impl Iterator<Item = u32>,
    added: &AddedTokens,
) -> Vec<u32> {
    let named = |name: &str| added.id(name);
    // In formats with channels, <|end|> ends a message, and a turn may have several messages.
    let channels = named("<|return|>").is_some() && named("<|call|>").is_some();
    let by_name = ENDS.iter().filter(|&&name| !(channels && name == "<|end|>")).copied();
    let mut ends: Vec<u32> = known.collect();
    ends.extend(by_name.filter_map(named));
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// Turns markers that the file declares as text or as fillers into control tokens: text must not be
/// merged into them, and a prompt that spells one out means the token. Returns the texts of the
/// changed tokens.
pub(in crate::text) fn mend_kinds<'a>(
    tokens: &'a Strings,
    kinds: &mut [TokenKind],
) -> Vec<&'a str> {
    let is_marker = |text: &str| {
        text.starts_with(['<', '[']) && (ENDS.contains(&text) || BEGINNINGS.contains(&text))
    };
    let mut changed: Vec<&str> = vec![];
    for (text, kind) in tokens.iter().zip(kinds) {
        if matches!(kind, TokenKind::Normal | TokenKind::Unused) && is_marker(text) {
            *kind = TokenKind::Control;
            if !changed.contains(&text) {
                changed.push(text);
            }
        }
    }
    changed
}
