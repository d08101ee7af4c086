//! The tokenizer of a model file: text to ids and back.

use super::added::{AddedTokens, Segment};
use super::byte_level::ByteLevel;
use super::folder_tokens::FolderTokens;
use super::library::Library;
use super::sentencepiece::SentencePiece;
use super::{TextStream, TokenKind, TokenizerParts};
use crate::error::{Error, Result};
use crate::format::{Folder, Gguf, Source, is_there, with_words};
use std::borrow::Cow;

/// Names of tokens that end a turn, in the families of models that have been seen. The metadata names one or
/// two; models are often trained to end with another.
const TURN_ENDS: [&str; 18] = [
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

/// Turns text into token ids and back.
#[derive(Debug)]
pub struct Tokenizer {
    model: Model,
    added: AddedTokens,
    vocab_size: usize,
    bos: Option<u32>,
    eos: Option<u32>,
    add_bos: bool,
    add_eos: bool,
    end_of_turn: Vec<u32>,
}

#[derive(Debug)]
enum Model {
    ByteLevel(ByteLevel),
    SentencePiece(SentencePiece),
    Library(Box<Library>),
}

impl Tokenizer {
    /// Builds the tokenizer of a model's file or folder.
    ///
    /// # Errors
    /// If there is none, or it is damaged or of a kind that is not known.
    pub fn from_source(source: &Source) -> Result<Self> {
        match source {
            Source::Gguf(gguf) => Self::from_gguf(gguf),
            Source::Folder(folder) => Self::from_folder(folder),
        }
    }

    /// Builds the tokenizer of a Hugging Face folder: `tokenizer.json`, with the special tokens that
    /// `tokenizer_config.json`, `generation_config.json` and `config.json` name.
    ///
    /// # Errors
    /// If there is none, or it is damaged or of a kind that is not known.
    pub fn from_folder(folder: &Folder) -> Result<Self> {
        let Some(json) = folder.opt_bytes("tokenizer.json")? else { return Err(missing(folder)?) };
        // Python writes numbers that are none, too, which JSON has no words for.
        let library = Library::new(&json).or_else(|error| match with_words(&json) {
            Cow::Owned(json) => Library::new(&json),
            Cow::Borrowed(_) => Err(error),
        });
        let library = library.map_err(|error| folder.path_error(error.to_string()))?;
        let special = FolderTokens::read(folder, |text| library.id(text))?;
        let added = library.added();
        let added =
            AddedTokens::from_tokens(added.iter().map(|(id, text, kind)| (*id, text.as_str(), *kind)));
        let end_of_turn = turn_ends(special.eos.iter().chain(&special.ends).copied(), &added);
        // The post-processor may put a token before any text, whatever the other files say.
        // A vocabulary of whole words need not have this one.
        let encoded = library.encode("a", true).or_else(|_| library.encode("", true));
        let around = encoded.map_err(|error| folder.path_error(error.to_string()))?;
        let is_special = |id: &u32| added.get(*id).is_some_and(|(_, kind)| kind.is_special());
        let first = around.first().copied().filter(is_special);
        let bos = special.bos.or(first);
        Ok(Self {
            vocab_size: library.vocab_size(),
            model: Model::Library(Box::new(library)),
            added,
            bos,
            eos: special.eos,
            add_bos: bos.is_some() && (special.add_bos == Some(true) || first == bos),
            add_eos: special.add_eos == Some(true) && special.eos.is_some(),
            end_of_turn,
        })
    }

    /// Builds the tokenizer a GGUF file describes under `tokenizer.ggml.*`.
    ///
    /// # Errors
    /// If keys are missing or contradict each other, or name a kind of tokenizer that is not known.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let key = "tokenizer.ggml.model";
        // The former is llama.cpp's word for none.
        if matches!(gguf.opt_str(key)?, Some("no_vocab" | "none") | None) {
            let found = gguf.get(key).map_or("is not there".into(), |value| format!("is {value}"));
            let message = format!(
                "has no tokenizer ({key} {found}), so that texts cannot be read or written; {ONLY_IDS}"
            );
            return Err(gguf.path_error(message));
        }
        Self::from_parts(&TokenizerParts::from_gguf(gguf)?).map_err(|error| match error {
            Error::Text(message) => gguf.path_error(message),
            other => other,
        })
    }

    /// Builds a tokenizer from its parts, wherever they come from.
    pub fn from_parts(parts: &TokenizerParts) -> Result<Self> {
        let vocab_size = parts.tokens.len();
        if vocab_size == 0 || u32::try_from(vocab_size).is_err() {
            return Err(Error::Text(format!("the vocabulary has {vocab_size} tokens; the file is damaged")));
        }
        let mut kinds = read_kinds(parts)?;
        for (name, id) in [
            ("bos", parts.bos),
            ("eos", parts.eos),
            ("eot", parts.eot),
            ("eom", parts.eom),
            ("unknown", parts.unknown),
        ] {
            let Some(id) = id else { continue };
            let kind = kinds.get_mut(id as usize).ok_or_else(|| {
                Error::Text(format!(
                    "tokenizer.ggml.{name}_token_id is {id}, but there are {vocab_size} tokens; the file is damaged"
                ))
            })?;
            // Without kinds in the file, this is all there is to tell control tokens by.
            if parts.kinds.is_none() {
                *kind = TokenKind::Control;
            }
        }
        let (model, default_bos) = match parts.model {
            "gpt2" => {
                let model = ByteLevel::new(parts, &kinds)?;
                let add_bos = model.add_bos;
                (Model::ByteLevel(model), add_bos)
            }
            "llama" => (Model::SentencePiece(SentencePiece::new(parts, &kinds)?), true),
            other => {
                return Err(Error::Text(format!(
                    "tokenizer.ggml.model is {other:?}; known are \"gpt2\" (byte-level BPE) and \"llama\" \
                     (SentencePiece); choose a model with one of these"
                )));
            }
        };
        let added = AddedTokens::new(&parts.tokens, &kinds).named(parts.name);
        let end_of_turn = turn_ends([parts.eos, parts.eot, parts.eom].into_iter().flatten(), &added);
        Ok(Self {
            model,
            added,
            vocab_size,
            bos: parts.bos,
            eos: parts.eos,
            add_bos: parts.add_bos.unwrap_or(default_bos) && parts.bos.is_some(),
            add_eos: parts.add_eos.unwrap_or(false) && parts.eos.is_some(),
            end_of_turn,
        })
    }

    /// The ids of `text`. Special tokens written in it become what they name, as chat templates need; with
    /// `add_special`, BOS and EOS are added as the model file asks, unless the text brings its own.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let mut ids = match &self.model {
            Model::Library(library) => library.encode(text, add_special)?,
            _ => self.encode_segments(text, true)?,
        };
        if let (true, Some(bos)) = (add_special, self.bos)
            && ids.starts_with(&[bos, bos])
        {
            ids.remove(0);
        }
        if let (true, true, Some(bos)) = (add_special, self.add_bos, self.bos)
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        if let (true, true, Some(eos)) = (add_special, self.add_eos, self.eos)
            && ids.last() != Some(&eos)
        {
            ids.push(eos);
        }
        Ok(ids)
    }

    /// The ids of `text` as nothing but text: no spelling of a control token becomes one, none is added.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        match &self.model {
            Model::Library(library) => library.encode_plain(text),
            _ => self.encode_segments(text, false),
        }
    }

    fn encode_segments(&self, text: &str, parse_special: bool) -> Result<Vec<u32>> {
        // About four bytes a token in most languages.
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        for segment in self.added.cut(text, parse_special) {
            match (segment, &self.model) {
                (Segment::Token(id), _) => ids.push(id),
                (Segment::Text(text), Model::ByteLevel(model)) => model.encode(text, &mut ids)?,
                (Segment::Text(text), Model::SentencePiece(model)) => model.encode(text, &mut ids)?,
                // It finds its added tokens itself, and is not asked for segments.
                (Segment::Text(text), Model::Library(model)) => ids.extend(model.encode(text, false)?),
            }
        }
        Ok(ids)
    }

    /// The text of `ids`; what is not UTF-8 becomes U+FFFD. With `skip_special`, control and unknown tokens
    /// leave nothing behind.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut stream = TextStream::new(self, skip_special);
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text += &stream.finish();
        text
    }

    /// Appends the bytes of one token; they may end inside a character. Ids outside the vocabulary have none.
    pub(super) fn append_bytes(&self, id: u32, skip_special: bool, bytes: &mut Vec<u8>) {
        match (self.added.get(id), &self.model) {
            (Some((_, kind)), _) if skip_special && kind.is_special() => {}
            (Some((text, _)), _) => bytes.extend_from_slice(text.as_bytes()),
            (None, Model::ByteLevel(model)) => model.decode(id, bytes),
            (None, Model::SentencePiece(model)) => model.decode(id, bytes),
            (None, Model::Library(model)) => model.append_bytes(id, bytes),
        }
    }

    /// Whether encoding puts a space before a text, which decoding takes away again.
    pub(super) fn adds_space_prefix(&self) -> bool {
        match &self.model {
            Model::ByteLevel(_) => false,
            Model::SentencePiece(model) => model.add_space_prefix,
            Model::Library(model) => model.strips_space,
        }
    }

    /// The vocabulary entry of an id, as the file writes it (`Ġthe`, `▁the`, `<|im_end|>`).
    pub fn token(&self, id: u32) -> Option<String> {
        match (self.added.get(id), &self.model) {
            (Some((text, _)), _) => Some(text.to_owned()),
            (None, Model::ByteLevel(model)) => model.token(id),
            (None, Model::SentencePiece(model)) => model.token(id).map(str::to_owned),
            (None, Model::Library(model)) => model.token(id),
        }
    }

    /// Whether a token carries no text of its own: a control token, or the unknown one.
    pub fn is_special(&self, id: u32) -> bool {
        self.added.get(id).is_some_and(|(_, kind)| kind.is_special())
    }

    /// Whether an id is only there to fill up the vocabulary: no text becomes it.
    pub fn is_unused(&self, id: u32) -> bool {
        self.added.get(id).is_some_and(|(_, kind)| kind == TokenKind::Unused)
    }

    /// The number of tokens. The model's logits may be padded to more.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that the model file asks every text to begin with.
    pub fn first(&self) -> Option<u32> {
        self.bos.filter(|_| self.add_bos)
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Every token that ends an answer, in ascending order: those the file names, and those of well-known name.
    pub fn end_of_turn(&self) -> &[u32] {
        &self.end_of_turn
    }
}

/// What there is for a model without a tokenizer.
const ONLY_IDS: &str = "`kaiwu logits --ids` needs none";

/// The error for a folder without `tokenizer.json`, which says what there is instead.
fn missing(folder: &Folder) -> Result<Error> {
    let mut slow = vec![];
    for name in ["tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt", "tekken.json"] {
        if is_there(&folder.path().join(name))? {
            slow.push(name);
        }
    }
    let instead = match slow[..] {
        [] => "save the model's tokenizer beside it".into(),
        _ => format!("{} cannot be read, save the model's tokenizer in the fast format", slow.join(" and ")),
    };
    let message =
        format!("has no tokenizer.json, so that texts cannot be read or written; {instead}; {ONLY_IDS}");
    Ok(folder.path_error(message))
}

fn read_kinds(parts: &TokenizerParts) -> Result<Vec<TokenKind>> {
    let tokens = parts.tokens.len();
    let Some(numbers) = &parts.kinds else { return Ok(vec![TokenKind::Normal; tokens]) };
    if numbers.len() != tokens {
        return Err(Error::Text(format!(
            "tokenizer.ggml.token_type has {} entries for {tokens} tokens; the file is damaged",
            numbers.len()
        )));
    }
    let kind = |(id, &number)| {
        TokenKind::from_number(number).ok_or_else(|| {
            Error::Text(format!("token {id} has the type {number}, known are 1 to 6; the file is damaged"))
        })
    };
    numbers.iter().enumerate().map(kind).collect()
}

fn turn_ends(known: impl Iterator<Item = u32>, added: &AddedTokens) -> Vec<u32> {
    let named = |name: &str| added.id(name);
    // Where messages have channels, <|end|> ends only one of several messages of a turn.
    let channels = named("<|return|>").is_some() && named("<|call|>").is_some();
    let by_name = TURN_ENDS.iter().filter(|&&name| !(channels && name == "<|end|>")).copied();
    let mut ends: Vec<u32> = known.collect();
    ends.extend(by_name.filter_map(named));
    ends.sort_unstable();
    ends.dedup();
    ends
}
