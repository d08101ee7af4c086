//! The one error type. Messages say what is wrong and where, in words of the library; what can be
//! done about it is data, a [`Remedy`], so that each program can name it by its own means.

use std::fmt;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong.
///
/// ```
/// use kaiwu::Error;
///
/// fn may_be_shortened(error: &Error) -> bool {
///     matches!(error, Error::ContextFull { .. } | Error::OutOfMemory { .. })
/// }
/// # assert!(may_be_shortened(&Error::ContextFull { needed: 9, limit: 8, longest: 8 }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: "open", "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file or folder is damaged, incomplete, or not what it was given as.
    #[error("{}: {}{message}", path.display(), Place::prefix(place.as_ref()))]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// Where in it, as far as that is known and not part of the message.
        place: Option<Place>,
        /// What is wrong.
        message: String,
        /// What can be done about it.
        remedy: Option<Remedy>,
    },
    /// A sound file or model asks for something that this version cannot do.
    #[error("{}{message}", prefix(path.as_deref()))]
    Unsupported {
        /// The file or folder, where one asks for it.
        path: Option<PathBuf>,
        /// What is not supported, and what is.
        message: String,
        /// What can be done about it.
        remedy: Option<Remedy>,
    },
    /// A model that was asked for by its name is not in the cache, or only in part.
    #[error("{message}")]
    NotCached {
        /// The name, as a hub has it: `owner/name`.
        name: String,
        /// What is missing, and the folder of the cache.
        message: String,
        /// Whether fetching it is allowed and would help.
        can_fetch: bool,
    },
    /// A model could not be fetched.
    #[error("cannot fetch {name}: {message}")]
    Fetch {
        /// The name, as a hub has it.
        name: String,
        /// What the hub or the network said.
        message: String,
    },
    /// A tokenizer that cannot be built, or a text it has no tokens for.
    #[error("{0}")]
    Tokenizer(String),
    /// A chat template that cannot be read, or that refuses a conversation.
    #[error("{0}")]
    ChatTemplate(String),
    /// Training data that cannot be learned from.
    #[error("{message}")]
    Data {
        /// What is wrong, and in which line of which file.
        message: String,
        /// What can be done about it.
        remedy: Option<Remedy>,
    },
    /// A setting is out of range, or contradicts another one or the model.
    #[error("{name} {why}")]
    InvalidSetting {
        /// The setting, such as "temperature".
        name: String,
        /// What is wrong, as the rest of a sentence that begins with the name.
        why: String,
    },
    /// Something that was given makes no sense, such as a prompt without tokens.
    #[error("{message}")]
    InvalidInput {
        /// What is wrong, and what would be right.
        message: String,
        /// What can be done about it.
        remedy: Option<Remedy>,
    },
    /// A token id is not of the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocab_size}")]
    InvalidToken {
        /// The id.
        id: u32,
        /// How many tokens the model has.
        vocab_size: usize,
    },
    /// A text does not fit in the context.
    #[error("the text needs {needed} tokens, but the context holds {limit}; shorten the text")]
    ContextFull {
        /// Tokens of the text, with those before it.
        needed: usize,
        /// Tokens that the context holds.
        limit: usize,
        /// Tokens that the model was made for, which a context can hold.
        longest: usize,
    },
    /// Something was not begun because it cannot fit in the memory.
    #[error(
        "{what} take {}, but {adapter} {} {}",
        Mebibytes(*needed),
        if *is_shared { SHARED } else { "has" },
        Mebibytes(*available)
    )]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that there are; of those of the whole computer, the free ones.
        available: u64,
        /// The adapter.
        adapter: String,
        /// Whether the adapter computes in the computer's own memory.
        is_shared: bool,
        /// What would take less.
        remedy: Remedy,
    },
    /// The device refused an allocation.
    #[error("the device is out of memory ({0})")]
    AllocationFailed(String),
    /// There is no adapter, or none that was asked for.
    #[error("{message}")]
    NoAdapter {
        /// The adapter that was asked for.
        wanted: Option<String>,
        /// What there is instead, and what to install.
        message: String,
    },
    /// The device was lost, and with it everything on it.
    #[error("the device was lost ({0})")]
    DeviceLost(String),
    /// The device refused a request.
    #[error("{0}")]
    Device(String),
    /// A kernel did not compile, or failed while it ran.
    #[error("kernel {kernel}: {message}")]
    Kernel {
        /// The kernel's label.
        kernel: String,
        /// What the compiler or the device said.
        message: String,
    },
    /// All strategies of a kernel were found wrong on this adapter with this driver.
    #[error(
        "kernel {kernel}: every strategy was found wrong on this adapter with this driver; try \
         another storage, adapter or driver"
    )]
    Quarantined {
        /// The kernel.
        kernel: String,
    },
    /// A kernel's result is not that of its reference.
    #[error("{0}")]
    Mismatch(String),
    /// A result holds infinities or NaN.
    #[error("{0}")]
    NotFinite(String),
    /// Training left the range of numbers, or is worse than guessing.
    #[error(
        "training diverged: {what}; begin again with a rate below {learning_rate}, or a longer \
         warm-up"
    )]
    Diverged {
        /// The step, and what its loss or a parameter became.
        what: String,
        /// The rate it was trained with.
        learning_rate: f64,
    },
    /// The caller asked to stop.
    #[error("stopped by the caller")]
    Cancelled,
    /// An assumption of the library did not hold, which is a mistake worth a report.
    #[error("{0}; this is a mistake of kaiwu, please report it")]
    Internal(&'static str),
    /// An error of the caller's own, from a function that was handed in.
    #[error(transparent)]
    Caller(Box<dyn std::error::Error + Send + Sync>),
}

/// A place within a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A tensor, by its name.
    Tensor(String),
    /// A line, counted from 1.
    Line(usize),
}

/// What a caller can do about an error. The library only names it; how it is done depends on the
/// program: a command line has options for it, a library's user calls functions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Ignore this field of the configuration; the answers may then be wrong.
    /// See [`Ignored`](crate::format::Ignored).
    IgnoreField(String),
    /// Ignore this tensor; the answers may then be wrong. See [`Ignored`](crate::format::Ignored).
    IgnoreTensor(String),
    /// Choose how a text's hidden states become one vector.
    ChoosePooling,
    /// Work with ids of tokens, which need no tokenizer.
    UseTokenIds,
    /// Use the file or folder as an adapter of the model that it was trained for.
    UseAsAdapter,
    /// Write the model without its tokenizer.
    OmitTokenizer {
        /// Whether another name for the model would do as well.
        or_rename: bool,
    },
    /// Fetch the model of this name.
    Fetch(String),
    /// Fetch what is missing of a model, if it came from a hub.
    FetchMissing,
    /// Make vectors of texts with the model, which is not made to write text.
    UseForEmbeddings,
    /// Look at which models the cache has.
    ListModels,
    /// Look at which adapters there are.
    ListAdapters,
    /// Keep tensors in buffers rather than in textures.
    UseBuffers,
    /// Make the context longer.
    LongerContext,
    /// Make the context shorter.
    ShorterContext,
    /// Make the context shorter, or store its cache or the weights in smaller numbers.
    SmallerInference,
    /// Train with a smaller batch or context.
    SmallerTraining {
        /// Whether training an adapter instead of all weights would help as well.
        or_adapter: bool,
    },
    /// Leave out examples that are too long.
    SkipLongExamples,
    /// Give a model that has a tokenizer and a chat template, instead of training a new one.
    TuneModel,
    /// Check the kernels against their references.
    CheckKernels,
    /// Use kernels that were found wrong, too.
    IgnoreQuarantine,
    /// Choose one of these entry points.
    ChooseEntryPoint(Vec<String>),
    /// Give a value to this number of a shader, as to each like it.
    SetNumber(String),
    /// Give the numbers within this buffer one by one.
    SetNumbersOf(String),
    /// Choose how many workgroups run.
    ChooseGrid,
}

impl Error {
    /// Wraps an operating-system error with the verb and the file it befell.
    pub fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// A damaged file, or one that is not what it was given as.
    pub fn damaged(path: &Path, message: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), place: None, message: message.into(), remedy: None }
    }

    /// A file that is damaged at this place.
    pub fn damaged_at(path: &Path, place: Place, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Self::Damaged { path, place: Some(place), message, remedy: None }
    }

    /// A sound file that asks for what this version cannot do.
    pub fn unsupported(path: &Path, message: impl Into<String>) -> Self {
        Self::Unsupported { path: Some(path.to_owned()), message: message.into(), remedy: None }
    }

    /// A setting that cannot be taken; `why` goes on with the sentence that `name` begins.
    pub fn setting(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::InvalidSetting { name: name.into(), why: why.into() }
    }

    /// Something given that makes no sense.
    pub fn input(message: impl Into<String>) -> Self {
        Self::InvalidInput { message: message.into(), remedy: None }
    }

    /// Training data that cannot be learned from.
    pub fn data(message: impl Into<String>) -> Self {
        Self::Data { message: message.into(), remedy: None }
    }

    /// An error of the caller's own, to be handed through the library.
    pub fn caller(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Caller(error.into())
    }

    /// Adds what can be done, to an error of a kind that has a field for it.
    #[must_use]
    pub fn with_remedy(self, what: Remedy) -> Self {
        let remedy = Some(what);
        match self {
            Self::Damaged { path, place, message, .. } => {
                Self::Damaged { path, place, message, remedy }
            }
            Self::Unsupported { path, message, .. } => Self::Unsupported { path, message, remedy },
            Self::InvalidInput { message, .. } => Self::InvalidInput { message, remedy },
            Self::Data { message, .. } => Self::Data { message, remedy },
            other => other,
        }
    }

    /// What can be done about it, as far as the library knows.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Damaged { remedy, .. }
            | Self::Unsupported { remedy, .. }
            | Self::InvalidInput { remedy, .. }
            | Self::Data { remedy, .. } => remedy.clone(),
            Self::OutOfMemory { remedy, .. } => Some(remedy.clone()),
            Self::NotCached { name, can_fetch, .. } => {
                Some(if *can_fetch { Remedy::Fetch(name.clone()) } else { Remedy::ListModels })
            }
            Self::ContextFull { limit, longest, .. } => {
                (limit < longest).then_some(Remedy::LongerContext)
            }
            Self::AllocationFailed(_) | Self::DeviceLost(_) => Some(Remedy::ShorterContext),
            Self::NoAdapter { wanted, .. } => wanted.as_ref().map(|_| Remedy::ListAdapters),
            Self::NotFinite(_) => Some(Remedy::CheckKernels),
            Self::Quarantined { .. } => Some(Remedy::IgnoreQuarantine),
            _ => None,
        }
    }
}

/// What an adapter has that computes in the computer's own memory.
const SHARED: &str = "computes in this computer's memory, of which is free";

/// Bytes, for messages.
struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}

/// How a message about a file begins.
fn prefix(path: Option<&Path>) -> String {
    path.map(|path| format!("{}: ", path.display())).unwrap_or_default()
}

impl Place {
    fn prefix(place: Option<&Self>) -> String {
        match place {
            None => String::new(),
            Some(Self::Tensor(name)) => format!("tensor {name}: "),
            Some(Self::Line(number)) => format!("line {number}: "),
        }
    }
}
