//! The special tokens that the files of a Hugging Face folder name.

use crate::error::Result;
use crate::format::Folder;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Ids of special tokens, and whether texts are to begin and end with them.
#[derive(Debug, Default, PartialEq)]
pub(in crate::text) struct FolderTokens {
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    /// Further tokens that end an answer.
    pub ends: Vec<u32>,
    pub add_bos: Option<bool>,
}

impl FolderTokens {
    /// Reads `tokenizer_config.json` and `special_tokens_map.json`, which name tokens, then
    /// `generation_config.json` and `config.json`, which have ids.
    pub(in crate::text) fn read(folder: &Folder, id: impl Fn(&str) -> Option<u32>) -> Result<Self> {
        let tokenizer = folder.opt_object("tokenizer_config.json")?.unwrap_or_default();
        let generation = folder.opt_object("generation_config.json")?.unwrap_or_default();
        let named = named_tokens(folder)?;
        let text = |name: &str| named.get(name).map(String::as_str);
        let flag = |name: &str| tokenizer.get(name).and_then(Value::as_bool);
        let ends = [&generation, folder.config()].map(|map| ids(map, "eos_token_id")).concat();
        let bos = ids(folder.config(), "bos_token_id").first().copied();
        Ok(Self {
            bos: text("bos_token").and_then(&id).or(bos),
            eos: text("eos_token").and_then(&id).or(ends.first().copied()),
            ends,
            add_bos: flag("add_bos_token"),
        })
    }
}

/// The texts of special tokens by their names in templates: `pad_token`, other fields that end in
/// `_token`, and extra ones.
pub(in crate::text) fn named_tokens(folder: &Folder) -> Result<BTreeMap<String, String>> {
    let mut named = BTreeMap::new();
    // The tokenizer's own file takes precedence over the older one, so it comes last.
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        let map = folder.opt_object(file)?.unwrap_or_default();
        let extra = map.get("extra_special_tokens").and_then(Value::as_object);
        let own = map.iter().filter(|(name, _)| name.ends_with("_token"));
        for (name, value) in extra.into_iter().flatten().chain(own) {
            let text = match value {
                Value::String(text) => Some(text.as_str()),
                // A token with its properties.
                Value::Object(token) => token.get("content").and_then(Value::as_str),
                _ => None,
            };
            named.extend(text.map(|text| (name.clone(), text.to_owned())));
        }
    }
    Ok(named)
}

/// One id or a list of ids; other values are skipped.
fn ids(map: &Map<String, Value>, name: &str) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match map.get(name) {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => vec![],
    }
}
