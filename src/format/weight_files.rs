//! Which files of a folder have its weights.

use super::cursor::shown;
use super::files::is_there;
use super::json::read_object;
use crate::error::Remedy;
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path};

/// No model has more files.
const MOST_SHARDS: usize = 4096;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The files, and what an index expects of them.
pub(super) struct WeightFiles {
    /// Their names.
    pub files: Vec<String>,
    /// Where there is an index, the file of each tensor.
    pub wanted: Option<BTreeMap<String, usize>>,
}

impl WeightFiles {
    /// Looks for them. A single file counts before an index, which may be left over from a model
    /// that was there before.
    ///
    /// # Errors
    /// If there are none, or the index is damaged or names files that are not there.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        if is_there(&folder.join(SINGLE))? {
            return Ok(Self { files: vec![SINGLE.into()], wanted: None });
        }
        let path = folder.join(INDEX);
        if !is_there(&path)? {
            return Err(lacking(folder, format!("has neither {SINGLE} nor {INDEX}"), None));
        }
        let found = Self::of_index(&path)?;
        let mut missing = vec![];
        for file in &found.files {
            if !is_there(&folder.join(file))? {
                missing.push(file);
            }
        }
        match missing[..] {
            [] => Ok(found),
            [first, ..] => {
                let (count, all) = (missing.len(), found.files.len());
                let message = format!(
                    "{first} is not there, {count} of the {all} files that {INDEX} names are \
                     missing; fetch them again"
                );
                Err(Error::damaged(folder, message).with_remedy(Remedy::FetchMissing))
            }
        }
    }

    fn of_index(path: &Path) -> Result<Self> {
        let index = read_object(path)?;
        let damaged = |message: String| Error::damaged(path, format!("{message}; fetch it again"));
        let map = index.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| damaged("has no weight_map".into()))?;
        let mut files: Vec<String> = vec![];
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        let mut wanted = BTreeMap::new();
        for (tensor, file) in map {
            let file = file.as_str().filter(|file| is_plain(file)).ok_or_else(|| {
                damaged(format!(
                    "the file of tensor {} is {file}, not the name of a file",
                    shown(tensor)
                ))
            })?;
            let at = *by_name.entry(file).or_insert_with(|| {
                files.push(file.to_owned());
                files.len() - 1
            });
            wanted.insert(tensor.clone(), at);
        }
        if files.is_empty() || files.len() > MOST_SHARDS {
            return Err(damaged(format!("names {} files", files.len())));
        }
        Ok(Self { files, wanted: Some(wanted) })
    }
}

/// One name, that leads to nowhere but into the folder.
fn is_plain(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        && !file.contains(['\\', '/'])
}

/// The error for a folder that lacks what it should have: what there is instead, or else `otherwise`.
pub(super) fn lacking(folder: &Path, message: String, otherwise: Option<&str>) -> Error {
    match instead(folder).or(otherwise.map(|what| (what.to_owned(), None))) {
        None => Error::damaged(folder, message),
        Some((what, None)) => Error::damaged(folder, format!("{message}; {what}")),
        Some((what, Some(remedy))) => {
            Error::damaged(folder, format!("{message}; {what}")).with_remedy(remedy)
        }
    }
}

/// What a folder has that it could be about, in words, and what to do with it.
fn instead(folder: &Path) -> Option<(String, Option<Remedy>)> {
    let names = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    let ends = |end: &str| names.iter().find(|name| name.to_lowercase().ends_with(end));
    let has = |name: &str| names.iter().any(|found| found == name);
    if let Some(file) = ends(".gguf") {
        let others = names.iter().filter(|name| name.to_lowercase().ends_with(".gguf")).count() - 1;
        let others =
            if others > 0 { format!(", or one of {others} others") } else { String::new() };
        let what = format!("give the file within, {}{others}", folder.join(file).display());
        return Some((what, None));
    }
    if has("adapter_config.json") {
        return Some(("it holds a LoRA adapter".into(), Some(Remedy::UseAsAdapter)));
    }
    let other = ["pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5"];
    let other =
        other.into_iter().find(|name| has(name)).or(ends(".safetensors").map(String::as_str));
    other.map(|name| {
        let what =
            format!("{name} is not read, save the model as safetensors under the name {SINGLE}");
        (what, None)
    })
}
