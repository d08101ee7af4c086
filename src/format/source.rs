//! Where a model comes from: a GGUF file or a Hugging Face folder. Tensors go by GGUF's names in
//! both.

use super::folder::Folder;
use super::gguf::Gguf;
use super::ignored::Ignored;
use super::tensor_table::TensorInfo;
use crate::error::Place;
use crate::error::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// An open model, not loaded. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Source {
    /// A GGUF file.
    Gguf(Arc<Gguf>),
    /// A Hugging Face folder.
    Folder(Arc<Folder>),
}

impl From<&Arc<Gguf>> for Source {
    fn from(gguf: &Arc<Gguf>) -> Self {
        Self::Gguf(Arc::clone(gguf))
    }
}

impl From<&Source> for Source {
    fn from(source: &Source) -> Self {
        source.clone()
    }
}

impl Source {
    /// Opens a GGUF file, or a folder with a `config.json` and safetensors; the weights are not
    /// touched.
    ///
    /// # Errors
    /// If it cannot be read, is of another kind, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_ignoring(path, &Ignored::default())
    }

    /// Reads what [`Source::open`] reads, and lets pass what is given, though it may change the
    /// result.
    ///
    /// # Errors
    /// If it cannot be read, is of another kind, or is damaged.
    pub fn open_ignoring(path: &Path, ignored: &Ignored) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if !kind.is_dir() {
            return Ok(Self::Gguf(Arc::new(Gguf::open(path)?.ignoring(ignored.clone()))));
        }
        Ok(Self::Folder(Arc::new(Folder::open_ignoring(path, ignored.clone())?)))
    }

    /// What is let pass.
    pub fn ignored(&self) -> &Ignored {
        match self {
            Self::Gguf(gguf) => gguf.ignored(),
            Self::Folder(folder) => folder.ignored(),
        }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        match self {
            Self::Gguf(gguf) => gguf.path(),
            Self::Folder(folder) => folder.path(),
        }
    }

    /// Bytes of the weight files.
    pub fn file_bytes(&self) -> u64 {
        match self {
            Self::Gguf(gguf) => gguf.file_bytes(),
            Self::Folder(folder) => folder.file_bytes(),
        }
    }

    /// All tensors, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        match self {
            Self::Gguf(gguf) => gguf.tensors(),
            Self::Folder(folder) => folder.tensors(),
        }
    }

    /// The tensor of this name, if there is one.
    pub fn opt_tensor(&self, name: &str) -> Option<&TensorInfo> {
        match self {
            Self::Gguf(gguf) => gguf.opt_tensor(name),
            Self::Folder(folder) => folder.opt_tensor(name),
        }
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo> {
        match self {
            Self::Gguf(gguf) => gguf.tensor(name),
            Self::Folder(folder) => folder.opt_tensor(name).ok_or_else(|| {
                folder.path_error(format!("has no tensor for {name:?}; choose a complete model"))
            }),
        }
    }

    /// The stored bytes of a tensor of this source.
    ///
    /// # Panics
    /// May panic if `tensor` is not of this source.
    pub fn data(&self, tensor: &TensorInfo) -> &[u8] {
        match self {
            Self::Gguf(gguf) => gguf.data(tensor),
            Self::Folder(folder) => folder.data(tensor),
        }
    }

    /// Lets the system drop the pages of a tensor's data, which are not needed for now. The data
    /// stays readable.
    pub fn release(&self, tensor: &TensorInfo) {
        match self {
            Self::Gguf(gguf) => gguf.release(tensor),
            Self::Folder(folder) => folder.release(tensor),
        }
    }

    /// Lets the system drop all pages of the files, for instance when the weights are on the
    /// device.
    pub fn release_all(&self) {
        match self {
            Self::Gguf(gguf) => gguf.release_all(),
            Self::Folder(folder) => folder.release_all(),
        }
    }

    /// An error about this source.
    pub fn path_error(&self, message: impl Into<String>) -> Error {
        Error::damaged(self.path(), message)
    }

    /// An error about what this source asks for and this version cannot do.
    pub fn unsupported(&self, message: impl Into<String>) -> Error {
        Error::unsupported(self.path(), message)
    }

    /// An error about one of its tensors.
    pub fn tensor_error(&self, name: &str, message: impl Into<String>) -> Error {
        Error::damaged_at(self.path(), Place::Tensor(name.to_owned()), message)
    }
}
