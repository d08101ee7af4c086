//! Models by name, against a small hub of our own: the layout of requests, going on after a break,
//! and the errors.

use crate::common;
use crate::common::Folder;
use crate::common::hub::{COMMIT, Fault, Hub, Manner, NAME, Revision, etag, files_of};
use crate::common::program::{Ran, kaiwu, run_with};
use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn tiny() -> PathBuf {
    common::data("tiny/llama-f32")
}

fn tiny_hub() -> Hub {
    Hub::of_folder(&tiny())
}

#[track_caller]
fn assert_fetched(folder: &Path, case: &str) {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let fetched =
            fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{case}, {name}: {error}"));
        assert!(fetched == fs::read(tiny().join(name)).unwrap(), "{case}, {name}");
    }
}

/// The program, which hears of the hub what is set here and nothing else.
fn hub_command(endpoint: &str) -> std::process::Command {
    let mut command = kaiwu();
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy().to_uppercase();
        if name.starts_with("HF_") || name.contains("HUGGING") || name.ends_with("_PROXY") {
            command.env_remove(variable);
        }
    }
    command.env_remove("TRANSFORMERS_OFFLINE").env_remove("XDG_CACHE_HOME");
    command.env("HF_ENDPOINT", endpoint);
    command
}

fn run(home: &Folder, endpoint: &str, arguments: &[&str], offline: bool) -> Ran {
    run_with_patience(home, endpoint, arguments, offline, "60")
}

/// The same with so many seconds for the hub to say something.
fn run_with_patience(
    home: &Folder,
    endpoint: &str,
    arguments: &[&str],
    offline: bool,
    patience: &str,
) -> Ran {
    let mut command = hub_command(endpoint);
    command.env("HF_HOME", &home.0).env("HF_HUB_DOWNLOAD_TIMEOUT", patience);
    if offline {
        command.env("HF_HUB_OFFLINE", "1");
    }
    run_with(command.args(arguments), "")
}

#[test]
fn a_model_is_fetched_once_and_found_by_its_name() {
    let (hub, home) = (tiny_hub(), Folder::new("pull"));
    let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let folder = Path::new(ran.out.trim_end());
    assert_eq!(folder, home.0.join("hub/models--owner--tiny/snapshots").join(COMMIT));
    assert_fetched(folder, "pull");
    assert!(!folder.join("README.md").exists());
    let asked = hub.asked();
    assert_eq!(asked[0].0, "/api/models/owner/tiny/revision/main");
    assert!(
        asked.contains(&("/owner/tiny/resolve/main/model.safetensors".into(), None)),
        "{asked:?}"
    );

    // All there: nothing but the list is asked for.
    let ran = run(&home, &hub.endpoint, &["pull", NAME, "--json"], false);
    assert_eq!(ran.json()["path"], folder.to_str().unwrap());
    assert_eq!(hub.asked().len(), 1);

    // By its name, without the hub.
    let by_name =
        run(&home, "http://127.0.0.1:9", &["tokenize", "-m", NAME, "--json", "a word"], true);
    let by_path =
        run(&home, "", &["tokenize", "-m", tiny().to_str().unwrap(), "--json", "a word"], true);
    assert_eq!((by_name.code, &by_name.out), (0, &by_path.out), "{}", by_name.err);
    let ran = run(&home, "http://127.0.0.1:9", &["pull", NAME], true);
    assert_eq!((ran.code, ran.out.trim_end()), (0, folder.to_str().unwrap()));
    assert_eq!(hub.asked(), []);
}

#[test]
fn a_download_that_breaks_goes_on_where_it_ended() {
    let (hub, home) = (tiny_hub(), Folder::new("resume"));
    let cut = 30_000;
    hub.behave(|manner| manner.fault = Some(Fault::Cut(cut)));
    let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let broken: Vec<_> =
        hub.asked().into_iter().filter(|(_, start)| start.is_some_and(|n| n > 0)).collect();
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(broken[0].1, Some(cut as u64));
    let name = broken[0].0.rsplit('/').next().unwrap().to_owned();
    let fetched = fs::read(Path::new(ran.out.trim_end()).join(&name)).unwrap();
    assert!(fetched == fs::read(tiny().join(&name)).unwrap(), "{name}");
}

/// What an earlier attempt left is taken for the beginning of a file only where it can be.
#[test]
fn a_beginning_that_is_too_long_is_thrown_away() {
    let hub = tiny_hub();
    for more in [0, 7] {
        let home = Folder::new(&format!("stale-{more}"));
        let weights = fs::read(tiny().join("model.safetensors")).unwrap();
        let blobs = home.0.join("hub/models--owner--tiny/blobs");
        fs::create_dir_all(&blobs).unwrap();
        let part = blobs.join(etag("model.safetensors", &weights)).with_extension("part");
        fs::write(&part, vec![7; weights.len() + more]).unwrap();
        let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{more} bytes more");
        let fetched = fs::read(Path::new(ran.out.trim_end()).join("model.safetensors")).unwrap();
        assert!(fetched == weights, "{more} bytes more");
        assert!(!part.exists());
    }
}

/// Of the right length, but other bytes: what the hub sends, or what lay there as its beginning.
#[test]
fn what_has_another_sum_is_fetched_anew_and_then_refused() {
    let weights = fs::read(tiny().join("model.safetensors")).unwrap();
    let stale = |home: &Folder| {
        let blobs = home.0.join("hub/models--owner--tiny/blobs");
        fs::create_dir_all(&blobs).unwrap();
        blobs.join(etag("model.safetensors", &weights)).with_extension("part")
    };
    for (case, fault) in [("once", Some(Fault::Spoilt(40_000, false))), ("part", None)] {
        let (hub, home) = (tiny_hub(), Folder::new(&format!("spoilt-{case}")));
        hub.behave(|manner| manner.fault = fault);
        if fault.is_none() {
            fs::write(stale(&home), vec![7; 1000]).unwrap();
        }
        let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{case}");
        let fetched = fs::read(Path::new(ran.out.trim_end()).join("model.safetensors")).unwrap();
        assert!(fetched == weights, "{case}");
    }
    let (hub, home) = (tiny_hub(), Folder::new("spoilt-always"));
    hub.behave(|manner| manner.fault = Some(Fault::Spoilt(40_000, true)));
    let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
    assert_eq!((ran.code, &*ran.out), (1, ""));
    for part in [
        "model.safetensors came with the SHA-256",
        &etag("model.safetensors", &weights),
        "twice",
        "-m",
    ] {
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
        let (hub, home) = (tiny_hub(), Folder::new(&format!("silent-{at}")));
        hub.behave(|manner| manner.fault = Some(Fault::Silence(at)));
        let ran = run_with_patience(&home, &hub.endpoint, &["pull", NAME], false, "2");
        assert_eq!((ran.code, &*ran.out), (1, ""));
        for part in [
            "cannot fetch owner/tiny",
            "nothing for 2 s",
            "HF_HUB_DOWNLOAD_TIMEOUT",
            "run it again",
            "-m",
        ] {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
        // And then it speaks again.
        hub.behave(|manner| manner.fault = None);
        let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{at}");
        let fetched = fs::read(Path::new(ran.out.trim_end()).join("model.safetensors")).unwrap();
        assert!(fetched == fs::read(tiny().join("model.safetensors")).unwrap());
    }
    // One that takes the connection and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let ran = run_with_patience(&Folder::new("mute"), &endpoint, &["pull", NAME], false, "2");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("nothing for 2 s"), "{}", ran.err);
}

#[test]
fn what_cannot_be_fetched_says_what_to_do() {
    let (hub, home) = (tiny_hub(), Folder::new("errors"));
    let gguf =
        Hub::new(HashMap::from([("a.gguf".to_owned(), vec![1]), ("b.gguf".to_owned(), vec![2])]));
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
        (
            nowhere,
            &["embed", "a", "-m", "owner/tiny/x.gguf"],
            true,
            2,
            &["resolve/main/x.gguf", "-m"],
        ),
        (
            nowhere,
            &["generate", "a", "-m", NAME],
            false,
            2,
            &["not in the cache", "kaiwu pull owner/tiny"],
        ),
        (&hub.endpoint, &["pull", "owner/other"], false, 1, &["no such model", "HF_TOKEN", "404"]),
        (
            &hub.endpoint,
            &["pull", "owner/tiny/none.gguf"],
            false,
            1,
            &["no such model or file", "404"],
        ),
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
    assert_eq!(fs::read(ran.out.trim_end()).unwrap(), [2], "{}", ran.err);
}

/// `elsewhere` is where hubs keep their weights: other hosts, which must not hear the token.
#[test]
fn the_token_goes_to_the_hub_and_to_no_other_host() {
    for case in ["named", "unnamed", "and back"] {
        let (hub, other, home) = (tiny_hub(), tiny_hub(), Folder::new(&format!("token-{case}")));
        hub.behave(|manner| manner.elsewhere = Some((other.endpoint.clone(), case == "named")));
        if case == "and back" {
            other.behave(|manner| manner.onwards = Some(hub.endpoint.clone()));
        }
        let mut command = hub_command(&format!("{}/", hub.endpoint));
        command.env("HF_HOME", &home.0).env("HF_TOKEN", " hf_secret\r\n");
        let ran = run_with(command.args(["pull", NAME]), "");
        assert_eq!((ran.code, &*ran.err), (0, ""), "{case}");
        assert_fetched(Path::new(ran.out.trim_end()), case);
        let (asked, elsewhere) = (hub.log(), other.log());
        assert!(
            asked.len() > 3 && elsewhere.iter().any(|asked| asked.method == "GET"),
            "{elsewhere:?}"
        );
        for asked in asked {
            // An address that another host chose is asked for without it.
            let expected = Some("Bearer hf_secret").filter(|_| !asked.path.starts_with("/cdn/"));
            assert_eq!(asked.token.as_deref(), expected, "{case}: {asked:?}");
        }
        assert!(elsewhere.iter().all(|asked| asked.token.is_none()), "{case}: {elsewhere:?}");
    }
}

#[test]
fn hubs_mirrors_and_proxies_are_taken_as_they_are() {
    type Row = (&'static str, fn(&mut Manner));
    let rows: [Row; 9] = [
        ("no ranges", |manner| manner.no_ranges = true),
        ("gzip", |manner| manner.gzip = true),
        ("gzip and size", |manner| (manner.gzip, manner.linked_size) = (true, true)),
        ("weak etag", |manner| manner.weak_etag = true),
        ("no commit", |manner| manner.no_commit = true),
        ("no sha", |manner| manner.no_sha = true),
        ("no head", |manner| manner.no_head = true),
        ("relative", |manner| manner.relative = true),
        ("cut", |_| {}),
    ];
    for (case, change) in rows {
        // As it is, and with a connection that breaks within the weights.
        for fault in [None, Some(Fault::Cut(30_000))] {
            let (hub, home) =
                (tiny_hub(), Folder::new(&format!("manner-{case}-{}", fault.is_some())));
            hub.behave(change);
            hub.behave(|manner| manner.fault = fault);
            let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
            assert_eq!((ran.code, &*ran.err), (0, ""), "{case}");
            let folder = Path::new(ran.out.trim_end());
            assert_fetched(folder, case);
            assert_eq!(folder.file_name().unwrap(), COMMIT, "{case}");
            let blobs = home.0.join("hub/models--owner--tiny/blobs");
            assert!(
                blobs
                    .join(etag(
                        "model.safetensors",
                        &fs::read(tiny().join("model.safetensors")).unwrap()
                    ))
                    .is_file()
            );
            let log = hub.log();
            assert!(
                log.iter().all(|asked| asked.encoding.as_deref() == Some("identity")),
                "{case}: {log:?}"
            );
            let resumed = log.iter().any(|asked| asked.range.is_some());
            // What is packed and of unknown length has no beginning; and here the question for the
            // headers breaks.
            let expected = fault.is_some() && !["gzip", "no head"].contains(&case);
            assert_eq!(resumed, expected, "{case}: {log:?}");
        }
    }
}

#[test]
fn a_renamed_model_is_followed_with_the_token() {
    let hub = tiny_hub();
    for (case, base) in [("relative", String::new()), ("absolute", hub.endpoint.clone())] {
        hub.behave(|manner| manner.renamed = Some(base));
        let home = Folder::new(&format!("renamed-{case}"));
        let mut command = hub_command(&hub.endpoint);
        command.env("HF_HOME", &home.0).env("HF_TOKEN", "hf_secret");
        let ran = run_with(command.args(["pull", "owner/old"]), "");
        assert_eq!((ran.code, &*ran.err), (0, ""), "{case}");
        assert_fetched(Path::new(ran.out.trim_end()), case);
        let log = hub.log();
        assert!(
            log.iter().all(|asked| asked.token.as_deref() == Some("Bearer hf_secret")),
            "{case}: {log:?}"
        );
    }
}

#[test]
fn what_is_no_hub_is_said_as_such() {
    type Row = (&'static str, fn(&mut Manner), &'static [&'static str]);
    let rows: [Row; 7] = [
        (NAME, |manner| manner.swollen = true, &["no JSON", "HF_ENDPOINT"]),
        (NAME, |manner| manner.page = true, &["web page (HTML)", "sign-in", "HF_ENDPOINT"]),
        (
            "owner/tiny/x.gguf",
            |manner| manner.page = true,
            &["web page (HTML)", "sign-in", "HF_ENDPOINT"],
        ),
        (NAME, |manner| manner.no_etag = true, &["no ETag for config.json", "HF_ENDPOINT", "-m"]),
        (
            NAME,
            |manner| (manner.no_commit, manner.no_sha) = (true, true),
            &["no commit", "X-Repo-Commit", "HF_ENDPOINT", "-m"],
        ),
        (
            NAME,
            |manner| {
                manner.refuses = (1, "403 Forbidden", "X-Error-Message: Access is restricted\r\n")
            },
            &["403", "Access is restricted", "set HF_TOKEN"],
        ),
        (
            NAME,
            |manner| manner.refuses = (1, "429 Too Many Requests", "Retry-After: 3600\r\n"),
            &["429", "3600 s", "run it again then"],
        ),
    ];
    for (index, (name, change, parts)) in rows.into_iter().enumerate() {
        let (hub, home) = (tiny_hub(), Folder::new(&format!("no-hub-{index}")));
        hub.behave(change);
        let ran = run(&home, &hub.endpoint, &["pull", name], false);
        assert_eq!((ran.code, &*ran.out), (1, ""), "{name}: {}", ran.err);
        for part in parts {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
        assert!(!home.0.join("hub/models--owner--tiny/snapshots").exists());
    }
    let ran = run(&Folder::new("no-address"), "hub.example", &["pull", NAME], false);
    assert!(ran.code == 2 && ran.err.contains("HF_ENDPOINT is \"hub.example\""), "{ran:?}");
    let mut command = hub_command("http://127.0.0.1:9");
    let ran = run_with(command.env("HF_TOKEN", "hf_secret hf_secret").args(["pull", NAME]), "");
    assert!(
        ran.code == 2 && ran.err.contains("HF_TOKEN") && !ran.err.contains("hf_secret"),
        "{ran:?}"
    );
}

#[test]
fn a_busy_hub_is_left_alone_for_as_long_as_it_asks() {
    let (hub, home) = (tiny_hub(), Folder::new("busy"));
    hub.behave(|manner| manner.refuses = (1, "429 Too Many Requests", "Retry-After: 2\r\n"));
    let since = Instant::now();
    let ran = run(&home, &hub.endpoint, &["pull", NAME], false);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    assert!(since.elapsed() >= Duration::from_secs(2));
    assert_fetched(Path::new(ran.out.trim_end()), "busy");
}

#[test]
fn one_process_waits_for_another() {
    let (hub, home) = (tiny_hub(), Folder::new("two"));
    let blobs = home.0.join("hub/models--owner--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let weights = fs::read(tiny().join("model.safetensors")).unwrap();
    let lock = blobs.join(etag("model.safetensors", &weights)).with_extension("lock");
    let lock = fs::File::create(lock).unwrap();
    lock.lock().unwrap();
    std::thread::scope(|scope| {
        // Waiting for another process is no silence of the hub.
        let pull =
            scope.spawn(|| run_with_patience(&home, &hub.endpoint, &["pull", NAME], false, "1"));
        std::thread::sleep(Duration::from_secs(3));
        assert!(!pull.is_finished());
        assert!(hub.asked().iter().all(|(path, _)| !path.ends_with(".safetensors")));
        lock.unlock().unwrap();
        let ran = pull.join().unwrap();
        assert!(ran.code == 0 && ran.err.contains("another process"), "{ran:?}");
        assert_fetched(Path::new(ran.out.trim_end()), "two");
    });
}

#[test]
fn the_cache_is_where_other_tools_have_it() {
    let (hub, home) = (tiny_hub(), Folder::new("xdg"));
    let with = |variable: &str, value: &str, arguments: &[&str]| {
        let mut command = hub_command(&hub.endpoint);
        command.env("HOME", &home.0).env(variable, value);
        run_with(command.args(arguments), "")
    };
    let xdg = home.0.join("x");
    let ran = with("XDG_CACHE_HOME", xdg.to_str().unwrap(), &["pull", NAME]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    assert!(Path::new(ran.out.trim_end()).starts_with(xdg.join("huggingface/hub")), "{}", ran.out);
    let ran = with("HF_HOME", "~/x/huggingface", &["tokenize", "-m", NAME, "a"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
}

const OTHER_COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A hub with two revisions that differ in their small files only, and a GGUF file at one of them.
fn hub_with_v1() -> Hub {
    let mut files = files_of(&tiny());
    let main = Revision { name: "main", commit: COMMIT, files: files.clone() };
    files.get_mut("config.json").unwrap().push(b'\n');
    files.insert("q.gguf".into(), fs::read(common::default_model()).unwrap()[..200_000].to_vec());
    Hub::with_revisions(vec![main, Revision { name: "v1", commit: OTHER_COMMIT, files }])
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = entries.map(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => bytes_below(&entry.path()),
        kind if kind.is_file() => entry.metadata().unwrap().len(),
        _ => 0,
    });
    bytes.sum()
}

#[test]
fn revisions_have_names_are_listed_and_removed() {
    let (hub, home) = (hub_with_v1(), Folder::new("revisions"));
    let run = |arguments: &[&str]| run(&home, &hub.endpoint, arguments, false);
    let at_v1 = "owner/tiny@v1";
    let ran = run(&["pull", at_v1]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let folder = home.0.join("hub/models--owner--tiny/snapshots");
    assert_eq!(Path::new(ran.out.trim_end()), folder.join(OTHER_COMMIT));

    // It is found by this name and by its commit, and main is not there.
    let by_path = run(&["tokenize", "-m", tiny().to_str().unwrap(), "a word"]);
    for name in [at_v1, &format!("owner/tiny@{OTHER_COMMIT}")] {
        let ran = run(&["tokenize", "-m", name, "a word"]);
        assert_eq!((ran.code, &ran.out), (0, &by_path.out), "{name}: {}", ran.err);
    }
    let ran = run(&["tokenize", "-m", NAME, "a word"]);
    assert_eq!(ran.code, 2);
    for part in ["not in the cache", "at v1", "kaiwu pull owner/tiny`"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    let ran = run(&["tokenize", "-m", "owner/tiny@v2/q.gguf", "a word"]);
    assert!(ran.code == 2 && ran.err.contains("kaiwu pull owner/tiny@v2/q.gguf`"), "{}", ran.err);

    // The same weights are not fetched twice.
    hub.log();
    assert_eq!(run(&["pull", NAME]).code, 0);
    assert!(hub.asked().iter().all(|(path, _)| !path.ends_with("model.safetensors")));
    assert_fetched(&folder.join(COMMIT), "main");
    let ran = run(&["pull", "owner/tiny/q.gguf", "--revision", "v1", "--json"]);
    assert_eq!(ran.json()["name"], "owner/tiny@v1/q.gguf", "{}", ran.err);
    let ran = run(&["pull", at_v1, "--revision", "main"]);
    assert!(ran.code == 2 && ran.err.contains("--revision main"), "{}", ran.err);

    // The GGUF file is cut off: it is in the cache, but cannot be run.
    let ran = run(&["list", "--json"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let listed = ran.json();
    let row = |index: usize, key: &str| listed["models"][index][key].clone();
    let names: Vec<_> = (0..2).map(|index| row(index, "name")).collect();
    assert_eq!((names[0].as_str(), names[1].as_str()), (Some(NAME), Some(at_v1)));
    assert_eq!((row(1, "revision"), row(1, "commit")), ("v1".into(), OTHER_COMMIT.into()));
    assert_eq!(row(0, "path"), folder.join(COMMIT).to_str().unwrap());
    let parts =
        ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"];
    let parts = parts.iter().chain(&["model.safetensors", "chat_template.jinja"]);
    let bytes: u64 = parts
        .filter_map(|name| fs::metadata(tiny().join(name)).ok())
        .map(|found| found.len())
        .sum();
    assert_eq!(row(0, "bytes"), bytes);
    assert_eq!(listed["others"][0]["name"], "owner/tiny@v1/q.gguf");
    let ran = run(&["list"]);
    assert!(ran.out.starts_with("NAME") && ran.out.lines().count() == 3, "{}", ran.out);
    assert!(ran.err.contains("1 incomplete") && ran.err.contains("--all"), "{}", ran.err);
    assert!(run(&["list", "--all"]).err.contains("owner/tiny@v1/q.gguf: "));

    // Without a terminal nothing goes unless it is said.
    let before = bytes_below(&home.0);
    let ran = run(&["rm", "--json", at_v1]);
    assert!(ran.code == 2 && ran.out.is_empty() && ran.err.contains("--yes"), "{}", ran.err);
    assert_eq!(bytes_below(&home.0), before);
    let ran = run(&["rm", "--yes", "--json", "owner/tiny@v1/q.gguf"]);
    assert_eq!(ran.json()["bytes"], 200_000, "{}", ran.err);
    assert_eq!(bytes_below(&home.0), before - 200_000);
    // What main needs stays.
    let ran = run(&["rm", "--yes", "--json", at_v1]);
    let own = fs::metadata(tiny().join("config.json")).unwrap().len() + 1;
    assert_eq!(ran.json()["bytes"], own, "{}", ran.err);
    assert!(!folder.join(OTHER_COMMIT).exists());
    assert_fetched(&folder.join(COMMIT), "after rm");
    let ran = run(&["rm", "--yes", at_v1]);
    assert!(ran.code == 2 && ran.err.contains("not in the cache, but at main"), "{}", ran.err);
    let ran = run(&["rm", "--yes", NAME]);
    assert!(ran.code == 0 && ran.out.starts_with("removed owner/tiny, "), "{ran:?}");
    assert!(!home.0.join("hub/models--owner--tiny").exists() && home.0.join("hub").exists());
    let ran = run(&["list"]);
    assert!(ran.code == 0 && ran.out.is_empty() && ran.err.contains("kaiwu pull"), "{ran:?}");
}

/// Two names of one commit: the files stay as long as one of them does.
#[test]
fn a_name_is_removed_alone_where_others_have_its_files() {
    let main = Revision { name: "main", commit: COMMIT, files: files_of(&tiny()) };
    let hub = Hub::with_revisions(vec![main.clone(), Revision { name: "v1", ..main }]);
    let home = Folder::new("two-names");
    let run = |arguments: &[&str]| run(&home, &hub.endpoint, arguments, false);
    assert_eq!((run(&["pull", NAME]).code, run(&["pull", "owner/tiny@v1"]).code), (0, 0));
    assert_eq!(run(&["rm", "--yes", "--json", "owner/tiny"]).json()["bytes"], 0);
    assert_eq!(run(&["tokenize", "-m", "owner/tiny@v1", "a"]).code, 0);
    assert_eq!(run(&["tokenize", "-m", "owner/tiny", "a"]).code, 2);
    assert_eq!(run(&["rm", "--yes", "owner/tiny@v1"]).code, 0);
    assert!(!home.0.join("hub/models--owner--tiny").exists());
}

#[cfg(unix)]
#[test]
fn nothing_outside_the_cache_is_removed() {
    use std::os::unix::fs::symlink;
    let (home, elsewhere) = (Folder::new("rm-outside"), Folder::new("rm-elsewhere"));
    let run = |arguments: &[&str]| run(&home, "http://127.0.0.1:9", arguments, false);
    let mine = elsewhere.write("mine.gguf", "mine");
    for name in ["../tiny", "/etc", "owner/../../x", "owner/tiny@../..", mine.to_str().unwrap()] {
        let ran = run(&["rm", "--yes", name]);
        assert!(ran.code == 2 && ran.err.contains("no name of a model"), "{name}: {}", ran.err);
    }

    // A model's folder, its bytes or a snapshot that lie elsewhere.
    let model = home.0.join("hub/models--owner--tiny");
    fs::create_dir_all(model.parent().unwrap()).unwrap();
    symlink(&elsewhere.0, &model).unwrap();
    let refused = |case: &str| {
        let ran = run(&["rm", "--yes", NAME]);
        assert!(ran.code == 1 && ran.err.contains("outside the cache"), "{case}: {}", ran.err);
        assert_eq!(fs::read(&mine).unwrap(), b"mine", "{case}");
    };
    refused("model");
    fs::remove_file(&model).unwrap();
    fs::create_dir_all(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), COMMIT).unwrap();
    symlink(&elsewhere.0, model.join("snapshots")).unwrap();
    refused("snapshots");
    fs::remove_file(model.join("snapshots")).unwrap();
    fs::create_dir_all(model.join("snapshots")).unwrap();
    symlink(&elsewhere.0, model.join("snapshots").join(COMMIT)).unwrap();
    refused("snapshot");
    fs::remove_file(model.join("snapshots").join(COMMIT)).unwrap();

    // A commit that leads out of the cache.
    fs::write(model.join("refs/main"), "../../../..").unwrap();
    let ran = run(&["rm", "--yes", NAME]);
    assert!(ran.code == 1 && ran.err.contains("has no commit"), "{}", ran.err);
    fs::write(model.join("refs/main"), COMMIT).unwrap();

    // Of a link to elsewhere the link goes.
    let snapshot = model.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    symlink(&mine, snapshot.join("mine.gguf")).unwrap();
    symlink(&elsewhere.0, snapshot.join("folder")).unwrap();
    let ran = run(&["rm", "--yes", NAME]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    assert!(!model.exists());
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
}

/// A snapshot in the cache, with these files.
fn snapshot(home: &Folder, files: &[(&str, &str)]) -> PathBuf {
    let model = home.0.join("hub/models--owner--tiny");
    let folder = model.join("snapshots").join(COMMIT);
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), COMMIT).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_shard_that_is_missing_is_to_be_pulled() {
    let home = Folder::new("shard");
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let files = [
        ("config.json", "{}"),
        ("model.safetensors.index.json", index),
        ("model-00001-of-00002.safetensors", ""),
    ];
    snapshot(&home, &files);
    let ran = run(&home, "http://127.0.0.1:9", &["generate", "-m", NAME, "a"], false);
    assert_eq!(ran.code, 2);
    for part in ["in the cache without model-00002-of-00002.safetensors", "kaiwu pull owner/tiny`"]
    {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    let ran = run(&home, "http://127.0.0.1:9", &["list", "--json"], false);
    assert_eq!(ran.json()["others"][0]["reason"], "without model-00002-of-00002.safetensors");

    // All of it, or all but files of another kind.
    let tokenize = |home| run(home, "http://127.0.0.1:9", &["tokenize", "-m", NAME, "a"], false);
    let (nothing, ggufs) = (Folder::new("shard-nothing"), Folder::new("shard-ggufs"));
    fs::remove_dir_all(snapshot(&nothing, &[])).unwrap();
    let ran = tokenize(&nothing);
    assert!(ran.code == 2 && ran.err.contains("kaiwu pull owner/tiny`"), "{}", ran.err);
    snapshot(&ggufs, &[("q.gguf", "")]);
    let ran = tokenize(&ggufs);
    assert!(ran.code == 2 && ran.err.contains("as in owner/tiny/q.gguf"), "{}", ran.err);
}

/// A file that the system refuses to show is no file that is missing. (A loop of links, for root
/// may read all else.)
#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_said_as_such() {
    for unreadable in ["config.json", "tokenizer.json", "model.safetensors"] {
        let home = Folder::new(&format!("unreadable-{unreadable}"));
        let all = ["config.json", "tokenizer.json", "model.safetensors"];
        let files: Vec<_> =
            all.into_iter().filter(|name| *name != unreadable).map(|name| (name, "{}")).collect();
        let folder = snapshot(&home, &files);
        std::os::unix::fs::symlink(unreadable, folder.join(unreadable)).unwrap();
        let ran = run(&home, "http://127.0.0.1:9", &["generate", "-m", NAME, "a"], false);
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains(&format!("{unreadable}: Too many levels")), "{}", ran.err);
    }
}
