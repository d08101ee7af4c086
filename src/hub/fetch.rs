//! Fetching the files of a model into the cache.

use super::ModelName;
use super::name::parts_of;
use crate::{Error, Result};
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiError, ApiRepo, Metadata};
use hf_hub::{CacheRepo, Repo};
use ring::digest::{Context, SHA256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// What is wanted of a folder beside its weights, where it is there.
const SMALL_FILES: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
];

pub(super) const INDEX: &str = "model.safetensors.index.json";

/// How often a connection that breaks is made again; what came before is kept.
const ATTEMPTS: usize = 4;

pub(super) fn failed(name: &ModelName, message: &str) -> Error {
    Error::Model(format!("cannot fetch {name}: {message}"))
}

/// A model being fetched.
pub(super) struct Fetch<'a> {
    pub(super) name: &'a ModelName,
    pub(super) api: Api,
    pub(super) repo: Repo,
    pub(super) cached: CacheRepo,
    /// How long the hub may say nothing.
    pub(super) patience: Duration,
}

/// What a request in a thread of its own has to say.
enum Said<T> {
    /// So many bytes of the file are there.
    Bytes(u64),
    /// It is over.
    Done(std::result::Result<T, ApiError>),
}

impl Fetch<'_> {
    /// Fetches all files and gives the path of the first: the file asked for, or the configuration.
    pub(super) fn all(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
        let files = self.files()?;
        let mut wanted = vec![];
        for file in &files {
            let url = self.api.repo(self.repo.clone()).url(file);
            let metadata = self.retry(&mut |_| (), move |api, _, _| api.metadata(&url))?;
            // These become parts of paths.
            for part in [metadata.etag(), metadata.commit_hash()] {
                if part.is_empty() || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                    return Err(failed(self.name, &format!("the hub gives {file} the odd name {part:?}")));
                }
            }
            wanted.push((file, metadata));
        }
        let total = wanted.iter().map(|(_, metadata)| metadata.size() as u64).sum();
        let mut done = 0;
        let mut first = None;
        for (file, metadata) in &wanted {
            let path = self.file(file, metadata, &mut |bytes| progress((done + bytes).min(total), total))?;
            done += metadata.size() as u64;
            progress(done, total);
            first.get_or_insert(path);
        }
        first.ok_or_else(|| failed(self.name, "there is nothing to fetch"))
    }

    /// The files a model consists of, the configuration first.
    fn files(&self) -> Result<Vec<String>> {
        if let Some(file) = &self.name.file {
            return Ok(parts_of(file));
        }
        let info = self.retry(&mut |_| (), |_, repo, _| repo.info())?;
        let listed: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
        let has = |name: &str| listed.iter().any(|file| file == name);
        let weights: Vec<String> = if has("model.safetensors") {
            vec!["model.safetensors".into()]
        } else {
            let is_shard = |file: &&String| {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                *file == INDEX
                    || (file.starts_with("model-")
                        && file.ends_with(".safetensors")
                        && file.chars().all(plain))
            };
            listed.iter().filter(is_shard).cloned().collect()
        };
        if has("config.json") && !weights.is_empty() {
            let small = SMALL_FILES.iter().filter(|name| has(name)).map(|name| name.to_string());
            return Ok(small.chain(weights).collect());
        }
        let ggufs: Vec<String> = listed.iter().filter(|file| file.ends_with(".gguf")).cloned().collect();
        let message = match ggufs.is_empty() {
            true => "it has neither safetensors with a config.json nor GGUF files".to_owned(),
            false => format!(
                "name one of its GGUF files, as in {}/{}; it has {}",
                self.name,
                ggufs[0],
                ggufs.join(", ")
            ),
        };
        Err(failed(self.name, &message))
    }

    /// One file, from the cache if it is there.
    fn file(&self, file: &str, metadata: &Metadata, progress: &mut dyn FnMut(u64)) -> Result<PathBuf> {
        let size = metadata.size() as u64;
        let bytes = |path: &Path| std::fs::metadata(path).map(|found| found.len());
        let there = self.cached.pointer_path(metadata.commit_hash()).join(file);
        if bytes(&there).is_ok_and(|found| found == size) {
            self.cached.create_ref(metadata.commit_hash()).map_err(Error::io("write", &there))?;
            return Ok(there);
        }
        let part = self.cached.blob_path(metadata.etag()).with_extension("part");
        let mut attempts = 0;
        loop {
            attempts += 1;
            // Nothing can be added to what is as long as the whole; what it is of, nobody knows.
            if bytes(&part).is_ok_and(|found| found >= size) {
                std::fs::remove_file(&part).map_err(Error::io("remove", &part))?;
            }
            let asked = file.to_owned();
            let path = self.retry(progress, move |_, repo, report| {
                repo.download_with_progress(&asked, Counter { report: report.clone(), bytes: 0 })
            })?;
            let found = bytes(&path).map_err(Error::io("read", &path))?;
            let wrong = match found == size {
                false => Some(format!("with {found} bytes instead of {size}")),
                true => wrong_sum(&path, metadata.etag())?,
            };
            let Some(wrong) = wrong else { return Ok(path) };
            // Of no use, and in the way of the next attempt; so is the link to it.
            let blob = std::fs::canonicalize(&path).map_err(Error::io("find", &path))?;
            for gone in [&blob, &path] {
                if std::fs::symlink_metadata(gone).is_ok() {
                    std::fs::remove_file(gone).map_err(Error::io("remove", gone))?;
                }
            }
            if attempts == 2 {
                return Err(failed(self.name, &format!("{file} came {wrong}, twice; {}", self.by_hand())));
            }
        }
    }

    /// Asks in a thread of its own, which a hub that falls silent may keep, and again where a connection broke; what was
    /// fetched before is kept.
    fn retry<T: Send + 'static>(
        &self,
        progress: &mut dyn FnMut(u64),
        ask: impl Fn(&Api, &ApiRepo, &Sender<Said<T>>) -> std::result::Result<T, ApiError>
        + Clone
        + Send
        + 'static,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let (sender, said) = channel();
            let (api, repo, ask) = (self.api.clone(), self.api.repo(self.repo.clone()), ask.clone());
            std::thread::spawn(move || {
                let answer = ask(&api, &repo, &sender);
                // Nobody listens where patience ended.
                let _ = sender.send(Said::Done(answer));
            });
            let error = loop {
                match said.recv_timeout(self.patience) {
                    Ok(Said::Bytes(bytes)) => progress(bytes),
                    Ok(Said::Done(Ok(answer))) => return Ok(answer),
                    Ok(Said::Done(Err(error))) => break error.to_string(),
                    Err(RecvTimeoutError::Timeout) => {
                        let message = format!(
                            "the hub has said nothing for {} s (HF_HUB_DOWNLOAD_TIMEOUT); run it again to go on, or {}",
                            self.patience.as_secs(),
                            self.by_hand()
                        );
                        return Err(failed(self.name, &message));
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        break "the request ended without an answer".into();
                    }
                }
            };
            // The crate's errors carry the status in words only.
            if ["401", "403", "404"].iter().any(|code| error.ends_with(&format!("status: {code}"))) {
                let message = format!(
                    "the hub has no such model or file, or shows it to some only (set HF_TOKEN): {error}"
                );
                return Err(failed(self.name, &message));
            }
            if attempt == ATTEMPTS {
                return Err(failed(self.name, &format!("{error}; {}", self.by_hand())));
            }
            log::info!("attempt {attempt} to fetch {}: {error}", self.name);
            std::thread::sleep(Duration::from_millis(100 << attempt));
            attempt += 1;
        }
    }

    /// What to do without a connection.
    fn by_hand(&self) -> String {
        by_hand(self.name, &self.api.repo(self.repo.clone()).url(""))
    }
}

/// How to place by hand what is at `url`.
pub(super) fn by_hand(name: &ModelName, url: &str) -> String {
    if let Some(file) = &name.file {
        return format!("fetch {url}{file} elsewhere, place it anywhere here, and give its path with -m");
    }
    let folder = Path::new("models").join(&name.repository);
    format!(
        "fetch these files from {url} elsewhere, place them in a folder such as {}, and give it with -m: {}, and \
         model.safetensors or {INDEX} with the files that it names",
        folder.display(),
        SMALL_FILES[..4].join(", ")
    )
}

/// What is wrong with the bytes of a file, if the name the hub has for it is their SHA-256, as it is of large files.
fn wrong_sum(path: &Path, name: &str) -> Result<Option<String>> {
    if name.len() != 64 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let mut file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => break,
            count => context.update(&buffer[..count]),
        }
    }
    let sum: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let same = sum.eq_ignore_ascii_case(name);
    Ok((!same).then(|| format!("with the SHA-256 {sum} instead of {name}")))
}

/// Counts the bytes of one file.
struct Counter<T> {
    report: Sender<Said<T>>,
    bytes: u64,
}

impl<T> Progress for Counter<T> {
    fn init(&mut self, _: usize, _: &str) {
        self.bytes = 0;
    }
    fn update(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let _ = self.report.send(Said::Bytes(self.bytes));
    }
    fn finish(&mut self) {}
}
