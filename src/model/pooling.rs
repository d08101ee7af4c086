//! How the hidden states of a text's tokens become one vector, and what a model's files say about
//! it.

use crate::Result;
use crate::error::Remedy;
use crate::format::{Folder, Gguf, Source};
use serde_json::{Map, Value};

/// How the hidden states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean
    Mean,
    /// That of the first token
    First,
    /// That of the last token, which has seen all others
    Last,
    /// The largest of each number
    Max,
    /// Their mean, the first token counted once, the second twice, and so on
    Weighted,
}

/// The pooling that a model's files ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The authors' way of pooling.
    pub pooling: Pooling,
    /// The file or key that says so, for messages.
    pub said_by: String,
}

/// The steps of sentence-transformers that are supported, by the last part of their type. Together
/// they give a vector of length 1.
const KNOWN: [&str; 3] = ["Transformer", "Pooling", "Normalize"];

/// Ways of pooling in the configuration of sentence-transformers: the key that is true in old
/// files, the value in new ones.
const MODES: [(&str, &str, Pooling); 6] = [
    ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
    // It divides by the square root of the count instead of the count: the direction is the same.
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::Mean),
    ("pooling_mode_cls_token", "cls", Pooling::First),
    ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
    ("pooling_mode_max_tokens", "max", Pooling::Max),
    ("pooling_mode_weightedmean_tokens", "weightedmean", Pooling::Weighted),
];

impl Pooling {
    /// The name of this pooling on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::First => "first",
            Self::Last => "last",
            Self::Max => "max",
            Self::Weighted => "weighted",
        }
    }

    /// Its number in llama.cpp's `enum llama_pooling_type`, as GGUF files store it; `None` where
    /// that has no equivalent.
    pub fn gguf_number(self) -> Option<u32> {
        match self {
            Self::Mean => Some(1),
            Self::First => Some(2),
            Self::Last => Some(3),
            Self::Max | Self::Weighted => None,
        }
    }

    /// The pooling that a model's files ask for, if any: `<architecture>.pooling_type` of a GGUF
    /// file, or the pooling configuration that a folder's `modules.json` names.
    ///
    /// # Errors
    /// When the files ask for an unsupported way of making vectors, or are damaged.
    pub fn declared(source: &Source) -> Result<Option<Declared>> {
        match source {
            Source::Gguf(gguf) => of_gguf(gguf),
            Source::Folder(folder) => of_folder(folder),
        }
    }

    /// Adds the hidden state of the token at `position` of the text to what is pooled so far.
    pub(super) fn add(self, pooled: &mut [f64], row: &[f32], position: usize) {
        let pairs = pooled.iter_mut().zip(row.iter().map(|&x| f64::from(x)));
        match self {
            Self::Mean => pairs.for_each(|(sum, x)| *sum += x),
            Self::Weighted => pairs.for_each(|(sum, x)| *sum += (position + 1) as f64 * x),
            Self::First if position > 0 => {}
            // NaN is kept, so that it reaches the result.
            Self::Max if position > 0 => pairs.for_each(|(most, x)| {
                if x.is_nan() || x > *most {
                    *most = x;
                }
            }),
            Self::First | Self::Last | Self::Max => pairs.for_each(|(kept, x)| *kept = x),
        }
    }
}

fn of_gguf(gguf: &Gguf) -> Result<Option<Declared>> {
    let key = format!("{}.pooling_type", gguf.str("general.architecture")?);
    let known = [Pooling::Mean, Pooling::First, Pooling::Last];
    let pooling = match gguf.opt_u32(&key)? {
        // One vector for each token: nothing is said about the vector of a text.
        None | Some(0) => return Ok(None),
        Some(4) => {
            let message = format!("{key} = 4: the model ranks texts and makes no vectors of them");
            return Err(gguf.unsupported(message).with_remedy(Remedy::ChoosePooling));
        }
        Some(number) => {
            match known.into_iter().find(|pooling| pooling.gguf_number() == Some(number)) {
                Some(pooling) => pooling,
                None => {
                    let message = format!("{key} = {number} is not known to this version");
                    return Err(gguf.unsupported(message).with_remedy(Remedy::ChoosePooling));
                }
            }
        }
    };
    Ok(Some(Declared { pooling, said_by: key }))
}

/// Reads the configuration of sentence-transformers: the list of steps, and the folder of the
/// pooling step.
fn of_folder(folder: &Folder) -> Result<Option<Declared>> {
    let modules = "modules.json";
    let Some(list) = folder.opt_json(modules)? else { return Ok(None) };
    let Value::Array(list) = list else {
        return Err(
            folder.path_error(format!("{modules} should be a list of steps; fetch it again"))
        );
    };
    let mut pooling = None;
    for step in &list {
        let text = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = text("type").rsplit('.').next().unwrap_or_default();
        if !KNOWN.contains(&kind) {
            let message = format!(
                "{modules} has a step of type {:?}, which is not known to this version and changes \
                 the vectors",
                text("type")
            );
            return Err(folder.unsupported(message).with_remedy(Remedy::ChoosePooling));
        }
        if kind == "Pooling" {
            pooling = Some(text("path").to_owned());
        }
    }
    let Some(within) = pooling else { return Ok(None) };
    let file = format!("{within}/config.json");
    if within.is_empty() || within.contains(['/', '\\', ':']) || within == ".." {
        let message =
            format!("{modules} names {within:?}, which is no folder within; fetch it again");
        return Err(folder.path_error(message));
    }
    let missing =
        || folder.path_error(format!("has no {file}, which {modules} names; fetch it again"));
    let settings = folder.opt_object(&file)?.ok_or_else(missing)?;
    match &named(&settings)[..] {
        [] => {
            let message = format!("{file} names no pooling that is known to this version");
            Err(folder.unsupported(message).with_remedy(Remedy::ChoosePooling))
        }
        &[pooling] => Ok(Some(Declared { pooling, said_by: file })),
        _ => {
            let message =
                format!("{file} puts several vectors behind one another, which is not supported");
            Err(folder.unsupported(message).with_remedy(Remedy::ChoosePooling))
        }
    }
}

/// All ways of pooling that a configuration asks for: one by name or, in old files, each key that
/// is true. In these the mean is the default unless it is false.
fn named(settings: &Map<String, Value>) -> Vec<Pooling> {
    let mode = settings.get("pooling_mode").and_then(Value::as_str);
    let is_asked = |flag: &str, name: &str| match mode {
        Some(mode) => mode == name,
        None => settings.get(flag).and_then(Value::as_bool).unwrap_or(flag == MODES[0].0),
    };
    let found = MODES.iter().filter(|(flag, name, _)| is_asked(flag, name));
    found.map(|(.., pooling)| *pooling).collect()
}
