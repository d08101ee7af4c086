//! A small hub on this machine, which can be as odd as the hubs, mirrors and networks that people
//! have.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const NAME: &str = "owner/tiny";

/// What may go wrong with a body that is longer than the bytes given.
#[derive(Clone, Copy)]
pub enum Fault {
    /// The connection is cut after them, once.
    Cut(usize),
    /// Nothing follows them, and the connection stays.
    Silence(usize),
    /// The byte after them is another; once, or always.
    Spoilt(usize, bool),
}

/// How the hub behaves.
#[derive(Clone, Default)]
pub struct Manner {
    pub fault: Option<Fault>,
    /// Whole files where parts are asked for.
    pub no_ranges: bool,
    /// Packed, whatever is asked for.
    pub gzip: bool,
    /// The list of files is packed, and begins with more blanks than anybody should read.
    pub swollen: bool,
    /// The size is told beside the length, as the hub does for large files.
    pub linked_size: bool,
    pub weak_etag: bool,
    pub no_etag: bool,
    pub no_commit: bool,
    pub no_sha: bool,
    pub no_head: bool,
    /// Small files are a relative redirect away.
    pub relative: bool,
    /// Weights are at this other host, and whether the redirect names their bytes.
    pub elsewhere: Option<(String, bool)>,
    /// Requests for `/cdn/` go on to this host.
    pub onwards: Option<String>,
    /// `owner/old` is a redirect to the model, beginning so.
    pub renamed: Option<String>,
    /// A page for people in place of all answers.
    pub page: bool,
    /// So many requests are refused with this status and these headers.
    pub refuses: (usize, &'static str, &'static str),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub range: Option<u64>,
    pub token: Option<String>,
    pub encoding: Option<String>,
}

/// The files of a model at a revision, which has a commit.
#[derive(Clone)]
pub struct Revision {
    pub name: &'static str,
    pub commit: &'static str,
    pub files: HashMap<String, Vec<u8>>,
}

/// A hub with one model.
pub struct Hub {
    pub endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    manner: Arc<Mutex<Manner>>,
}

impl Hub {
    pub fn new(files: HashMap<String, Vec<u8>>) -> Self {
        Self::with_revisions(vec![Revision { name: "main", commit: COMMIT, files }])
    }

    pub fn with_revisions(revisions: Vec<Revision>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let hub = Self { endpoint, asked: Arc::default(), manner: Arc::default() };
        let (asked, manner) = (Arc::clone(&hub.asked), Arc::clone(&hub.manner));
        std::thread::spawn(move || {
            let mut silent = vec![];
            for stream in listener.incoming() {
                silent.extend(answer(stream.unwrap(), &revisions, &asked, &manner));
            }
        });
        hub
    }

    /// Its files are those of a folder, and one that nobody wants.
    pub fn of_folder(folder: &std::path::Path) -> Self {
        Self::new(files_of(folder))
    }

    /// Changes how it behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.manner.lock().unwrap());
    }

    /// All requests since the last question.
    pub fn log(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Path, and where the range began, of those that wanted more than headers.
    pub fn asked(&self) -> Vec<(String, Option<u64>)> {
        let wanted = self.log().into_iter().filter(|asked| asked.method == "GET");
        wanted.map(|asked| (asked.path, asked.range)).collect()
    }
}

/// The files of a folder by name, and one that nobody wants.
pub fn files_of(folder: &std::path::Path) -> HashMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
    });
    files.chain([("README.md".to_owned(), b"unwanted".to_vec())]).collect()
}

/// A name that is the same for the same bytes, as the hub's are: of weights their SHA-256, of small
/// files another.
pub fn etag(name: &str, bytes: &[u8]) -> String {
    if name.ends_with(".safetensors") {
        let sum = ring::digest::digest(&ring::digest::SHA256, bytes);
        return sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let hash =
        bytes.iter().fold(0u64, |hash, &byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{hash:040x}")
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn request(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers: Vec<(String, String)> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        })
        .collect();
    let header = |name: &str| {
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let range = header("range").map(|range| {
        let start = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap();
        start.parse().unwrap()
    });
    Some(Asked {
        method,
        path,
        range,
        token: header("authorization"),
        encoding: header("accept-encoding"),
    })
}

/// Answers one request and closes the connection, or gives it back to be kept.
fn answer(
    mut stream: TcpStream,
    revisions: &[Revision],
    log: &Mutex<Vec<Asked>>,
    manner: &Mutex<Manner>,
) -> Option<TcpStream> {
    let asked = request(&stream)?;
    log.lock().unwrap().push(asked.clone());
    let mut manner = manner.lock().unwrap();
    let is_head = asked.method == "HEAD";
    let mut send = |status: &str, more: &str, body: &[u8], length: usize| {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n"
        );
        let body = if is_head { &[] } else { body };
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    };
    let path = asked.path.as_str();
    if manner.page {
        let page = b"<html>Please sign in</html>";
        send("200 OK", "Content-Type: text/html; charset=utf-8\r\n", page, page.len());
        return None;
    }
    if manner.refuses.0 > 0 {
        manner.refuses.0 -= 1;
        send(manner.refuses.1, manner.refuses.2, b"no", 2);
        return None;
    }
    if let Some(base) = manner.renamed.as_ref().filter(|_| path.contains("owner/old")) {
        let location = format!("Location: {base}{}\r\n", path.replace("owner/old", NAME));
        send("307 Temporary Redirect", &location, b"moved", 5);
        return None;
    }
    for revision in revisions {
        if path == format!("/api/models/{NAME}/revision/{}", revision.name) {
            let names = revision.files.keys().map(|name| serde_json::json!({ "rfilename": name }));
            let mut info = serde_json::json!({ "siblings": names.collect::<Vec<_>>() });
            if !manner.no_sha {
                info["sha"] = revision.commit.into();
            }
            let blanks = if manner.swollen { 65 << 20 } else { 0 };
            let mut body = [vec![b' '; blanks], info.to_string().into_bytes()].concat();
            let mut more = "Content-Type: application/json\r\n".to_owned();
            if manner.gzip || manner.swollen {
                body = packed(&body);
                more += "Content-Encoding: gzip\r\n";
            }
            send("200 OK", &more, &body, body.len());
            return None;
        }
    }
    let at_home = revisions.iter().find_map(|revision| {
        let name = path.strip_prefix(&format!("/{NAME}/resolve/{}/", revision.name))?;
        Some((revision, name))
    });
    let asked_for = at_home.or_else(|| Some((&revisions[0], path.strip_prefix("/cdn/")?)));
    let found =
        asked_for.and_then(|(revision, name)| Some((revision, name, revision.files.get(name)?)));
    let Some((revision, name, bytes)) = found else {
        send("404 Not Found", "X-Error-Message: Entry not found\r\n", b"", 0);
        return None;
    };
    if is_head && manner.no_head {
        send("405 OptimizerKind Not Allowed", "", b"", 0);
        return None;
    }

    let name_of_bytes = etag(name, bytes);
    let commit = match manner.no_commit {
        true => String::new(),
        false => format!("X-Repo-Commit: {}\r\n", revision.commit),
    };
    let linked = format!(
        "X-Linked-Etag: \"{name_of_bytes}\"\r\nX-Linked-Size: {}\r\nETag: \"other\"\r\n",
        bytes.len()
    );
    let to = match (&manner.elsewhere, &manner.onwards) {
        (Some((host, named)), _) if at_home.is_some() && name.ends_with(".safetensors") => {
            Some((format!("{host}/cdn/{name}"), if *named { linked } else { String::new() }))
        }
        (_, Some(host)) if at_home.is_none() => Some((format!("{host}/cdn/{name}"), String::new())),
        _ if manner.relative && at_home.is_some() && !name.ends_with(".safetensors") => {
            Some((format!("/cdn/{name}"), linked))
        }
        _ => None,
    };
    if let Some((location, linked)) = to {
        send("302 Found", &format!("Location: {location}\r\n{linked}{commit}"), b"", 0);
        return None;
    }

    let mut more = commit;
    if !manner.no_etag {
        more +=
            &format!("ETag: {}\"{name_of_bytes}\"\r\n", if manner.weak_etag { "W/" } else { "" });
    }
    if manner.linked_size {
        more += &format!("X-Linked-Size: {}\r\n", bytes.len());
    }
    let bytes = if manner.gzip { &packed(bytes) } else { bytes };
    if manner.gzip {
        more += "Content-Encoding: gzip\r\n";
    }
    let start = asked.range.filter(|_| !manner.no_ranges).map(|start| start as usize);
    if start.is_some_and(|start| start >= bytes.len()) {
        let range = format!("Content-Range: bytes */{}\r\n", bytes.len());
        send("416 Range Not Satisfiable", &range, b"", 0);
        return None;
    }
    let status = match start {
        Some(start) => {
            more +=
                &format!("Content-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len());
            "206 Partial Content"
        }
        None => "200 OK",
    };
    let mut body = bytes[start.unwrap_or(0)..].to_vec();
    let length = body.len();
    let hit = manner
        .fault
        .filter(|(Fault::Cut(at) | Fault::Silence(at) | Fault::Spoilt(at, _))| *at < length);
    let hit = hit.filter(|_| !is_head);
    match hit {
        Some(Fault::Cut(at)) | Some(Fault::Silence(at)) => body.truncate(at),
        Some(Fault::Spoilt(at, _)) => body[at] ^= 1,
        None => {}
    }
    if let Some(Fault::Cut(_) | Fault::Spoilt(_, false)) = hit {
        manner.fault = None;
    }
    send(status, &more, &body, length);
    matches!(hit, Some(Fault::Silence(_))).then_some(stream)
}
