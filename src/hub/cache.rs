//! The hub's cache on disk: a folder for each model, with its files by what the hub calls their
//! bytes (`blobs`), the names of branches and tags (`refs`), and for each commit a folder of links
//! to its files (`snapshots`).

use super::name::{MAIN, ModelName};
use crate::{Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// What is wanted of a folder beside its weights, where it is there.
pub(super) const SMALL_FILES: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Weights in one file.
pub(super) const WEIGHTS: &str = "model.safetensors";

/// Which file has which weights, if there are several.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// How to place by hand what is at `url`.
pub(super) fn by_hand(name: &ModelName, url: &str) -> String {
    if let Some(file) = &name.file {
        return format!(
            "fetch {url}{file} elsewhere, place it anywhere here, and give its path with -m"
        );
    }
    let folder = Path::new("models").join(&name.repository);
    format!(
        "fetch these files from {url} elsewhere, place them in a folder such as {}, and give it with -m: {}, and \
         {WEIGHTS} or {INDEX} with the files that it names",
        folder.display(),
        SMALL_FILES[..4].join(", ")
    )
}

/// The folder of a model.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) folder: PathBuf,
}

/// How many bytes a file has; `None` where there is none. That it cannot be looked at is an error.
pub(super) fn present(path: &Path) -> Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Whether this may be a part of a path in the cache, such as a commit or a name for bytes.
pub(super) fn is_plain(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a path leads downwards only.
fn is_below(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// All paths below a folder that is there, relative to it. Links to folders are not followed.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (vec![], vec![PathBuf::new()]);
    while let Some(below) = open.pop() {
        let path = folder.join(&below);
        for entry in fs::read_dir(&path).map_err(Error::io("read", &path))? {
            let entry = entry.map_err(Error::io("read", &path))?;
            let is_folder = entry.file_type().map_err(Error::io("read", entry.path()))?.is_dir();
            let below = below.join(entry.file_name());
            if is_folder { open.push(below) } else { found.push(below) }
        }
    }
    found.sort();
    Ok(found)
}

impl Stored {
    /// Of the model with this name in a cache.
    pub(super) fn new(cache: &Path, repository: &str) -> Self {
        Self { folder: cache.join(format!("models--{}", repository.replace('/', "--"))) }
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.folder.join("blobs")
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// The commit that a revision was when it was fetched.
    pub(super) fn commit(&self, revision: &str) -> Result<Option<String>> {
        let path = self.reference(revision);
        let nothing = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::IsADirectory];
        match fs::read_to_string(&path) {
            Ok(text) if is_plain(text.trim()) => Ok(Some(text.trim().to_owned())),
            Ok(_) => {
                Err(Error::damaged(&path, "has no commit; remove it and fetch the model anew"))
            }
            // A commit that was asked for itself needs no name.
            Err(error) if nothing.contains(&error.kind()) => {
                let itself = is_plain(revision) && present(&self.snapshot(revision))?.is_some();
                Ok(itself.then(|| revision.to_owned()))
            }
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Lets a revision be a commit.
    pub(super) fn name_commit(&self, revision: &str, commit: &str) -> Result<()> {
        let path = self.reference(revision);
        if revision == commit || fs::read_to_string(&path).is_ok_and(|text| text.trim() == commit) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        fs::write(&path, commit).map_err(Error::io("write", &path))
    }

    /// Revisions that have a name here, with their commits, `main` first.
    pub(super) fn named(&self) -> Result<Vec<(String, String)>> {
        let folder = self.folder.join("refs");
        if present(&folder)?.is_none() {
            return Ok(vec![]);
        }
        let mut named = vec![];
        for path in files_below(&folder)? {
            // What is no text names no revision that could be asked for.
            let Some(revision) = path.to_str().map(|path| path.replace('\\', "/")) else {
                continue;
            };
            if let Some(commit) = self.commit(&revision)? {
                named.push((revision, commit));
            }
        }
        named.sort_by_key(|(revision, _)| (revision != MAIN, revision.clone()));
        Ok(named)
    }

    /// Commits of which there are files.
    pub(super) fn commits(&self) -> Result<Vec<String>> {
        let folder = self.folder.join("snapshots");
        if present(&folder)?.is_none() {
            return Ok(vec![]);
        }
        let entries = fs::read_dir(&folder).map_err(Error::io("read", &folder))?;
        let names = entries.map(|entry| Ok(entry.map_err(Error::io("read", &folder))?.file_name()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| is_plain(name))
            .collect())
    }

    /// Makes a commit's `file` the bytes that the cache has under the name `etag`.
    pub(super) fn link(&self, etag: &str, commit: &str, file: &str) -> Result<PathBuf> {
        let (blob, path) = (self.blobs().join(etag), self.snapshot(commit).join(file));
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        if fs::symlink_metadata(&path).is_ok() {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        let up = "../".repeat(2 + file.matches('/').count());
        if symlink(&Path::new(&up).join("blobs").join(etag), &path).is_err() {
            // Not all file systems have links.
            fs::rename(&blob, &path).map_err(Error::io("write", &path))?;
        }
        Ok(path)
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

/// What there is of a model in a folder.
pub(super) enum Parts {
    /// No configuration.
    None,
    /// All but this file.
    Without(String),
    /// These, relative to the folder.
    All(Vec<String>),
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

/// Looks for the parts of a model in the folder of a commit. Files that may not be read are errors.
pub(super) fn parts(folder: &Path) -> Result<Parts> {
    let here = |file: &str| Ok(present(&folder.join(file))?.is_some());
    if !here(SMALL_FILES[0])? {
        return Ok(Parts::None);
    }
    let mut parts = vec![];
    for file in SMALL_FILES {
        if here(file)? {
            parts.push(file.to_owned());
        }
    }
    if here(WEIGHTS)? {
        parts.push(WEIGHTS.to_owned());
    } else if here(INDEX)? {
        let path = folder.join(INDEX);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        parts.push(INDEX.to_owned());
        // What is wrong with an index is said where it is read.
        if let Ok(index) = serde_json::from_str::<Index>(&text) {
            let shards: BTreeSet<String> = index.weight_map.into_values().collect();
            for shard in shards.into_iter().filter(|shard| is_below(shard)) {
                if !here(&shard)? {
                    return Ok(Parts::Without(shard));
                }
                parts.push(shard);
            }
        }
    } else {
        return Ok(Parts::Without("its weights".into()));
    }
    for file in &parts {
        let path = folder.join(file);
        fs::File::open(&path).map_err(Error::io("open", &path))?;
    }
    Ok(Parts::All(parts))
}
