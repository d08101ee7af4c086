//! Downloading one file from the hub into the cache.

use super::cache::present;
use super::client::{Answer, Failure, Outcome, broken, page};
use super::fetch::{Fetch, failed};
use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use ring::digest::{Context, SHA256};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file to download, as the hub announces it.
pub(super) struct Wanted {
    pub(super) file: String,
    /// The hub's name for the content: the SHA-256 of large files.
    pub(super) etag: String,
    /// The size in bytes; some hubs do not send it.
    pub(super) size: Option<u64>,
    pub(super) commit: Option<String>,
}

impl Wanted {
    /// Whether the name of the content is its SHA-256.
    fn has_sum(&self) -> bool {
        self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Whether a file of this size may be the wanted one.
    fn fits(&self, found: Option<u64>) -> bool {
        found.is_some_and(|found| self.size.is_none_or(|size| size == found))
    }
}

/// First byte and total length from a header such as `bytes 5-9/10`.
pub(super) fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    Some((start, total.trim().parse().ok()))
}

impl Fetch<'_> {
    /// Downloads one file, unless the cache has it.
    pub(super) fn file(
        &self,
        wanted: &Wanted,
        commit: &str,
        progress: &mut dyn FnMut(u64),
    ) -> Result<PathBuf> {
        let there = self.stored.snapshot(commit).join(&wanted.file);
        if wanted.fits(present(&there)?) {
            return Ok(there);
        }
        let blobs = self.stored.blobs();
        fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
        let blob = blobs.join(&wanted.etag);
        let _lock = locked(&blob.with_extension("lock"))?;
        // Another revision may have the same content, and another process may have fetched it
        // meanwhile.
        if !wanted.fits(present(&blob)?) {
            self.download(wanted, &blob, progress)?;
        }
        self.stored.link(&wanted.etag, commit, &wanted.file)
    }

    fn download(&self, wanted: &Wanted, blob: &Path, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let part = blob.with_extension("part");
        for last in [false, true] {
            self.retry(&mut || self.bytes(wanted, &part, progress))?;
            let Some(wrong) = wrong(wanted, &part)? else {
                return fs::rename(&part, blob).map_err(Error::io("write", blob));
            };
            // The partial file is damaged and would block the next attempt.
            fs::remove_file(&part).map_err(Error::io("remove", &part))?;
            if last {
                let message = format!("{} came {wrong}, twice; {}", wanted.file, self.by_hand());
                return Err(failed(self.name, &message));
            }
        }
        Ok(())
    }

    /// Appends the missing bytes to a partial file, with one request.
    fn bytes(&self, wanted: &Wanted, part: &Path, progress: &mut dyn FnMut(u64)) -> Outcome<()> {
        let url = self.url(&wanted.file);
        let there = present(part).map_err(Failure::Own)?.unwrap_or(0);
        if wanted.size == Some(there) && wanted.has_sum() {
            return Ok(());
        }
        // A partial file without a known size, or as long as the whole, cannot be continued: begin
        // again.
        let mut start = if wanted.size.is_some_and(|size| there < size) { there } else { 0 };
        let mut answer = self.client.get(&url, start)?;
        if start > 0 && !continues(&answer, start, wanted) {
            start = 0;
            if answer.response.status() != 200 {
                answer = self.client.get(&url, 0)?;
            }
        }
        let own = |action| move |error| Failure::Own(Error::io(action, part)(error));
        let status = answer.response.status();
        let begins = answer
            .own("content-range")
            .and_then(content_range)
            .is_none_or(|(at, _)| at == Some(start));
        if !begins || !matches!(status.as_u16(), 200 | 206) {
            return Err(Failure::Lasting(format!(
                "the hub answered {status} with another part of {url}"
            )));
        }
        let packing = answer.packing().map(str::to_ascii_lowercase);
        let length = answer.own("content-length").and_then(|text| text.parse().ok());
        if answer.is_page() && packing.is_none() && !wanted.fits(length) {
            return Err(Failure::Lasting(page(&self.client.endpoint)));
        }
        let body = answer.response.body_mut().as_reader();
        let mut body: Box<dyn Read> = match packing.as_deref() {
            None => Box::new(body),
            Some("gzip" | "x-gzip") => Box::new(MultiGzDecoder::new(body)),
            Some(other) => {
                let message =
                    format!("the hub sent {url} packed as {other:?}, although asked not to");
                return Err(Failure::Lasting(message));
            }
        };
        let mut options = File::options();
        options.create(true).append(start > 0).write(true).truncate(start == 0);
        let mut file = options.open(part).map_err(own("write"))?;
        let (mut done, mut buffer) = (start, vec![0; 1 << 17]);
        progress(done);
        loop {
            match body.read(&mut buffer).map_err(broken)? {
                0 => break,
                count => {
                    file.write_all(&buffer[..count]).map_err(own("write"))?;
                    done += count as u64;
                }
            }
            // Excess bytes are reported when the complete file is checked.
            if wanted.size.is_some_and(|size| done > size) {
                return Ok(());
            }
            progress(done);
        }
        match wanted.size {
            Some(size) if done < size => {
                Err(Failure::passing(format!("{url} ended after {done} bytes of {size}")))
            }
            _ => Ok(()),
        }
    }
}

/// Whether an answer continues the announced file at byte `start`.
fn continues(answer: &Answer, start: u64, wanted: &Wanted) -> bool {
    let range = answer.own("content-range").and_then(content_range);
    let same = range.is_some_and(|(from, total)| {
        from == Some(start) && (total.is_none() || wanted.size.is_none() || total == wanted.size)
    });
    // A range of compressed bytes is not a range of the file.
    answer.response.status() == 206 && same && answer.packing().is_none()
}

/// Waits for the lock at this path, which is held until the returned file is closed.
fn locked(path: &Path) -> Result<File> {
    let mut options = File::options();
    let file = options
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io("create", path))?;
    let mut said = false;
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        if !said {
            log::warn!("another process fetches the same file; waiting for it");
            said = true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    // The file system has no locks, so there is nothing to wait for.
    Ok(file)
}

/// What is wrong with a downloaded file: its length, or its SHA-256 if the hub announced one.
fn wrong(wanted: &Wanted, path: &Path) -> Result<Option<String>> {
    let found = present(path)?.unwrap_or(0);
    if let Some(size) = wanted.size.filter(|&size| size != found) {
        return Ok(Some(format!("with {found} bytes instead of {size}")));
    }
    if !wanted.has_sum() {
        return Ok(None);
    }
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => break,
            count => context.update(&buffer[..count]),
        }
    }
    let sum: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let same = sum.eq_ignore_ascii_case(&wanted.etag);
    Ok((!same).then(|| format!("with the SHA-256 {sum} instead of {}", wanted.etag)))
}
