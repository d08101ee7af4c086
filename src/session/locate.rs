//! Finds the path of a model that a user names.

use crate::Result;
use crate::hub::{Hub, ModelName};
use std::path::{Path, PathBuf};

/// The path of a model: an existing file or folder, or the location in the hub's cache of a model
/// called `owner/name` or `owner/name@revision`.
///
/// # Errors
/// When there is no such file, and the hub's cache has no model of this name.
pub fn locate(model: &Path) -> Result<PathBuf> {
    // A name is also a relative path, and existing files take precedence. If their existence cannot
    // be determined, opening the file reports the reason.
    let is_there = model.try_exists().unwrap_or(true);
    let name = model.to_str().filter(|_| !is_there).and_then(ModelName::parse);
    name.map_or_else(|| Ok(model.to_owned()), |name| Hub::from_env().cached(&name))
}
