//! Converts a SentencePiece tokenizer from `tokenizer.json`, which stores it as BPE with byte
//! fallback. GGUF stores the scores of pieces instead of a list of merges, and joins the two
//! neighbours whose piece has the highest score.

use super::sentencepiece::{SPACE, byte_of};
use crate::format::Strings;
use crate::text::TokenKind;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

type Wrong<T> = std::result::Result<T, String>;

/// Whether the model of a `tokenizer.json` looks like SentencePiece.
pub(in crate::text) fn is_sentencepiece(model: &Map<String, Json>) -> bool {
    let is = |name: &str, value: Json| model.get(name) == Some(&value);
    is("type", "BPE".into()) && is("byte_fallback", true.into())
}

fn kind(value: &Json) -> &str {
    value.get("type").and_then(Json::as_str).unwrap_or_default()
}

/// Whether a text is read as if it began with a space; an error if GGUF cannot express the
/// tokenizer.
pub(in crate::text) fn space_prefix(
    json: &Map<String, Json>,
    model: &Map<String, Json>,
) -> Wrong<bool> {
    let given = |map: &Map<String, Json>, name: &str| {
        map.get(name).filter(|value| !value.is_null()).cloned()
    };
    for name in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
        if let Some(value) = given(model, name).filter(|value| value.as_str() != Some("")) {
            return Err(format!("{name} {value} cannot be written as GGUF"));
        }
    }
    if model.get("ignore_merges").and_then(Json::as_bool) == Some(true) {
        return Err("whole words before merges cannot be written as GGUF".into());
    }
    let mut prefix = false;
    let normaliser = given(json, "normalizer");
    let steps = match &normaliser {
        Some(one) if kind(one) == "Sequence" => {
            one.get("normalizers").and_then(Json::as_array).cloned().unwrap_or_default()
        }
        Some(one) => vec![one.clone()],
        None => vec![],
    };
    let mut replaced = false;
    for step in &steps {
        let text = |name: &str| step.get(name).and_then(Json::as_str);
        match kind(step) {
            "Prepend" if text("prepend") == Some(SPACE) && !replaced => prefix = true,
            "Replace" if text("content") == Some(SPACE) && step["pattern"]["String"] == " " => {
                replaced = true
            }
            other => return Err(format!("a normaliser {other:?} cannot be written as GGUF")),
        }
    }
    match given(json, "pre_tokenizer") {
        None => {}
        // All spaces have been replaced by now, so this step does nothing.
        Some(step) if kind(&step) == "Split" && replaced && step["pattern"]["String"] == " " => {}
        Some(step) if kind(&step) == "Metaspace" && step["split"] == false => {
            if step["prepend_scheme"] != "never" {
                return Err("a space before some texts only cannot be written as GGUF".into());
            }
            replaced = true;
        }
        Some(step) => {
            return Err(format!("a pre-tokenizer {:?} cannot be written as GGUF", kind(&step)));
        }
    }
    if !replaced {
        return Err(format!("it does not write spaces as {SPACE:?}, as SentencePiece does"));
    }
    Ok(prefix)
}

/// Marks bytes and the unknown token among the kinds; returns the id of the latter.
pub(in crate::text) fn find_bytes(
    model: &Map<String, Json>,
    tokens: &Strings,
    kinds: &mut [i32],
) -> Wrong<Option<u32>> {
    let unknown_text = model.get("unk_token").and_then(Json::as_str);
    let (mut bytes, mut unknown) = ([false; 256], None);
    for ((id, token), kind) in (0u32..).zip(tokens.iter()).zip(kinds) {
        if let (Some(byte), true) = (byte_of(token), *kind == TokenKind::Normal as i32) {
            (*kind, bytes[byte as usize]) = (TokenKind::Byte as i32, true);
        } else if Some(token) == unknown_text {
            (*kind, unknown) = (TokenKind::Unknown as i32, Some(id));
        }
    }
    match bytes.iter().position(|known| !known) {
        Some(byte) => Err(format!("it has no token <0x{byte:02X}>")),
        None => Ok(unknown),
    }
}

/// Scores that reproduce the order of `merges`: the first merge has the highest score.
///
/// This is exact where the merges come from scores: all ways to join two pieces to the same piece
/// are present, and are consecutive.
pub(in crate::text) fn scores(
    tokens: &Strings,
    kinds: &[i32],
    merges: &Strings,
) -> Wrong<Vec<f32>> {
    let ids: HashMap<&str, usize> = tokens.iter().zip(0..).collect();
    let mergeable = |id: usize| {
        [TokenKind::Normal, TokenKind::UserDefined].iter().any(|&kind| kind as i32 == kinds[id])
    };
    let foreign =
        |piece: &str| format!("its merges to {piece:?} are not those of a SentencePiece model");
    let mut rank = vec![None; tokens.len()];
    let mut joins = vec![0; tokens.len()];
    let (mut last, mut ranks) = (None, 0u32);
    for merge in merges.iter() {
        let piece = merge.replacen(' ', "", 1);
        let id = *ids
            .get(&*piece)
            .ok_or_else(|| format!("a merge gives {piece:?}, which is no token"))?;
        if !mergeable(id) {
            continue;
        }
        if rank[id].is_some() && last != Some(id) {
            return Err(foreign(&piece));
        }
        if rank[id].is_none() {
            (rank[id], ranks) = (Some(ranks), ranks + 1);
        }
        (last, joins[id]) = (Some(id), joins[id] + 1);
    }
    let part = |text: &str| ids.contains_key(text) || text.chars().nth(1).is_none();
    for (id, piece) in tokens.iter().enumerate().filter(|(id, _)| mergeable(*id)) {
        let ways = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
        if ways.filter(|(left, right)| part(left) && part(right)).count() != joins[id] {
            return Err(foreign(piece));
        }
    }
    Ok(rank.into_iter().map(|rank| -(rank.unwrap_or(ranks) as f32)).collect())
}
