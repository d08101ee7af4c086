//! What a model file says about its tokenizer, before anything is built from it.

use crate::error::Remedy;
use std::borrow::Cow;

use crate::error::Result;
use crate::format::metadata::{Array, Value};
use crate::format::{Gguf, Strings};

/// The tokenizer's metadata, under the names of GGUF's `tokenizer.ggml.*` keys.
#[derive(Clone, Debug, Default)]
pub struct TokenizerMetadata<'a> {
    /// `general.name`: what the model is called, which tells whether its tokens take the spaces
    /// after them.
    pub name: Option<&'a str>,
    /// `model`: "gpt2" is byte-level BPE, "llama" is SentencePiece.
    pub model: &'a str,
    /// `pre`: the name of the rule that cuts text into words before BPE.
    pub pre: Option<&'a str>,
    /// `tokens`: the vocabulary, in the order of the ids.
    pub tokens: Cow<'a, Strings>,
    /// `token_type`: a [`TokenKind`] for each token; without it all are normal.
    pub kinds: Option<Cow<'a, [i32]>>,
    /// `scores`: for SentencePiece, the higher the earlier a merge.
    pub scores: Option<&'a [f32]>,
    /// `merges`: for byte-level BPE, pairs "left right", the earliest first.
    pub merges: Option<Cow<'a, Strings>>,
    /// `bos_token_id`: begins a text.
    pub bos: Option<u32>,
    /// `eos_token_id`: ends a text.
    pub eos: Option<u32>,
    /// `eot_token_id`: ends a turn of a conversation.
    pub eot: Option<u32>,
    /// `eom_token_id`: ends a message.
    pub eom: Option<u32>,
    /// `unknown_token_id`: stands for what has no token.
    pub unknown: Option<u32>,
    /// `add_bos_token`: whether a text begins with `bos`.
    pub add_bos: Option<bool>,
    /// `add_eos_token`: whether a text ends with `eos`.
    pub add_eos: Option<bool>,
    /// `add_space_prefix`: for SentencePiece, whether a text is read as if a space stood before it.
    pub add_space_prefix: Option<bool>,
}

impl<'a> TokenizerMetadata<'a> {
    /// Whether a model file has a tokenizer, sound or not.
    pub fn are_in(gguf: &Gguf) -> bool {
        match gguf.get("tokenizer.ggml.model") {
            // What writers of GGUF call it when they leave it out.
            Some(model) => model.as_str() != Some("no_vocab"),
            None => gguf.metadata().iter().any(|(key, _)| key.starts_with("tokenizer.ggml.")),
        }
    }

    /// Ids of special tokens that are given, by their names.
    pub(in crate::text) fn special_ids(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let all = [
            ("bos", self.bos),
            ("eos", self.eos),
            ("eot", self.eot),
            ("eom", self.eom),
            ("unknown", self.unknown),
        ];
        all.into_iter().filter_map(|(name, id)| Some((name, id?)))
    }

    /// This metadata without ids that no token has. Some writers put such a number where a model
    /// has no token of this kind.
    pub(in crate::text) fn with_known_ids(&self) -> Self {
        let count = self.tokens.len();
        for (name, id) in self.special_ids().filter(|(_, id)| *id as usize >= count) {
            log::warn!(
                "tokenizer.ggml.{name}_token_id is {id}, but there are {count} tokens; it is \
                 ignored"
            );
        }
        let known = |id: Option<u32>| id.filter(|&id| (id as usize) < count);
        Self {
            bos: known(self.bos),
            eos: known(self.eos),
            eot: known(self.eot),
            eom: known(self.eom),
            unknown: known(self.unknown),
            ..self.clone()
        }
    }

    /// Reads the keys of a model file; arrays are borrowed, not copied.
    pub fn from_gguf(gguf: &'a Gguf) -> Result<Self> {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let id = |name: &str| match gguf.get(&key(&format!("{name}_token_id"))) {
            // In some files -1 stands for none.
            Some(Value::I32(..0) | Value::I64(..0)) => Ok(None),
            _ => gguf.opt_u32(&key(&format!("{name}_token_id"))),
        };
        let wrong = |name: &str, wanted: &str, found: &Array| {
            gguf.path_error(format!(
                "{} should be an array of {wanted}, but is one of {}",
                key(name),
                found.element_type_name()
            ))
        };
        let kinds = match gguf.opt_array(&key("token_type"))? {
            None => None,
            Some(Array::I32(kinds)) => Some(Cow::Borrowed(kinds.as_slice())),
            // A kind that does not fit becomes -1, which is as unknown.
            Some(Array::U32(kinds)) => {
                Some(kinds.iter().map(|&kind| i32::try_from(kind).unwrap_or(-1)).collect())
            }
            Some(other) => return Err(wrong("token_type", "i32", other)),
        };
        let scores = match gguf.opt_array(&key("scores"))? {
            None => None,
            Some(Array::F32(scores)) => Some(scores.as_slice()),
            Some(other) => return Err(wrong("scores", "f32", other)),
        };
        if !Self::are_in(gguf) {
            return Err(gguf
                .unsupported("has no tokenizer, which texts need; choose a file with one")
                .with_remedy(Remedy::UseTokenIds));
        }
        Ok(Self {
            name: gguf.opt_str("general.name")?,
            model: gguf.str(&key("model"))?,
            pre: gguf.opt_str(&key("pre"))?.filter(|name| !name.is_empty()),
            tokens: Cow::Borrowed(gguf.strings(&key("tokens"))?),
            kinds,
            scores,
            merges: gguf.opt_strings(&key("merges"))?.map(Cow::Borrowed),
            bos: id("bos")?,
            eos: id("eos")?,
            eot: id("eot")?,
            eom: id("eom")?,
            unknown: id("unknown")?,
            add_bos: gguf.opt_bool(&key("add_bos_token"))?,
            add_eos: gguf.opt_bool(&key("add_eos_token"))?,
            add_space_prefix: gguf.opt_bool(&key("add_space_prefix"))?,
        })
    }
}

/// What a token is for; the numbers of `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A piece of text that merging may form.
    Normal = 1,
    /// Stands for text that has no token.
    Unknown = 2,
    /// Steers the model (`<|im_start|>`); text forms it only where special tokens are asked for.
    Control = 3,
    /// A piece of text that is matched as a whole before any merging.
    UserDefined = 4,
    /// Fills a gap in the vocabulary; never formed.
    Unused = 5,
    /// A single byte, written `<0x0A>`.
    Byte = 6,
}

impl TokenKind {
    /// The kind of a number in a model file.
    pub fn from_number(number: i32) -> Option<Self> {
        use TokenKind::*;
        [Normal, Unknown, Control, UserDefined, Unused, Byte]
            .into_iter()
            .find(|&kind| kind as i32 == number)
    }

    /// Whether it carries no text of its own: decoding may leave it out.
    pub fn is_special(self) -> bool {
        matches!(self, Self::Control | Self::Unknown)
    }
}
