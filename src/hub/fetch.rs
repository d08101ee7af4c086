//! Fetching the files of a model into the cache.

use super::ModelName;
use super::cache::{INDEX, SMALL_FILES, Stored, WEIGHTS, by_hand, is_plain};
use super::client::{Client, Failure, LINKED_ETAG, Outcome, page};
use super::download::{Wanted, content_range};
use super::name::parts_of;
use crate::{Error, Result};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How often a connection that breaks is made again; what came before is kept.
const ATTEMPTS: u32 = 4;

/// Waiting for longer than this is worth a word.
const SHORT: Duration = Duration::from_secs(2);

pub(super) fn failed(name: &ModelName, message: &str) -> Error {
    Error::Fetch { name: name.to_string(), message: message.to_owned() }
}

/// A model being fetched.
pub(super) struct Fetch<'a> {
    pub(super) name: &'a ModelName,
    pub(super) client: Client,
    pub(super) stored: Stored,
    /// How long the hub may say nothing.
    pub(super) patience: Duration,
}

impl Fetch<'_> {
    /// Fetches all files and gives the path of the first: the file asked for, or the configuration.
    pub(super) fn all(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
        let mut info = None;
        let files = match &self.name.file {
            Some(file) => parts_of(file),
            None => self.files(info.insert(self.info()?))?,
        };
        let wanted =
            files.into_iter().map(|file| self.metadata(file)).collect::<Result<Vec<_>>>()?;
        let commit = self.commit(&wanted, info)?;
        let revision = self.name.revision();
        // A name that is there already stays what it is until all of the new commit is here.
        if self.stored.commit(revision).ok().flatten().is_none() {
            self.stored.name_commit(revision, &commit)?;
        }
        let total = wanted.iter().filter_map(|wanted| wanted.size).sum();
        let (mut done, mut first) = (0, None);
        for wanted in &wanted {
            let path = self
                .file(wanted, &commit, &mut |bytes| progress((done + bytes).min(total), total))?;
            done += wanted.size.unwrap_or(0);
            progress(done, total);
            first.get_or_insert(path);
        }
        self.stored.name_commit(revision, &commit)?;
        first.ok_or_else(|| failed(self.name, "there is nothing to fetch"))
    }

    /// What the hub says of the model.
    fn info(&self) -> Result<Value> {
        let revision = self.name.revision().replace('/', "%2F");
        let url = format!(
            "{}/api/models/{}/revision/{revision}",
            self.client.endpoint, self.name.repository
        );
        self.retry(&mut || self.client.json(&url))
    }

    /// The files a model consists of, the configuration first.
    fn files(&self, info: &Value) -> Result<Vec<String>> {
        let siblings = info["siblings"].as_array();
        let siblings =
            siblings.ok_or_else(|| failed(self.name, "the hub's answer has no list of files"))?;
        let listed: Vec<&str> =
            siblings.iter().filter_map(|file| file["rfilename"].as_str()).collect();
        let has = |name: &str| listed.contains(&name);
        let is_shard = |file: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            file == INDEX
                || (file.starts_with("model-")
                    && file.ends_with(".safetensors")
                    && file.chars().all(plain))
        };
        let weights: Vec<&str> = match has(WEIGHTS) {
            true => vec![WEIGHTS],
            false => listed.iter().copied().filter(|file| is_shard(file)).collect(),
        };
        if has(SMALL_FILES[0]) && !weights.is_empty() {
            let small = SMALL_FILES.iter().copied().filter(|name| has(name));
            return Ok(small.chain(weights).map(str::to_owned).collect());
        }
        let ggufs: Vec<&str> =
            listed.iter().copied().filter(|file| file.ends_with(".gguf")).collect();
        let message = match ggufs.first() {
            None => "it has neither safetensors with a config.json nor GGUF files".to_owned(),
            Some(first) => format!(
                "name one of its GGUF files, as in {}; it has {}",
                ModelName { file: Some((*first).to_owned()), ..self.name.clone() },
                ggufs.join(", ")
            ),
        };
        Err(failed(self.name, &message))
    }

    /// The one commit of all files.
    fn commit(&self, wanted: &[Wanted], info: Option<Value>) -> Result<String> {
        let mut commits: Vec<&String> =
            wanted.iter().filter_map(|wanted| wanted.commit.as_ref()).collect();
        commits.dedup();
        let of_info;
        let commit = match commits[..] {
            [one] => one,
            // Mirrors that leave it out of the files' headers may have it here.
            [] => {
                of_info = match info {
                    Some(info) => info,
                    None => self.info()?,
                };
                let commit = of_info["sha"].as_str().map(str::to_owned);
                &commit.ok_or_else(|| {
                    let message = format!(
                        "{} names no commit (X-Repo-Commit, or sha in its list of files), without which the cache cannot keep \
                         it; take another HF_ENDPOINT, or {}",
                        self.client.endpoint,
                        self.by_hand()
                    );
                    failed(self.name, &message)
                })?
            }
            _ => {
                return Err(failed(
                    self.name,
                    "it changed on the hub at this moment; run it again",
                ));
            }
        };
        // It becomes a part of paths.
        match is_plain(commit) {
            true => Ok(commit.clone()),
            false => {
                Err(failed(self.name, &format!("the hub gives its commit the odd name {commit:?}")))
            }
        }
    }

    pub(super) fn url(&self, file: &str) -> String {
        let revision = self.name.revision().replace('/', "%2F");
        format!("{}/{}/resolve/{revision}/{file}", self.client.endpoint, self.name.repository)
    }

    fn metadata(&self, file: String) -> Result<Wanted> {
        let url = self.url(&file);
        let answer = self.retry(&mut || self.client.head(&url))?;
        let success = answer.response.status().is_success();
        let etag = answer.any(LINKED_ETAG).or_else(|| answer.own("etag").filter(|_| success));
        let Some(etag) = etag else {
            let message = match answer.is_page() {
                true => page(&self.client.endpoint),
                false => format!(
                    "{} sends no ETag for {file}, by which the cache knows its bytes; take another HF_ENDPOINT, or {}",
                    self.client.endpoint,
                    self.by_hand()
                ),
            };
            return Err(failed(self.name, &message));
        };
        let etag = etag.trim();
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned();
        // It becomes a part of paths.
        if !is_plain(&etag) {
            return Err(failed(self.name, &format!("the hub gives {file} the odd name {etag:?}")));
        }
        // A packed answer and a redirect have lengths of their own.
        let length = answer.own("content-length").filter(|_| success && answer.packing().is_none());
        let of_range =
            answer.own("content-range").and_then(content_range).and_then(|(_, total)| total);
        let linked = answer.any("x-linked-size").and_then(|text| text.trim().parse().ok());
        let size = of_range.or(linked).or_else(|| length?.trim().parse().ok());
        let commit = answer.any("x-repo-commit").map(|commit| commit.trim().to_owned());
        Ok(Wanted { file, etag, size, commit })
    }

    /// Asks again where a connection broke or the hub was busy; what was fetched before is kept.
    pub(super) fn retry<T>(&self, ask: &mut dyn FnMut() -> Outcome<T>) -> Result<T> {
        let mut attempt = 1;
        loop {
            let (message, wait) = match ask() {
                Ok(answer) => return Ok(answer),
                Err(Failure::Own(error)) => return Err(error),
                Err(Failure::Lasting(message)) => return Err(failed(self.name, &message)),
                Err(Failure::Passing(message, wait)) => (message, wait),
                Err(Failure::Silence) => {
                    let message = format!(
                        "the hub has said nothing for {} s (HF_HUB_DOWNLOAD_TIMEOUT); run it again to go on, or {}",
                        self.patience.as_secs(),
                        self.by_hand()
                    );
                    return Err(failed(self.name, &message));
                }
            };
            if let Some(wait) = wait.filter(|&wait| wait > self.patience || attempt == ATTEMPTS) {
                let message = format!(
                    "{message} and wants to be left alone for {} s; run it again then, or {}",
                    wait.as_secs(),
                    self.by_hand()
                );
                return Err(failed(self.name, &message));
            }
            if attempt == ATTEMPTS {
                return Err(failed(self.name, &format!("{message}; {}", self.by_hand())));
            }
            let wait = wait.unwrap_or(Duration::from_millis(100 << attempt));
            match wait > SHORT {
                true => log::warn!("{message}; waiting for {} s as it asks", wait.as_secs()),
                false => log::info!("attempt {attempt} to fetch {}: {message}", self.name),
            }
            std::thread::sleep(wait);
            attempt += 1;
        }
    }

    /// What to do without a connection.
    pub(super) fn by_hand(&self) -> String {
        by_hand(self.name, &self.url(""))
    }
}
