//! What is in the cache by name, and taking it out.

use super::cache::{Parts, Stored, files_below, parts, present};
use super::name::{MAIN, ModelName};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A model in the cache.
#[derive(Debug)]
pub struct Cached {
    /// What `-m` takes.
    pub name: ModelName,
    /// What its revision was when it was fetched.
    pub commit: String,
    /// Its folder, or its GGUF file.
    pub path: PathBuf,
    /// Of its files together; `Err` says why it is none that could be loaded.
    pub bytes: std::result::Result<u64, String>,
}

/// All models of a cache, by name.
pub(super) fn list(cache: &Path) -> Result<Vec<Cached>> {
    if present(cache)?.is_none() {
        return Ok(vec![]);
    }
    let mut found = vec![];
    for entry in fs::read_dir(cache).map_err(Error::io("read", cache))? {
        let folder = entry.map_err(Error::io("read", cache))?.file_name();
        let name =
            folder.to_str().and_then(|folder| folder.strip_prefix("models--")?.split_once("--"));
        let Some((owner, name)) = name else { continue };
        let Some(name) = ModelName::parse(&format!("{owner}/{name}")) else { continue };
        let stored = Stored::new(cache, &name.repository);
        match of_model(&stored, &name) {
            Ok(models) => found.extend(models),
            Err(error) => found.push(Cached {
                name,
                commit: String::new(),
                path: stored.folder,
                bytes: Err(error.to_string()),
            }),
        }
    }
    found.sort_by_key(|model| model.name.to_string());
    Ok(found)
}

/// The revisions of a model: those with names, and commits without one.
fn revisions(stored: &Stored) -> Result<Vec<(String, String)>> {
    let mut revisions = stored.named()?;
    for commit in stored.commits()? {
        if revisions.iter().all(|(_, known)| *known != commit) {
            revisions.push((commit.clone(), commit));
        }
    }
    Ok(revisions)
}

fn of_model(stored: &Stored, name: &ModelName) -> Result<Vec<Cached>> {
    let mut found = vec![];
    for (revision, commit) in revisions(stored)? {
        let revision = Some(revision).filter(|revision| revision != MAIN);
        let folder = stored.snapshot(&commit);
        let mut add = |file: Option<String>, path: PathBuf, bytes| {
            let name = ModelName { revision: revision.clone(), file, ..name.clone() };
            found.push(Cached { name, commit: commit.clone(), path, bytes });
        };
        if present(&folder)?.is_none() {
            add(None, folder, Err("nothing of it is there".into()));
            continue;
        }
        let files = files_below(&folder)?;
        let ggufs: Vec<(String, PathBuf)> = files
            .iter()
            .filter_map(|file| Some((file.to_str()?.replace('\\', "/"), folder.join(file))))
            .filter(|(file, _)| file.ends_with(".gguf"))
            .collect();
        match parts(&folder)? {
            Parts::All(parts) => {
                let sizes = parts.iter().map(|part| Ok(present(&folder.join(part))?.unwrap_or(0)));
                let bytes = sizes.sum::<Result<u64>>()?;
                add(None, folder, Ok(bytes));
            }
            Parts::Without(part) if ggufs.is_empty() => {
                add(None, folder, Err(format!("without {part}")))
            }
            Parts::None if ggufs.is_empty() => {
                add(None, folder, Err("has neither a config.json nor GGUF files".into()));
            }
            _ => {}
        }
        for (file, path) in ggufs {
            let bytes = present(&path)?.ok_or_else(|| "its bytes are not there".to_owned());
            add(Some(file), path, bytes);
        }
    }
    Ok(found)
}

/// What goes when a model is taken out of the cache.
#[derive(Debug)]
pub struct Removal {
    /// Names first, so that what is left half-done is not found by them.
    files: Vec<PathBuf>,
    /// With all that is in them, after the files.
    folders: Vec<PathBuf>,
    /// Bytes that become free. Those that another revision needs stay.
    pub bytes: u64,
}

/// Bytes of a file or link itself.
fn own_bytes(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |found| if found.is_file() { found.len() } else { 0 })
}

/// A folder of the cache that is a link may lead to what is not the cache's.
fn refuse_link(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        false => Ok(()),
        true => Err(Error::unsupported(
            path,
            "is a link to a place outside the cache; nothing is removed, remove it by hand",
        )),
    }
}

impl Removal {
    /// What removing `name` takes away; `None` if the cache has nothing of this name.
    pub(super) fn plan(stored: &Stored, name: &ModelName) -> Result<Option<Self>> {
        refuse_link(&stored.folder)?;
        ["refs", "snapshots", "blobs"]
            .iter()
            .try_for_each(|part| refuse_link(&stored.folder.join(part)))?;
        if present(&stored.folder)?.is_none() {
            return Ok(None);
        }
        let (named, commits) = (stored.named()?, stored.commits()?);
        let Some(commit) = stored.commit(name.revision())? else {
            // An attempt to fetch it that did not get as far as a commit.
            let begun = named.is_empty()
                && commits.is_empty()
                && name.file.is_none()
                && name.revision() == MAIN;
            return if begun { Self::whole(stored).map(Some) } else { Ok(None) };
        };
        let folder = stored.snapshot(&commit);
        refuse_link(&folder)?;
        let files = if present(&folder)?.is_some() { files_below(&folder)? } else { vec![] };
        let gone = match &name.file {
            Some(file) if !files.contains(&PathBuf::from(file)) => return Ok(None),
            Some(file) => vec![PathBuf::from(file)],
            None => files.clone(),
        };
        let mut removal = Self { files: vec![], folders: vec![], bytes: 0 };
        if gone.len() == files.len() {
            let names =
                named.iter().filter(|(_, known)| *known == commit).map(|(name, _)| name.as_str());
            let names: Vec<&str> = names.collect();
            if name.file.is_none() && names.contains(&name.revision()) && names.len() > 1 {
                // The same files stay by another name.
                removal.files.push(stored.reference(name.revision()));
                return Ok(Some(removal));
            }
            if commits.iter().all(|known| *known == commit) && names.len() == named.len() {
                return Self::whole(stored).map(Some);
            }
            removal.files.extend(names.iter().map(|name| stored.reference(name)));
            removal.folders.extend(present(&folder)?.map(|_| folder.clone()));
        }
        let mut kept = BTreeSet::new();
        for known in &commits {
            let folder = stored.snapshot(known);
            let links = files_below(&folder)?.into_iter();
            let links = links.filter(|file| *known != commit || !gone.contains(file));
            kept.extend(links.filter_map(|file| fs::canonicalize(folder.join(file)).ok()));
        }
        let blobs = fs::canonicalize(stored.blobs()).ok();
        for link in gone.iter().map(|file| folder.join(file)) {
            let blob = fs::canonicalize(&link).ok().filter(|blob| !kept.contains(blob));
            let blob = blob.filter(|blob| blob.parent() == blobs.as_deref());
            removal.bytes += own_bytes(&link);
            removal.files.push(link);
            if let Some(blob) = blob.filter(|blob| !removal.files.contains(blob)) {
                removal.bytes += own_bytes(&blob);
                let lock = Some(blob.with_extension("lock")).filter(|lock| lock.exists());
                removal.files.extend([Some(blob), lock].into_iter().flatten());
            }
        }
        Ok(Some(removal))
    }

    /// All of a model.
    fn whole(stored: &Stored) -> Result<Self> {
        let files = files_below(&stored.folder)?;
        let bytes = files.iter().map(|file| own_bytes(&stored.folder.join(file))).sum();
        Ok(Self { files: vec![], folders: vec![stored.folder.clone()], bytes })
    }

    /// Removes it.
    ///
    /// # Errors
    /// If a file cannot be removed; those before it are gone.
    pub fn run(self) -> Result<()> {
        for file in &self.files {
            fs::remove_file(file).map_err(Error::io("remove", file))?;
        }
        // Links are removed, never followed.
        self.folders
            .iter()
            .try_for_each(|folder| fs::remove_dir_all(folder).map_err(Error::io("remove", folder)))
    }
}
