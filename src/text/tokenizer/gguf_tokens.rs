//! A Hugging Face folder's tokenizer in the words of GGUF: byte-level BPE, or SentencePiece.

use super::added::{PHI3_TOKENS, named_phi3, phi3_takes_spaces};
use super::folder_tokens::FolderTokens;
use super::gguf_pieces;
use super::markers::ends_turn;
use super::pretokenizers;
use crate::error::Remedy;
use crate::error::Result;
use crate::format::{Array, Folder, Strings, Value};
use crate::text::TokenKind;
use crate::text::chat::ChatTemplate;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// What `tokenizer.ggml.*` and `tokenizer.chat_template` say of a folder with `count` embeddings,
/// in a file whose `general.name` is `name`.
///
/// # Errors
/// If the tokenizer is of a kind that GGUF files have no words for, or that this version does not
/// write.
pub fn gguf_tokenizer(folder: &Folder, count: usize, name: &str) -> Result<Vec<(String, Value)>> {
    let missing = "has no tokenizer.json; save the model's tokenizer in the fast format";
    let json = folder.opt_object("tokenizer.json")?.ok_or_else(|| folder.path_error(missing))?;
    let refused = |message: String, or_rename: bool| {
        let remedy = Remedy::OmitTokenizer { or_rename };
        folder.unsupported(format!("tokenizer.json: {message}")).with_remedy(remedy)
    };
    let wrong = |message: String| refused(message, false);
    let model =
        json.get("model").and_then(Json::as_object).ok_or_else(|| wrong("has no model".into()))?;
    let pieces = gguf_pieces::is_sentencepiece(model);
    let (pre, space_prefix) = match pieces {
        true => ("default", gguf_pieces::space_prefix(&json, model).map_err(&wrong)?),
        false => (rule(&json, model).map_err(&wrong)?, false),
    };
    check_name(&json, name).map_err(|message| refused(message, true))?;
    check_added(&json, space_prefix).map_err(&wrong)?;
    let (tokens, mut kinds, ids) = tokens(&json, model, count).map_err(&wrong)?;
    let merges = merges(model).map_err(&wrong)?;
    let special = FolderTokens::read(folder, |text| ids.get(text).copied())?;
    let [eot, eom] = further_ends(&special, |id| tokens.get(id as usize));

    let text = |text: &str| Value::String(text.into());
    let mut all =
        vec![("ggml.model", text(if pieces { "llama" } else { "gpt2" })), ("ggml.pre", text(pre))];
    if pieces {
        let unknown = gguf_pieces::find_bytes(model, &tokens, &mut kinds).map_err(&wrong)?;
        let scores = gguf_pieces::scores(&tokens, &kinds, &merges).map_err(&wrong)?;
        all.push(("ggml.scores", Value::Array(Array::F32(scores))));
        all.push(("ggml.add_space_prefix", Value::Bool(space_prefix)));
        unknown.into_iter().for_each(|id| all.push(("ggml.unknown_token_id", Value::U32(id))));
    } else {
        all.push(("ggml.merges", Value::Array(Array::String(merges))));
    }
    all.push(("ggml.tokens", Value::Array(Array::String(tokens))));
    all.push(("ggml.token_type", Value::Array(Array::I32(kinds))));
    let known = |id: &u32| (*id as usize) < count;
    for (name, id) in [
        ("ggml.bos_token_id", special.bos),
        ("ggml.eos_token_id", special.eos),
        ("ggml.eot_token_id", eot),
        ("ggml.eom_token_id", eom),
    ] {
        id.filter(known).into_iter().for_each(|id| all.push((name, Value::U32(id))));
    }
    let around = around(&json);
    let is = |found: Option<&str>, id: Option<u32>| {
        found.and_then(|text| ids.get(text).copied()) == id && id.is_some()
    };
    let add_bos = special.add_bos == Some(true) || is(around.0, special.bos);
    let add_eos = is(around.1, special.eos);
    all.push(("ggml.add_bos_token", Value::Bool(add_bos)));
    all.push(("ggml.add_eos_token", Value::Bool(add_eos)));
    if let Some(template) = ChatTemplate::folder_text(folder)? {
        all.push(("chat_template", Value::String(template)));
    }
    Ok(all.into_iter().map(|(name, value)| (format!("tokenizer.{name}"), value)).collect())
}

/// The two tokens other than `eos` that GGUF has keys for, of those that end an answer. Those that
/// readers know by name come last, for they need none.
fn further_ends<'a>(
    special: &FolderTokens,
    text: impl Fn(u32) -> Option<&'a str>,
) -> [Option<u32>; 2] {
    let mut ends: Vec<(u32, &str)> = vec![];
    for &id in &special.ends {
        let is_new = Some(id) != special.eos && ends.iter().all(|(end, _)| *end != id);
        ends.extend(text(id).filter(|_| is_new).map(|text| (id, text)));
    }
    if ends.len() > 2 {
        ends.sort_by_key(|(_, text)| ends_turn(text));
    }
    let lost: Vec<String> = ends
        .iter()
        .skip(2)
        .filter(|(_, text)| !ends_turn(text))
        .map(|(id, text)| format!("{text:?} ({id})"))
        .collect();
    if !lost.is_empty() {
        log::warn!(
            "GGUF has keys for three tokens that end an answer; in the file these end none, \
             unless they are given as strings to stop at: {}",
            lost.join(", ")
        );
    }
    let mut ids = ends.into_iter().map(|(id, _)| id);
    [ids.next(), ids.next()]
}

type Wrong<T> = std::result::Result<T, String>;

/// The name of the rule that cuts text into words.
fn rule(json: &Map<String, Json>, model: &Map<String, Json>) -> Wrong<&'static str> {
    let kind =
        |value: &Json| value.get("type").and_then(Json::as_str).unwrap_or_default().to_owned();
    if model.get("type").and_then(Json::as_str) != Some("BPE")
        || json.get("decoder").map(kind).as_deref() != Some("ByteLevel")
    {
        return Err(
            "only byte-level BPE and SentencePiece are written as GGUF by this version".into()
        );
    }
    // GGUF has no word for a normaliser; llama.cpp leaves out NFC, too.
    let normaliser = json.get("normalizer").filter(|value| !value.is_null()).map(kind);
    if normaliser.as_ref().is_some_and(|kind| kind != "NFC") {
        return Err(format!("a normaliser {normaliser:?} cannot be written as GGUF"));
    }
    let steps = match json.get("pre_tokenizer") {
        Some(one) if kind(one) == "Sequence" => {
            one.get("pretokenizers").and_then(Json::as_array).cloned()
        }
        Some(one) => Some(vec![one.clone()]),
        None => None,
    };
    let mut patterns = vec![];
    for step in steps.unwrap_or_default() {
        let flag = |name: &str| step.get(name).and_then(Json::as_bool);
        match &*kind(&step) {
            "ByteLevel" if flag("add_prefix_space") == Some(true) => {
                return Err("a space before each text cannot be written as GGUF".into());
            }
            "ByteLevel" if flag("use_regex") != Some(false) => {
                patterns.push(pretokenizers::GPT2.to_owned())
            }
            "ByteLevel" => {}
            "Digits" if flag("individual_digits") == Some(true) => {
                patterns.push(r"\p{N}".to_owned())
            }
            "Split" => {
                match step
                    .get("pattern")
                    .and_then(|pattern| pattern.get("Regex"))
                    .and_then(Json::as_str)
                {
                    Some(pattern) => patterns.push(pattern.to_owned()),
                    None => return Err("it cuts text by something else than an expression".into()),
                }
            }
            other => return Err(format!("a pre-tokenizer {other:?} cannot be written as GGUF")),
        }
    }
    let ignore_merges = model.get("ignore_merges").and_then(Json::as_bool).unwrap_or(false);
    pretokenizers::name_of(&patterns, ignore_merges)
        .ok_or_else(|| format!("no name is known for its way to cut text into words, {patterns:?}"))
}

fn added_tokens(json: &Map<String, Json>) -> &[Json] {
    json.get("added_tokens").and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn is(token: &Json, name: &str) -> bool {
    token.get(name).and_then(Json::as_bool) == Some(true)
}

/// Whether a file with this name says rightly which spaces the added tokens take.
fn check_name(json: &Map<String, Json>, name: &str) -> Wrong<()> {
    let all = added_tokens(json);
    let phi3 = all.iter().any(|token| is(token, "rstrip"));
    if phi3 == named_phi3(name) || all.is_empty() {
        return Ok(());
    }
    let (do_they, with) = if phi3 { ("take", "with") } else { ("do not take", "without") };
    Err(format!(
        "its tokens {do_they} the spaces after them, which a GGUF file says by the model's name; \
         choose one {with} \"phi-3\" in it, instead of {name:?}"
    ))
}

/// Whether the added tokens are found in texts as in a GGUF file.
fn check_added(json: &Map<String, Json>, space_prefix: bool) -> Wrong<()> {
    let all = added_tokens(json);
    let phi3 = all.iter().any(|token| is(token, "rstrip"));
    let text =
        |token: &Json| token.get("content").and_then(Json::as_str).unwrap_or_default().to_owned();
    // llama.cpp does not open a file of that name without them.
    let missing = PHI3_TOKENS.iter().find(|&&wanted| all.iter().all(|token| text(token) != wanted));
    if let Some(missing) = missing.filter(|_| phi3) {
        return Err(format!(
            "tokens that take the spaces after them are Phi-3's in GGUF, which has {missing:?}"
        ));
    }
    for token in all {
        let text = text(token);
        if is(token, "lstrip")
            || is(token, "single_word")
            || is(token, "rstrip") != (phi3 && phi3_takes_spaces(&text))
        {
            return Err(format!(
                "how {text:?} takes the spaces beside it cannot be written as GGUF"
            ));
        }
        if space_prefix && is(token, "normalized") {
            return Err(format!(
                "that {text:?} is a token after spaces only cannot be written as GGUF"
            ));
        }
    }
    Ok(())
}

type Tokens = (Strings, Vec<i32>, HashMap<String, u32>);

/// All tokens by id, their kinds, and their ids. Ids without a token get one that nothing forms.
fn tokens(json: &Map<String, Json>, model: &Map<String, Json>, count: usize) -> Wrong<Tokens> {
    let mut texts: Vec<Option<(&str, TokenKind)>> = vec![None; count];
    let mut put = |text, id: Option<u64>, kind| -> Wrong<()> {
        let slot = id.and_then(|id| texts.get_mut(usize::try_from(id).ok()?));
        *slot.ok_or_else(|| format!("token {text:?} has an id beyond the {count} embeddings"))? =
            Some((text, kind));
        Ok(())
    };
    for (text, id) in model.get("vocab").and_then(Json::as_object).ok_or("has no vocabulary")? {
        put(text, id.as_u64(), TokenKind::Normal)?;
    }
    for token in json.get("added_tokens").and_then(Json::as_array).into_iter().flatten() {
        let text =
            token.get("content").and_then(Json::as_str).ok_or("an added token has no text")?;
        let special = token.get("special").and_then(Json::as_bool) == Some(true);
        let kind = if special { TokenKind::Control } else { TokenKind::UserDefined };
        put(text, token.get("id").and_then(Json::as_u64), kind)?;
    }
    let ids = texts
        .iter()
        .zip(0u32..)
        .filter_map(|(token, id)| Some((token.as_ref()?.0.to_owned(), id)))
        .collect();
    let kinds = texts
        .iter()
        .map(|token| token.map_or(TokenKind::Unused, |(_, kind)| kind) as i32)
        .collect();
    let text = |(id, token): (usize, &Option<(&str, TokenKind)>)| match token {
        Some((text, _)) => (*text).to_owned(),
        None => format!("[PAD{id}]"),
    };
    Ok((texts.iter().enumerate().map(text).collect(), kinds, ids))
}

/// Pairs "left right", as old and new versions of the file have them.
fn merges(model: &Map<String, Json>) -> Wrong<Strings> {
    let list = model.get("merges").and_then(Json::as_array).ok_or("has no merges")?;
    let merge = |merge: &Json| match merge {
        Json::String(text) => Some(text.clone()),
        Json::Array(pair) => match &pair[..] {
            [Json::String(left), Json::String(right)] => Some(format!("{left} {right}")),
            _ => None,
        },
        _ => None,
    };
    let all = list.iter().map(|one| merge(one).ok_or_else(|| format!("{one} is no merge")));
    Ok(all.collect::<Wrong<Vec<_>>>()?.into_iter().collect())
}

/// The special tokens that the post-processor puts before and after a text.
fn around(json: &Map<String, Json>) -> (Option<&str>, Option<&str>) {
    let Some(processor) = json.get("post_processor") else { return (None, None) };
    let several = processor.get("processors").and_then(Json::as_array);
    let all = several.map_or(std::slice::from_ref(processor), Vec::as_slice);
    let single = all.iter().find_map(|one| one.get("single").and_then(Json::as_array));
    fn special(piece: Option<&Json>) -> Option<&str> {
        piece?.get("SpecialToken")?.get("id")?.as_str()
    }
    single.map_or((None, None), |list| (special(list.first()), special(list.last())))
}
