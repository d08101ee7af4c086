//! A tokenizer as `tokenizer.json` describes it, built and run by the `tokenizers` crate, but for
//! decoding.

use super::decoders::Decoders;
use crate::error::{Error, Result};
use crate::text::TokenKind;
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use tokenizers::tokenizer::Tokenizer as Whole;
use tokenizers::{ModelWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// The crate's tokenizer, and how its tokens are spelled.
#[derive(Debug)]
pub(in crate::text) struct Library {
    whole: Whole,
    /// A copy that is blind to special tokens in the text; made when it is first asked for.
    plain: OnceLock<Whole>,
    /// From tokens to text.
    pub decoders: Decoders,
}

impl Library {
    /// Builds from the bytes of a `tokenizer.json`.
    pub(in crate::text) fn new(json: &[u8]) -> Result<Self> {
        // The crate trusts its input here and there; a panic of it must not be one of ours.
        let built = std::panic::catch_unwind(|| Whole::from_bytes(json));
        let mut whole = match built {
            Ok(Ok(whole)) => whole,
            Ok(Err(error)) => {
                return Err(Error::Tokenizer(format!("tokenizer.json: {error}; fetch it again")));
            }
            Err(_) => {
                return Err(Error::Tokenizer("tokenizer.json is damaged; fetch it again".into()));
            }
        };
        whole.with_padding(None);
        whole.with_truncation(None).map_err(|error| {
            Error::Tokenizer(format!("tokenizer.json: its truncation: {error}"))
        })?;
        check_template(&whole)?;
        let decoders = Decoders::new(whole.get_decoder())?;
        Ok(Self { whole, plain: OnceLock::new(), decoders })
    }

    /// The tokens that were added to the model's own: id, text, kind.
    pub(in crate::text) fn added(&self) -> Vec<(u32, String, TokenKind)> {
        let all = self.whole.get_added_tokens_decoder();
        let kind = |special| if special { TokenKind::Control } else { TokenKind::UserDefined };
        let mut added: Vec<_> =
            all.into_iter().map(|(id, token)| (id, token.content, kind(token.special))).collect();
        added.sort_unstable_by_key(|(id, ..)| *id);
        added
    }

    /// Ids there may be: one more than the largest.
    pub(in crate::text) fn vocab_size(&self) -> usize {
        let largest = self.added().last().map_or(0, |(id, ..)| *id as usize + 1);
        largest.max(self.whole.get_vocab_size(true))
    }

    pub(in crate::text) fn id(&self, text: &str) -> Option<u32> {
        self.whole.token_to_id(text)
    }

    pub(in crate::text) fn token(&self, id: u32) -> Option<String> {
        self.whole.id_to_token(id)
    }

    /// The ids of `text` with the special tokens in it, and those that go around it with
    /// `add_special`.
    pub(in crate::text) fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        encode(&self.whole, text, add_special)
    }

    /// The ids of `text` as nothing but text.
    pub(in crate::text) fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        let plain = self.plain.get_or_init(|| {
            let mut plain = self.whole.clone();
            plain.set_encode_special_tokens(true);
            plain
        });
        encode(plain, text, false)
    }
}

/// The crate looks special tokens of a template up without asking whether they are there.
fn check_template(whole: &Whole) -> Result<()> {
    let processor = serde_json::to_value(whole.get_post_processor()).unwrap_or_default();
    let several = processor.get("processors").and_then(Value::as_array);
    for one in several.map_or(std::slice::from_ref(&processor), Vec::as_slice) {
        let pieces =
            ["single", "pair"].iter().filter_map(|name| one.get(*name)?.as_array()).flatten();
        let known =
            |name: &str| one.get("special_tokens").is_some_and(|all| all.get(name).is_some());
        let mut names = pieces.filter_map(|piece| piece.get("SpecialToken")?.get("id")?.as_str());
        if let Some(name) = names.find(|name| !known(name)) {
            return Err(Error::Tokenizer(format!(
                "tokenizer.json: the post-processor's special token {name:?} is not among its \
                 special_tokens; fetch it again"
            )));
        }
    }
    Ok(())
}

fn encode(whole: &Whole, text: &str, add_special: bool) -> Result<Vec<u32>> {
    // As in building: what it does not check must not end the program.
    let encoded =
        std::panic::catch_unwind(AssertUnwindSafe(|| whole.encode_fast(text, add_special)));
    let damaged = || {
        Error::Tokenizer("cannot encode the text: tokenizer.json is damaged; fetch it again".into())
    };
    let encoding =
        encoded.map_err(|_| damaged())?.map_err(|error| match unknown_word(whole, text) {
            Some(word) => Error::Tokenizer(format!(
                "cannot encode the text: {word:?} is no word that the model knows"
            )),
            None => Error::Tokenizer(format!("cannot encode the text: {error}")),
        })?;
    Ok(encoding.get_ids().to_vec())
}

/// The first word of `text` that is none of the vocabulary, where tokens are whole words.
fn unknown_word(whole: &Whole, text: &str) -> Option<String> {
    if !matches!(whole.get_model(), ModelWrapper::WordLevel(_)) {
        return None;
    }
    let mut words = PreTokenizedString::from(text);
    whole.get_pre_tokenizer()?.pre_tokenize(&mut words).ok()?;
    let words = words.get_splits(OffsetReferential::Original, OffsetType::Byte);
    words
        .into_iter()
        .map(|(word, ..)| word)
        .find(|word| whole.token_to_id(word).is_none())
        .map(String::from)
}
