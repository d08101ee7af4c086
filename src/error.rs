//! The error type of the crate. Messages say what is wrong and where, in terms of the library; what
//! can be done about it is data, a [`Remedy`], so that each program can express it in its own way.

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
    /// A file or folder is damaged, incomplete, or not of the kind that was asked for.
    #[error("{}: {}{message}", path.display(), Place::prefix(place.as_ref()))]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// The place within the file, if it is known and not part of the message.
        place: Option<Place>,
        /// What is wrong.
        message: String,
        /// What can be done about it.
        remedy: Option<Remedy>,
    },
    /// A valid file or model needs something that this version does not support.
    #[error("{}{message}", prefix(path.as_deref()))]
    Unsupported {
        /// The file or folder that needs it, if there is one.
        path: Option<PathBuf>,
        /// What is not supported, and what is.
        message: String,
        /// What can be done about it.
        remedy: Option<Remedy>,
    },
    /// A model that was given by name is not in the cache, or is incomplete there.
    #[error("{message}")]
    NotCached {
        /// The name on the hub: `owner/name`.
        name: String,
        /// What is missing, and the folder of the cache.
        message: String,
        /// Whether fetching it is allowed and would help.
        can_fetch: bool,
    },
    /// A model could not be fetched.
    #[error("cannot fetch {name}: {message}")]
    Fetch {
        /// The name on the hub: `owner/name`.
        name: String,
        /// What the hub or the network said.
        message: String,
    },
    /// A tokenizer cannot be built, or has no tokens for a text.
    #[error("{0}")]
    Tokenizer(String),
    /// A chat template cannot be read, or refuses a conversation.
    #[error("{0}")]
    ChatTemplate(String),
    /// Training data is unusable.
    #[error("{message}")]
    Data {
        /// What is wrong, with line and file.
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
    /// An input makes no sense, such as a prompt without tokens.
    #[error("{message}")]
    InvalidInput {
        /// What is wrong, and what would be right.
        message: String,
        /// What can be done about it.
        remedy: Option<Remedy>,
    },
    /// A token id is not in the vocabulary.
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
        /// Number of tokens of the text and of the context before it.
        needed: usize,
        /// Number of tokens that the context holds.
        limit: usize,
        /// Largest context that the model was made for, in tokens.
        longest: usize,
    },
    /// Something was not begun because it cannot fit in memory.
    #[error(
        "{what} take {}, but {adapter} {} {}",
        Mebibytes(*needed),
        if *is_shared { SHARED } else { "has" },
        Mebibytes(*available)
    )]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// Number of bytes that it takes.
        needed: u64,
        /// Number of bytes that are available; free memory if the adapter shares the computer's
        /// memory.
        available: u64,
        /// The name of the adapter.
        adapter: String,
        /// Whether the adapter uses the computer's own memory.
        is_shared: bool,
        /// What would take less memory.
        remedy: Remedy,
    },
    /// The device refused an allocation.
    #[error("the device is out of memory ({0})")]
    AllocationFailed(String),
    /// There is no adapter, or none that matches the request.
    #[error("{message}")]
    NoAdapter {
        /// The adapter that was asked for.
        wanted: Option<String>,
        /// Which adapters there are, and what to install.
        message: String,
    },
    /// The device was lost, together with everything on it.
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
    /// All strategies of a kernel were found to be wrong on this adapter with this driver.
    #[error(
        "kernel {kernel}: every strategy was found wrong on this adapter with this driver; try \
         another storage, adapter or driver"
    )]
    Quarantined {
        /// The kernel.
        kernel: String,
    },
    /// The result of a kernel differs from its reference.
    #[error("{0}")]
    Mismatch(String),
    /// A result holds infinities or NaN.
    #[error("{0}")]
    NotFinite(String),
    /// Training has diverged: numbers are not finite, or predictions are worse than guessing.
    #[error(
        "training diverged: {what}; begin again with a rate below {learning_rate}, or a longer \
         warm-up"
    )]
    Diverged {
        /// The step, and what its loss or a parameter became.
        what: String,
        /// The learning rate of the training.
        learning_rate: f64,
    },
    /// An assumption of the library was violated, which is a bug that should be reported.
    #[error("{0}; this is a mistake of kaiwu, please report it")]
    Internal(&'static str),
    /// An error that a function given by the caller returned.
    #[error(transparent)]
    Caller(Box<dyn std::error::Error + Send + Sync>),
}

/// A place within a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A tensor, given by its name.
    Tensor(String),
    /// A line, counted from 1.
    Line(usize),
}

/// What a caller can do about an error. The library only names the remedy, because how to apply it
/// depends on the program: a command line has options for it, and a user of the library calls
/// functions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Ignore this field of the configuration; the answers may then be wrong.
    /// See [`Ignored`](crate::format::Ignored).
    IgnoreField(String),
    /// Ignore this tensor; the answers may then be wrong. See [`Ignored`](crate::format::Ignored).
    IgnoreTensor(String),
    /// Choose how the hidden states of a text become one vector.
    ChoosePooling,
    /// Use token ids, which need no tokenizer.
    UseTokenIds,
    /// Use the file or folder as an adapter of its base model.
    UseAsAdapter,
    /// Write the model without its tokenizer.
    OmitTokenizer {
        /// Whether another name for the model would help as well.
        or_rename: bool,
    },
    /// Continue texts: the model was not made for conversations.
    ContinueTexts,
    /// Fetch the model of this name.
    Fetch(String),
    /// Fetch the missing files of a model, if it came from a hub.
    FetchMissing,
    /// Use the model for embeddings: it is not made to generate text.
    UseForEmbeddings,
    /// List the models in the cache.
    ListModels,
    /// List the adapters.
    ListAdapters,
    /// Store tensors in buffers rather than in textures.
    UseBuffers,
    /// Make the context longer.
    LongerContext,
    /// Make the context shorter.
    ShorterContext,
    /// Make the context shorter, or store its cache or the weights in smaller types.
    SmallerInference,
    /// Train with a smaller batch or context.
    SmallerTraining {
        /// Whether training an adapter instead of all weights would help as well.
        or_adapter: bool,
    },
    /// Leave out examples that are too long.
    SkipLongExamples,
    /// Start from a model that has a tokenizer and a chat template, instead of training a new one.
    TuneModel,
    /// Check the kernels against their references.
    CheckKernels,
    /// Also use kernels that were found to be wrong.
    IgnoreQuarantine,
    /// Choose one of these entry points.
    ChooseEntryPoint(Vec<String>),
    /// Set this number of a shader, and each similar one.
    SetNumber(String),
    /// Set the numbers within this buffer one by one.
    SetNumbersOf(String),
    /// Choose the number of workgroups.
    ChooseGrid,
}

impl Error {
    /// Wraps an operating-system error with the attempted verb and the file.
    pub fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// An error about a file that is damaged, or not of the kind that was asked for.
    pub fn damaged(path: &Path, message: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), place: None, message: message.into(), remedy: None }
    }

    /// An error about damage at this place in a file.
    pub fn damaged_at(path: &Path, place: Place, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Self::Damaged { path, place: Some(place), message, remedy: None }
    }

    /// An error about a valid file that needs something unsupported.
    pub fn unsupported(path: &Path, message: impl Into<String>) -> Self {
        Self::Unsupported { path: Some(path.to_owned()), message: message.into(), remedy: None }
    }

    /// An error about a setting; `why` continues the sentence that `name` begins.
    pub fn setting(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::InvalidSetting { name: name.into(), why: why.into() }
    }

    /// An error about an input that makes no sense.
    pub fn input(message: impl Into<String>) -> Self {
        Self::InvalidInput { message: message.into(), remedy: None }
    }

    /// An error about unusable training data.
    pub fn data(message: impl Into<String>) -> Self {
        Self::Data { message: message.into(), remedy: None }
    }

    /// Wraps an error of the caller, so that it can pass through the library.
    pub fn caller(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Caller(error.into())
    }

    /// Adds a remedy to an error of a kind that has a field for it.
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

    /// What can be done about the error, if the library knows.
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

/// How the memory of an adapter is described that uses the computer's own memory.
const SHARED: &str = "computes in this computer's memory, of which is free";

/// Bytes that messages show in mebibytes.
struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}

/// The beginning of a message about a file.
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
