//! The tokenizer of a model file: text to ids and back.

use super::added::{AddedTokens, Segment};
use super::byte_level::ByteLevel;
use super::decoders::{Position, WholeText};
use super::folder_tokens::FolderTokens;
use super::hf_tokenizer::Library;
use super::markers::{mend_kinds, turn_ends};
use super::sentencepiece::SentencePiece;
use crate::error::Remedy;
use crate::error::{Error, Result};
use crate::format::{Folder, Gguf, Source, is_there, with_words};
use crate::text::TextStream;
use crate::text::TokenKind;
use crate::text::TokenizerMetadata;
use std::borrow::Cow;
use std::collections::HashMap;

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
    /// The bytes of tokens that are no UTF-8.
    raw: HashMap<u32, Box<[u8]>>,
}

#[derive(Debug)]
enum Model {
    ByteLevel(ByteLevel),
    SentencePiece(SentencePiece),
    Library(Box<Library>),
}

impl Tokenizer {
    /// Whether a model's file or folder has a tokenizer, sound or not. Models are also fed with ids
    /// alone.
    pub fn is_in(source: &Source) -> bool {
        match source {
            Source::Gguf(gguf) => TokenizerMetadata::are_in(gguf),
            Source::Folder(folder) => folder.path().join("tokenizer.json").is_file(),
        }
    }

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

    /// Builds the tokenizer of a Hugging Face folder: `tokenizer.json`, with the special tokens
    /// that `tokenizer_config.json`, `generation_config.json` and `config.json` name.
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
        let added = AddedTokens::from_tokens(
            added.iter().map(|(id, text, kind)| (*id, text.as_str(), *kind)),
        );
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
            // Where the post-processor adds none, `add_eos_token` says nothing any more.
            add_eos: false,
            end_of_turn,
            raw: HashMap::new(),
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
                "has no tokenizer ({key} {found}), so that texts cannot be read or written"
            );
            return Err(gguf.unsupported(message).with_remedy(Remedy::UseTokenIds));
        }
        Self::from_parts(&TokenizerMetadata::from_gguf(gguf)?).map_err(|error| match error {
            Error::Tokenizer(message) => gguf.path_error(message),
            other => other,
        })
    }

    /// Builds a tokenizer from its parts, wherever they come from.
    pub fn from_parts(parts: &TokenizerMetadata) -> Result<Self> {
        let vocab_size = parts.tokens.len();
        if vocab_size == 0 || u32::try_from(vocab_size).is_err() {
            return Err(Error::Tokenizer(format!(
                "the vocabulary has {vocab_size} tokens; the file is damaged"
            )));
        }
        let parts = &parts.with_known_ids();
        let mut kinds = read_kinds(parts)?;
        let mended = mend_kinds(&parts.tokens, &mut kinds);
        if parts.kinds.is_none() {
            // Names, and which ids the file has a use for, are all there is to tell control tokens
            // by.
            parts.special_ids().for_each(|(_, id)| kinds[id as usize] = TokenKind::Control);
        } else if !mended.is_empty() {
            log::warn!(
                "tokenizer.ggml.token_type has markers of turns as ordinary text; they are taken \
                 as control tokens: {}",
                mended.join(", ")
            );
        }
        let (model, default_bos) = match parts.model {
            "gpt2" => {
                let model = ByteLevel::new(parts, &kinds)?;
                let add_bos = model.add_bos;
                (Model::ByteLevel(model), add_bos)
            }
            "llama" => (Model::SentencePiece(SentencePiece::new(parts, &kinds)?), true),
            other => {
                return Err(Error::Tokenizer(format!(
                    "tokenizer.ggml.model is {other:?}; known are \"gpt2\" (byte-level BPE) and \"llama\" \
                     (SentencePiece); choose a model with one of these"
                )));
            }
        };
        let added = AddedTokens::new(&parts.tokens, &kinds).named(parts.name);
        let end_of_turn =
            turn_ends([parts.eos, parts.eot, parts.eom].into_iter().flatten(), &added);
        Ok(Self {
            model,
            added,
            vocab_size,
            bos: parts.bos,
            eos: parts.eos,
            add_bos: parts.add_bos.unwrap_or(default_bos) && parts.bos.is_some(),
            add_eos: parts.add_eos.unwrap_or(false) && parts.eos.is_some(),
            end_of_turn,
            raw: parts.tokens.all_raw().map(|(id, bytes)| (id as u32, bytes.into())).collect(),
        })
    }

    /// The ids of `text`. Special tokens written in it become what they name, as chat templates
    /// need; with `add_special`, BOS and EOS are added as the model file asks, unless the text
    /// brings its own.
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

    /// The ids of `text` as nothing but text: no spelling of a control token becomes one, none is
    /// added.
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
                (Segment::Text(text), Model::SentencePiece(model)) => {
                    model.encode(text, &mut ids)?
                }
                // It finds its added tokens itself, and is not asked for segments.
                (Segment::Text(text), Model::Library(model)) => {
                    ids.extend(model.encode(text, false)?)
                }
            }
        }
        Ok(ids)
    }

    /// The text of `ids`; what is not UTF-8 becomes U+FFFD. With `skip_special`, control and
    /// unknown tokens leave nothing behind.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut stream = TextStream::new(self, skip_special);
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text += &stream.finish();
        text
    }

    /// Appends the bytes of one token; they may end inside a character. Ids outside the vocabulary
    /// have none. Whether the token is one of the text's.
    pub(in crate::text) fn append_bytes(
        &self,
        id: u32,
        skip_special: bool,
        position: Position,
        bytes: &mut Vec<u8>,
    ) -> bool {
        match (self.added.get(id), &self.model) {
            (Some((_, kind)), _) if skip_special && kind.is_special() => return false,
            (Some((text, _)), Model::Library(model)) => {
                model.decoders.append(text, true, position, bytes)
            }
            _ if self.raw.contains_key(&id) => bytes.extend_from_slice(&self.raw[&id]),
            (Some((text, _)), _) => bytes.extend_from_slice(text.as_bytes()),
            (None, Model::ByteLevel(model)) => model.decode(id, bytes),
            (None, Model::SentencePiece(model)) => model.decode(id, bytes),
            (None, Model::Library(model)) => match model.token(id) {
                Some(token) => model.decoders.append(&token, false, position, bytes),
                None => return false,
            },
        }
        true
    }

    /// Whether encoding puts a space before a text, which decoding takes away again.
    pub(in crate::text) fn adds_space_prefix(&self) -> bool {
        matches!(&self.model, Model::SentencePiece(model) if model.add_space_prefix)
    }

    /// What the text of all tokens goes through, in pieces as it comes.
    pub(in crate::text) fn whole_text(&self, position: Position) -> WholeText {
        match &self.model {
            Model::Library(model) => model.decoders.whole(position),
            _ => WholeText::default(),
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

    /// Every token that ends an answer, in ascending order: those the file names, and those of
    /// well-known name.
    pub fn end_of_turn(&self) -> &[u32] {
        &self.end_of_turn
    }
}

/// The error for a folder without `tokenizer.json`, which says what there is instead.
fn missing(folder: &Folder) -> Result<Error> {
    let mut slow = vec![];
    for name in
        ["tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt", "tekken.json"]
    {
        if is_there(&folder.path().join(name))? {
            slow.push(name);
        }
    }
    let instead = match slow[..] {
        [] => "save the model's tokenizer beside it".into(),
        _ => format!(
            "{} cannot be read, save the model's tokenizer in the fast format",
            slow.join(" and ")
        ),
    };
    let message =
        format!("has no tokenizer.json, so that texts cannot be read or written; {instead}");
    Ok(folder.unsupported(message).with_remedy(Remedy::UseTokenIds))
}

fn read_kinds(parts: &TokenizerMetadata) -> Result<Vec<TokenKind>> {
    let tokens = parts.tokens.len();
    let Some(numbers) = &parts.kinds else { return Ok(vec![TokenKind::Normal; tokens]) };
    if numbers.len() != tokens {
        return Err(Error::Tokenizer(format!(
            "tokenizer.ggml.token_type has {} entries for {tokens} tokens; the file is damaged",
            numbers.len()
        )));
    }
    let kinds = numbers.iter().map(|&number| TokenKind::from_number(number));
    let strange = numbers.iter().zip(kinds.clone()).filter(|(_, kind)| kind.is_none());
    if let Some((number, _)) = strange.clone().next() {
        let count = strange.count();
        log::warn!(
            "tokenizer.ggml.token_type has {count} numbers such as {number}, which mean nothing; \
             these tokens are taken as \
             ordinary text"
        );
    }
    Ok(kinds.map(|kind| kind.unwrap_or(TokenKind::Normal)).collect())
}
