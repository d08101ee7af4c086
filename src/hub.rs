//! Models by name: the hub's cache on disk, and fetching what it lacks.
//!
//! The cache has the layout that all tools of the hub share, so what another one fetched is found
//! here, and the other way round. `HF_HOME`, `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`,
//! `XDG_CACHE_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH` and
//! `HF_HUB_DOWNLOAD_TIMEOUT` mean what they mean there.
//!
//! ```
//! use kaiwu::hub::{Hub, ModelName};
//!
//! let name = ModelName::parse("HuggingFaceTB/SmolLM2-135M-Instruct").expect("owner/name");
//! match Hub::from_env().cached(&name) {
//!     Ok(path) => println!("{} is here", path.display()),
//!     Err(error) => println!("{error}"),
//! }
//! ```

#[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "some of it is for fetching"))]
mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod fetch;
mod inventory;
mod name;
#[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "some of it is for fetching"))]
mod settings;

pub use inventory::{Cached, Removal};
pub use name::ModelName;

use crate::{Error, Result};
use cache::{Parts, Stored, by_hand, parts, present};
#[cfg(feature = "hub")]
use client::Client;
#[cfg(feature = "hub")]
use fetch::{Fetch, failed};
use name::parts_of;
use settings::Settings;
#[cfg(feature = "hub")]
use std::path::Path;
use std::path::PathBuf;

/// Which other revisions of a model there are, as the rest of a sentence.
fn others(stored: &Stored) -> Result<String> {
    let others: Vec<String> = stored.named()?.into_iter().map(|(revision, _)| revision).collect();
    Ok(if others.is_empty() { String::new() } else { format!(", but at {}", others.join(", ")) })
}

/// The hub and its cache.
pub struct Hub {
    settings: Settings,
}

impl Hub {
    /// As the environment says.
    pub fn from_env() -> Self {
        Self { settings: Settings::from_env() }
    }

    fn stored(&self, name: &ModelName) -> Stored {
        Stored::new(&self.settings.cache, &name.repository)
    }

    /// Where a model that was fetched lies: its folder, or its GGUF file.
    ///
    /// # Errors
    /// If it is not in the cache, or may not be read; the message says how to get it there.
    pub fn cached(&self, name: &ModelName) -> Result<PathBuf> {
        let stored = self.stored(name);
        let Some(commit) = stored.commit(name.revision())? else {
            let place = if name.file.is_some() { "" } else { "no file or folder here, and " };
            return Err(self
                .missing(name, &format!("{name} is {place}not in the cache{}", others(&stored)?)));
        };
        let folder = stored.snapshot(&commit);
        if let Some(file) = &name.file {
            for part in parts_of(file) {
                let path = folder.join(&part);
                if present(&path)?.is_none() {
                    let what = if part == *file {
                        name.to_string()
                    } else {
                        format!("{part}, a part of {name},")
                    };
                    return Err(self.missing(name, &format!("{what} is not in the cache")));
                }
                std::fs::File::open(&path).map_err(Error::io("open", &path))?;
            }
            return Ok(folder.join(file));
        }
        match parts(&folder)? {
            Parts::All(_) => Ok(folder),
            Parts::Without(part) => {
                Err(self.missing(name, &format!("{name} is in the cache without {part}")))
            }
            Parts::None => {
                if present(&folder)?.is_none() {
                    return Err(
                        self.missing(name, &format!("nothing of {name} is in the cache yet"))
                    );
                }
                let files = cache::files_below(&folder)?;
                let gguf = files
                    .iter()
                    .filter_map(|file| file.to_str())
                    .find(|file| file.ends_with(".gguf"));
                let Some(gguf) = gguf.map(|file| file.replace('\\', "/")) else {
                    return Err(self
                        .missing(name, &format!("{name} is in the cache without a config.json")));
                };
                let one = ModelName { file: Some(gguf), ..name.clone() };
                Err(Error::input(format!(
                    "{name} is in the cache as GGUF files; name one of them, as in {one}"
                )))
            }
        }
    }

    /// All models of the cache, by name, those too that are incomplete.
    ///
    /// # Errors
    /// If the cache's folder may not be read.
    pub fn list(&self) -> Result<Vec<Cached>> {
        inventory::list(&self.settings.cache)
    }

    /// What [`Removal::run`] will take out of the cache.
    ///
    /// # Errors
    /// If nothing of this name is there, or it lies outside the cache.
    pub fn removal(&self, name: &ModelName) -> Result<Removal> {
        let stored = self.stored(name);
        let others = match Removal::plan(&stored, name)? {
            Some(removal) => return Ok(removal),
            None => others(&stored)?,
        };
        let cache = self.settings.cache.display();
        Err(Error::NotCached {
            name: name.to_string(),
            message: format!("{name} is not in the cache{others} (cache: {cache})"),
            can_fetch: false,
        })
    }

    /// What to do about a model that is not in the cache.
    fn missing(&self, name: &ModelName, what: &str) -> Error {
        let Settings { cache, endpoint, offline, .. } = &self.settings;
        let mut message = format!("{what} (cache: {})", cache.display());
        if *offline {
            let url = format!("{endpoint}/{}/resolve/{}/", name.repository, name.revision());
            message += "; HF_HUB_OFFLINE forbids to fetch it; unset that, or ";
            message += &by_hand(name, &url);
        }
        Error::NotCached { name: name.to_string(), message, can_fetch: !offline }
    }

    /// Fetches what of a model is not in the cache, going on where an earlier attempt ended.
    /// `progress` is told the bytes that are there and of how many. Gives what [`Hub::cached`]
    /// does.
    ///
    /// # Errors
    /// If the hub cannot be reached, falls silent, has no such model or sends another than it
    /// announced, with what to place where by hand.
    #[cfg(feature = "hub")]
    pub fn pull(&self, name: &ModelName, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
        if self.settings.offline {
            return self.cached(name);
        }
        let client = Client::new(&self.settings)?;
        let fetch =
            Fetch { name, client, stored: self.stored(name), patience: self.settings.patience };
        let path = fetch.all(progress)?;
        match name.file {
            Some(_) => Ok(path),
            None => path
                .parent()
                .map(Path::to_owned)
                .ok_or_else(|| failed(name, "the cache has no folder")),
        }
    }
}
