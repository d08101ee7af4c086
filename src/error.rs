//! The one error type: every message says what, where, and what to do.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, in words for the person at the terminal.
#[derive(Debug, thiserror::Error)]
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
    /// A model file or one of its parts is damaged or of an unknown kind.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, where in the file, and what to do.
        message: String,
    },
    /// The model is well formed, but asks for something that is not there.
    #[error("{0}")]
    Model(String),
    /// Tokenizer or chat template trouble.
    #[error("{0}")]
    Text(String),
    /// No adapter, a lost device, or a refused request to it.
    #[error("{0}")]
    Device(String),
    /// A kernel that did not compile, or an error while it ran.
    #[error("kernel {kernel}: {message}")]
    Kernel {
        /// The kernel's label.
        kernel: String,
        /// What the compiler or the device said.
        message: String,
    },
    /// A command line that cannot be followed.
    #[error("{0}")]
    Usage(String),
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

    /// A damaged or unknown file.
    pub fn format(path: &Path, message: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), message: message.into() }
    }
}
