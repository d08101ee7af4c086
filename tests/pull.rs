//! Models by name, against a small hub of our own: the layout of requests, going on after a break, and the errors.

mod common;

use common::program::{Ran, kaiwu, run_with};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NAME: &str = "owner/tiny";

/// What the hub was asked: path, and where the range began.
type Asked = Arc<Mutex<Vec<(String, Option<u64>)>>>;

/// A hub with one model.
struct Hub {
    endpoint: String,
    asked: Asked,
    /// What goes wrong, as long as it is to.
    fault: Arc<Mutex<Option<Fault>>>,
}

/// What may go wrong with a body that is longer than the bytes given.
#[derive(Clone, Copy)]
enum Fault {
    /// The connection is cut after them, once.
    Cut(usize),
    /// Nothing follows them, and the connection stays.
    Silence(usize),
    /// The byte after them is another; once, or always.
    Spoilt(usize, bool),
}

fn tiny() -> PathBuf {
    common::data("tiny/llama-f32")
}

impl Hub {
    fn new(files: HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (asked, fault) = (Asked::default(), Arc::new(Mutex::new(None)));
        let hub = Self { endpoint, asked: Arc::clone(&asked), fault: Arc::clone(&fault) };
        std::thread::spawn(move || {
            let mut silent = vec![];
            for stream in listener.incoming() {
                silent.extend(answer(stream.unwrap(), &files, &asked, &fault));
            }
        });
        hub
    }

    fn with_tiny() -> Self {
        let files = std::fs::read_dir(tiny()).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
        });
        Self::new(files.chain([("README.md".to_owned(), b"unwanted".to_vec())]).collect())
    }

    fn asked(&self) -> Vec<(String, Option<u64>)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A name that is the same for the same bytes, as the hub's are: of weights their SHA-256, of small files another.
fn etag(name: &str, bytes: &[u8]) -> String {
    if name.ends_with(".safetensors") {
        let sum = ring::digest::digest(&ring::digest::SHA256, bytes);
        return sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let hash = bytes.iter().fold(0u64, |hash, &byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{hash:040x}")
}

/// Answers one request and closes the connection, or gives it back to be kept.
fn answer(
    mut stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    asked: &Asked,
    fault: &Mutex<Option<Fault>>,
) -> Option<TcpStream> {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: Vec<String> =
        lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes="));
    let (start, end) = range.and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
    let start: usize = start.parse().unwrap();
    // The questions for a file's size have one byte as answer.
    if end.is_empty() {
        asked.lock().unwrap().push((path.clone(), range.map(|_| start as u64)));
    }
    let mut send = |status: &str, more: &str, body: &[u8], length: usize| {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    };
    if path == format!("/api/models/{NAME}/revision/main") {
        let names: Vec<_> = files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let body = serde_json::json!({ "siblings": names, "sha": COMMIT }).to_string();
        send("200 OK", "Content-Type: application/json\r\n", body.as_bytes(), body.len());
        return None;
    }
    let name = path.strip_prefix(&format!("/{NAME}/resolve/main/")).unwrap_or_default();
    let Some(bytes) = files.get(name) else {
        send("404 Not Found", "", b"", 0);
        return None;
    };
    let end = end.parse().map_or(bytes.len(), |end: usize| end + 1).min(bytes.len());
    let etag = etag(name, bytes);
    let more = format!(
        "ETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {start}-{}/{}\r\n",
        end - 1,
        bytes.len()
    );
    let mut body = bytes[start..end].to_vec();
    let length = body.len();
    let mut fault = fault.lock().unwrap();
    let hit = fault.filter(|(Fault::Cut(at) | Fault::Silence(at) | Fault::Spoilt(at, _))| *at < length);
    match hit {
        Some(Fault::Cut(at)) | Some(Fault::Silence(at)) => body.truncate(at),
        Some(Fault::Spoilt(at, _)) => body[at] ^= 1,
        None => {}
    }
    if let Some(Fault::Cut(_) | Fault::Spoilt(_, false)) = hit {
        *fault = None;
    }
    send("206 Partial Content", &more, &body, length);
    matches!(hit, Some(Fault::Silence(_))).then_some(stream)
}

/// A folder for a cache, removed when dropped.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kaiwu-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(home: &Home, endpoint: &str, arguments: &[&str], offline: bool) -> Ran {
    run_with_patience(home, endpoint, arguments, offline, "60")
}

/// The same with so many seconds for the hub to say something.
fn run_with_patience(home: &Home, endpoint: &str, arguments: &[&str], offline: bool, patience: &str) -> Ran {
    let mut command = kaiwu();
    command.env("HF_HOME", &home.0).env("HF_ENDPOINT", endpoint);
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", patience);
    for variable in
        ["HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"]
    {
        command.env_remove(variable);
    }
    if offline {
        command.env("HF_HUB_OFFLINE", "1");
    }
    run_with(command.args(arguments), "")
}

#[test]
fn a_model_is_fetched_once_and_found_by_its_name() {
    let (hub, home) = (Hub::with_tiny(), Home::new("pull"));
    let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let folder = Path::new(ran.out.trim_end());
    assert_eq!(folder, home.0.join("hub/models--owner--tiny/snapshots").join(COMMIT));
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        assert!(
            std::fs::read(folder.join(name)).unwrap() == std::fs::read(tiny().join(name)).unwrap(),
            "{name}"
        );
    }
    assert!(!folder.join("README.md").exists());
    let asked = hub.asked();
    assert_eq!(asked[0].0, "/api/models/owner/tiny/revision/main");
    assert!(asked.contains(&("/owner/tiny/resolve/main/model.safetensors".into(), Some(0))), "{asked:?}");

    // All there: nothing but the list is asked for.
    let ran = run(&home, &hub.endpoint, &["pull", NAME, "--json"], false);
    assert_eq!(ran.json()["path"], folder.to_str().unwrap());
    assert_eq!(hub.asked().len(), 1);

    // By its name, without the hub.
    let by_name = run(&home, "http://127.0.0.1:9", &["tokenize", "-m", NAME, "--json", "a word"], true);
    let by_path = run(&home, "", &["tokenize", "-m", tiny().to_str().unwrap(), "--json", "a word"], true);
    assert_eq!((by_name.code, &by_name.out), (0, &by_path.out), "{}", by_name.err);
    let ran = run(&home, "http://127.0.0.1:9", &["pull", NAME], true);
    assert_eq!((ran.code, ran.out.trim_end()), (0, folder.to_str().unwrap()));
    assert_eq!(hub.asked(), []);
}

#[test]
fn a_download_that_breaks_goes_on_where_it_ended() {
    let (hub, home) = (Hub::with_tiny(), Home::new("resume"));
    let cut = 30_000;
    *hub.fault.lock().unwrap() = Some(Fault::Cut(cut));
    let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let broken: Vec<_> = hub.asked().into_iter().filter(|(_, start)| start.is_some_and(|n| n > 0)).collect();
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(broken[0].1, Some(cut as u64));
    let name = broken[0].0.rsplit('/').next().unwrap().to_owned();
    let fetched = std::fs::read(Path::new(ran.out.trim_end()).join(&name)).unwrap();
    assert!(fetched == std::fs::read(tiny().join(&name)).unwrap(), "{name}");
}

/// What an earlier attempt left is taken for the beginning of a file only where it can be.
#[test]
fn a_beginning_that_is_too_long_is_thrown_away() {
    let hub = Hub::with_tiny();
    for more in [0, 7] {
        let home = Home::new(&format!("stale-{more}"));
        let weights = std::fs::read(tiny().join("model.safetensors")).unwrap();
        let blobs = home.0.join("hub/models--owner--tiny/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        let part = blobs.join(etag("model.safetensors", &weights)).with_extension("part");
        std::fs::write(&part, vec![7; weights.len() + more]).unwrap();
        let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{more} bytes more");
        let fetched = std::fs::read(Path::new(ran.out.trim_end()).join("model.safetensors")).unwrap();
        assert!(fetched == weights, "{more} bytes more");
        assert!(!part.exists());
    }
}

/// Of the right length, but other bytes: what the hub sends, or what lay there as its beginning.
#[test]
fn what_has_another_sum_is_fetched_anew_and_then_refused() {
    let weights = std::fs::read(tiny().join("model.safetensors")).unwrap();
    let stale = |home: &Home| {
        let blobs = home.0.join("hub/models--owner--tiny/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        blobs.join(etag("model.safetensors", &weights)).with_extension("part")
    };
    for (case, fault) in [("once", Some(Fault::Spoilt(40_000, false))), ("part", None)] {
        let (hub, home) = (Hub::with_tiny(), Home::new(&format!("spoilt-{case}")));
        *hub.fault.lock().unwrap() = fault;
        if fault.is_none() {
            std::fs::write(stale(&home), vec![7; 1000]).unwrap();
        }
        let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{case}");
        let fetched = std::fs::read(Path::new(ran.out.trim_end()).join("model.safetensors")).unwrap();
        assert!(fetched == weights, "{case}");
    }
    let (hub, home) = (Hub::with_tiny(), Home::new("spoilt-always"));
    *hub.fault.lock().unwrap() = Some(Fault::Spoilt(40_000, true));
    let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
    assert_eq!((ran.code, &*ran.out), (1, ""));
    for part in
        ["model.safetensors came with the SHA-256", &etag("model.safetensors", &weights), "twice", "-m"]
    {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    // Nothing of it is taken for the model.
    let ran = run(&home, &hub.endpoint, &["tokenize", "-m", NAME, "a"], true);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("without its weights"), "{}", ran.err);
}

#[test]
fn a_hub_that_falls_silent_is_an_error() {
    // From the first byte on, or in the middle of the weights.
    for at in [0, 30_000] {
        let (hub, home) = (Hub::with_tiny(), Home::new(&format!("silent-{at}")));
        *hub.fault.lock().unwrap() = Some(Fault::Silence(at));
        let ran = run_with_patience(&home, &hub.endpoint, &["pull", NAME], false, "2");
        assert_eq!((ran.code, &*ran.out), (1, ""));
        for part in
            ["cannot fetch owner/tiny", "nothing for 2 s", "HF_HUB_DOWNLOAD_TIMEOUT", "run it again", "-m"]
        {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
        // And then it speaks again.
        *hub.fault.lock().unwrap() = None;
        let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{at}");
        let fetched = std::fs::read(Path::new(ran.out.trim_end()).join("model.safetensors")).unwrap();
        assert!(fetched == std::fs::read(tiny().join("model.safetensors")).unwrap());
    }
    // One that takes the connection and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let ran = run_with_patience(&Home::new("mute"), &endpoint, &["pull", NAME], false, "2");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("nothing for 2 s"), "{}", ran.err);
}

#[test]
fn what_cannot_be_fetched_says_what_to_do() {
    let (hub, home) = (Hub::with_tiny(), Home::new("errors"));
    let gguf = Hub::new(HashMap::from([("a.gguf".to_owned(), vec![1]), ("b.gguf".to_owned(), vec![2])]));
    let nowhere = "http://127.0.0.1:9";
    type Row<'a> = (&'a str, &'a [&'a str], bool, i32, &'a [&'a str]);
    let rows: [Row; 9] = [
        (
            nowhere,
            &["pull", NAME],
            false,
            1,
            &[
                "cannot fetch owner/tiny",
                "http://127.0.0.1:9/owner/tiny/resolve/main/",
                "config.json",
                "tokenizer.json",
                "model.safetensors",
                "models/owner/tiny",
                "-m",
            ],
        ),
        (nowhere, &["pull", "owner/tiny/x.gguf"], false, 1, &["resolve/main/x.gguf", "-m"]),
        (
            nowhere,
            &["pull", NAME],
            true,
            2,
            &[
                "not in the cache",
                "HF_HUB_OFFLINE",
                "owner/tiny/resolve/main/",
                "tokenizer.json",
                "models/owner/tiny",
            ],
        ),
        (nowhere, &["embed", "a", "-m", "owner/tiny/x.gguf"], true, 2, &["resolve/main/x.gguf", "-m"]),
        (nowhere, &["generate", "a", "-m", NAME], false, 2, &["not in the cache", "kaiwu pull owner/tiny"]),
        (&hub.endpoint, &["pull", "owner/other"], false, 1, &["no such model", "HF_TOKEN", "404"]),
        (&hub.endpoint, &["pull", "owner/tiny/none.gguf"], false, 1, &["no such model or file", "404"]),
        (&gguf.endpoint, &["pull", NAME], false, 1, &["a.gguf", "b.gguf", "as in owner/tiny/"]),
        (&hub.endpoint, &["pull", "../tiny"], false, 2, &["owner/name"]),
    ];
    for (endpoint, arguments, offline, code, parts) in rows {
        let ran = run(&home, endpoint, arguments, offline);
        assert_eq!((ran.code, &*ran.out), (code, ""), "{arguments:?}: {}", ran.err);
        for part in parts {
            assert!(
                ran.err.starts_with("kaiwu: ") && ran.err.contains(part),
                "{arguments:?}, {part}: {}",
                ran.err
            );
        }
    }
    let ran = run(&home, &gguf.endpoint, &["pull", "owner/tiny/b.gguf"], false);
    assert_eq!(std::fs::read(ran.out.trim_end()).unwrap(), [2], "{}", ran.err);
}
