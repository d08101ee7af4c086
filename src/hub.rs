//! Models by name: the hub's cache on disk, and fetching what it lacks.
//!
//! The cache has the layout that all tools of the hub share, so what another one fetched is found here, and the other way
//! round. `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_DOWNLOAD_TIMEOUT` mean what they
//! mean there.

mod fetch;
mod name;

pub use name::ModelName;

use crate::{Error, Result};
use fetch::{Fetch, INDEX, by_hand, failed};
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};
use name::parts_of;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the hub may say nothing, in seconds, without `HF_HUB_DOWNLOAD_TIMEOUT`.
const PATIENCE: u64 = 30;

/// The hub and its cache.
pub struct Hub {
    cache: Cache,
    offline: bool,
    patience: Duration,
}

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Hub {
    /// As the environment says.
    pub fn from_env() -> Self {
        let cache = variable("HF_HUB_CACHE").map_or_else(Cache::from_env, |path| Cache::new(path.into()));
        let yes = |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str());
        let seconds = variable("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|text| text.parse().ok());
        let patience = Duration::from_secs(seconds.filter(|&seconds| seconds > 0).unwrap_or(PATIENCE));
        Self { cache, offline: variable("HF_HUB_OFFLINE").is_some_and(yes), patience }
    }

    /// Where a model that was fetched lies: its folder, or its GGUF file.
    ///
    /// # Errors
    /// If it is not in the cache; the message says how to get it there.
    pub fn cached(&self, name: &ModelName) -> Result<PathBuf> {
        let missing = |what: &str| {
            let cache = self.cache.path().display();
            let remedy = match self.offline {
                false => format!("run `kaiwu pull {name}`"),
                true => {
                    let endpoint = variable("HF_ENDPOINT").unwrap_or("https://huggingface.co".into());
                    let by_hand = by_hand(name, &format!("{endpoint}/{}/resolve/main/", name.repository));
                    format!("HF_HUB_OFFLINE forbids to fetch it; unset that, or {by_hand}")
                }
            };
            Err(Error::Usage(format!("{what} (cache: {cache}); {remedy}")))
        };
        let cached = self.cache.model(name.repository.clone());
        if let Some(file) = &name.file {
            let parts: Option<Vec<PathBuf>> = parts_of(file).iter().map(|part| cached.get(part)).collect();
            let first = parts.and_then(|parts| parts.into_iter().next());
            return first.map_or_else(|| missing(&format!("{name} is not in the cache")), Ok);
        }
        let complete = |config: &Path| {
            let folder = config.parent()?;
            let weights = ["model.safetensors", INDEX].iter().any(|file| folder.join(file).exists());
            weights.then(|| folder.to_owned())
        };
        if let Some(config) = cached.get("config.json") {
            return match complete(&config) {
                Some(folder) => Ok(folder),
                None => missing(&format!("{name} is in the cache without its weights")),
            };
        }
        missing(&format!("{name} is no file or folder here, and not in the cache"))
    }

    /// Fetches what of a model is not in the cache, going on where an earlier attempt ended. `progress` is told the bytes
    /// that are there and of how many. Gives what [`Hub::cached`] does.
    ///
    /// # Errors
    /// If the hub cannot be reached, falls silent, has no such model or sends another than it announced, with what to place
    /// where by hand.
    pub fn pull(
        &self,
        name: &ModelName,
        revision: &str,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PathBuf> {
        if self.offline {
            return self.cached(name);
        }
        let mut builder = ApiBuilder::from_env().with_progress(false);
        if variable("HF_HUB_CACHE").is_some() {
            builder = builder.with_cache_dir(self.cache.path().clone());
        }
        if let Some(token) = variable("HF_TOKEN") {
            builder = builder.with_token(Some(token));
        }
        let api = builder.build().map_err(|error| failed(name, &error.to_string()))?;
        let repo = Repo::with_revision(name.repository.clone(), RepoType::Model, revision.to_owned());
        let cached = self.cache.repo(repo.clone());
        let fetch = Fetch { name, api, repo, cached, patience: self.patience };
        let path = fetch.all(progress)?;
        match name.file {
            Some(_) => Ok(path),
            None => path.parent().map(Path::to_owned).ok_or_else(|| failed(name, "the cache has no folder")),
        }
    }
}
