//! From what a person calls a model to its path.

use crate::Result;
use crate::hub::{Hub, ModelName};
use std::path::{Path, PathBuf};

/// The path of a model: a file or folder that is there, or the place in the hub's cache of one
/// called `owner/name` or `owner/name@revision`.
///
/// # Errors
/// When there is no such file, and the hub's cache has no model of this name.
pub fn locate(model: &Path) -> Result<PathBuf> {
    // A name is a relative path too: what is there counts first. Opening it says what is wrong if
    // that cannot be told.
    let is_there = model.try_exists().unwrap_or(true);
    let name = model.to_str().filter(|_| !is_there).and_then(ModelName::parse);
    name.map_or_else(|| Ok(model.to_owned()), |name| Hub::from_env().cached(&name))
}
