//! The program among other programs: what it writes to, who else writes there, and the signals that
//! end it.
#![cfg(unix)]

use crate::common;
use crate::common::Folder;
use crate::common::program::{self, hears_signals};
use kaiwu::files::{AtomicFile, OwnFolder, write_whole};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn kaiwu() -> Command {
    let mut command = program::kaiwu();
    hears_signals(command.stdin(Stdio::null()));
    command
}

fn convert(output: &Path) -> Command {
    let mut command = kaiwu();
    command.arg("convert").arg("-m").arg(common::tiny("llama-f32")).arg("-o").arg(output);
    command
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    ran
}

/// Waits for something for some minutes at most.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 240, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn send(child: &Child, signal: &str) {
    assert!(
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success()
    );
}

#[test]
fn links_are_followed_and_permissions_kept() {
    let folder = Folder::new("links");
    let [plain, link, target] =
        ["plain.gguf", "link.gguf", "there/target.gguf"].map(|n| folder.0.join(n));
    run(&mut convert(&plain));
    let expected = fs::read(&plain).unwrap();
    fs::create_dir(folder.0.join("there")).unwrap();
    symlink("there/target.gguf", &link).unwrap();
    // At first it leads nowhere yet.
    for mode in [None, Some(0o640)] {
        if let Some(mode) = mode {
            fs::write(&target, "before").unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
        }
        run(&mut convert(&link));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read(&target).unwrap() == expected);
        let found = fs::metadata(&target).unwrap().permissions().mode() & 0o777;
        assert!(mode.is_none_or(|mode| mode == found), "{found:o}");
    }
    assert_eq!(names(&folder.0), ["link.gguf", "plain.gguf", "there"]);
    assert_eq!(names(&folder.0.join("there")), ["target.gguf"]);
    let circle = folder.0.join("circle");
    symlink("circle", &circle).unwrap();
    for wrong in [folder.0.clone(), folder.0.join("new/"), folder.0.join("nowhere/x.gguf"), circle]
    {
        let ran = convert(&wrong).output().unwrap();
        let error = String::from_utf8_lossy(&ran.stderr);
        assert!(
            ran.status.code() == Some(1) && error.contains(&*wrong.to_string_lossy()),
            "{error}"
        );
    }
}

#[test]
fn pipes_and_standard_output_get_the_bytes() {
    let folder = Folder::new("pipes");
    let [plain, pipe, link] = ["plain.gguf", "pipe", "link"].map(|name| folder.0.join(name));
    run(&mut convert(&plain));
    let expected = fs::read(&plain).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (sent, got) = std::sync::mpsc::channel();
    let from = pipe.clone();
    std::thread::spawn(move || sent.send(fs::read(from)));
    run(&mut convert(&pipe));
    let got = got.recv_timeout(Duration::from_secs(10)).expect("the reader hears the end").unwrap();
    assert!(got == expected && fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());

    symlink("/dev/stdout", &link).unwrap();
    for name in [Path::new("-"), Path::new("/dev/stdout"), Path::new("/dev/fd/1"), &link] {
        // What is said beside it goes elsewhere.
        let ran = run(&mut convert(name));
        assert!(ran.stdout == expected, "{}: {} bytes", name.display(), ran.stdout.len());
    }
    // A file that standard output goes on in is not replaced, for others write to it, too.
    let joined = folder.0.join("joined");
    let file = fs::File::create(&joined).unwrap();
    std::io::Write::write_all(&mut &file, b"before").unwrap();
    let mut ran = convert(Path::new("/dev/stdout"));
    assert!(ran.stdout(file.try_clone().unwrap()).status().unwrap().success());
    std::io::Write::write_all(&mut &file, b"after").unwrap();
    assert!(fs::read(&joined).unwrap() == [b"before", &expected[..], b"after"].concat());
    assert!(!folder.0.join("-").exists());
}

#[test]
fn two_at_once_do_not_mix_and_what_fails_leaves_nothing() {
    let folder = Folder::new("at-once");
    let path = folder.0.join("file");
    let [mut first, mut second] = [(); 2].map(|()| AtomicFile::create(&path).unwrap());
    for _ in 0..10_000 {
        first.append(b"first.").unwrap();
        second.append(b"second").unwrap();
    }
    assert_eq!(first.finish().unwrap(), 60_000);
    assert_eq!(fs::read(&path).unwrap(), b"first.".repeat(10_000));
    let third = AtomicFile::create(&path).unwrap();
    // One that another process would have left, which nobody holds.
    fs::write(folder.0.join(".kaiwu-1-1.part"), "half").unwrap();
    second.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second".repeat(10_000));
    write_whole(&folder.0.join("other"), "whole").unwrap();
    assert_eq!(names(&folder.0).len(), 3, "{:?}", names(&folder.0));
    drop(third);
    assert_eq!(names(&folder.0), ["file", "other"]);
    assert_eq!(fs::read(&path).unwrap(), b"second".repeat(10_000));
}

#[test]
fn a_folder_belongs_to_one_run() {
    let parent = Folder::new("own");
    let folder = parent.0.join("run");
    let own = OwnFolder::claim(&folder).unwrap();
    let error = OwnFolder::claim(&folder).map(|_| ()).unwrap_err().to_string();
    let process = format!("process {}", std::process::id());
    assert!(error.contains(&process) && error.contains("run"), "{error}");
    drop(own);
    assert!(!folder.exists(), "it is empty, and was not there before");
    // A lock file that nobody holds is what a killed process leaves.
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(".kaiwu.lock"), "1").unwrap();
    drop(OwnFolder::claim(&folder).unwrap());
    assert!(names(&folder).is_empty() && folder.exists());
}

/// A run that goes on until it is stopped.
fn grok(out: &Path) -> Command {
    let mut command = kaiwu();
    let settings = "grok --modulus 7 --operation add --hidden-size 32 --n-heads 2 --n-layers 1 --to-the-end --steps 1000000";
    command
        .args(settings.split(' '))
        .arg("--out")
        .arg(out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[track_caller]
fn begun(command: &mut Command, out: &Path) -> Child {
    let mut child = command.spawn().unwrap();
    wait_until("a run begins", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        fs::read_to_string(out.join("metrics.jsonl")).is_ok_and(|text| text.lines().count() > 1)
    });
    child
}

#[test]
fn a_second_run_in_a_folder_is_refused() {
    let folder = Folder::new("second-run");
    let out = folder.0.join("out");
    let first = begun(&mut grok(&out), &out);
    let second = grok(&out).output().unwrap();
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    let process = format!("process {} writes to this folder", first.id());
    assert!(second.status.code() == Some(1) && error.contains(&process), "{error}");
    send(&first, "-INT");
    let ran = first.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(130), "{}", String::from_utf8_lossy(&ran.stderr));
    let left = names(&out);
    assert!(left.contains(&"checkpoint.safetensors".into()), "{left:?}");
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
}

#[test]
fn each_signal_has_its_exit_code() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let folder = Folder::new(&format!("signal{signal}"));
        let child = begun(&mut grok(&folder.0), &folder.0);
        send(&child, signal);
        let ran = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{error}");
        assert!(error.contains("stopped at step"), "{error}");
    }
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    for (name, signal, command) in [
        ("nohup", "-HUP", "trap '' HUP; exec \"$@\""),
        ("background", "-INT", "trap '' INT; exec \"$@\""),
    ] {
        let folder = Folder::new(name);
        let grok = grok(&folder.0);
        let mut shell = program::isolated(Command::new("sh"));
        shell.args(["-c", command, "sh"]).arg(grok.get_program()).args(grok.get_args());
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        hears_signals(&mut shell);
        let mut child = begun(&mut shell, &folder.0);
        let rows = || fs::read_to_string(folder.0.join("metrics.jsonl")).unwrap().lines().count();
        send(&child, signal);
        let before = rows();
        wait_until("it goes on", || {
            assert!(child.try_wait().unwrap().is_none(), "{name}: it ended");
            rows() > before + 2
        });
        send(&child, "-TERM");
        let ran = child.wait_with_output().unwrap();
        assert_eq!(
            ran.status.code(),
            Some(143),
            "{name}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

/// What nobody watches over dies of the signal, as a shell expects, and takes what is not whole
/// with it.
#[test]
fn an_interrupted_conversion_leaves_nothing() {
    for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let folder = Folder::new(&format!("interrupted{signal}"));
        fs::write(folder.0.join("model.gguf"), "before").unwrap();
        let mut command = kaiwu();
        command.args(["convert", "--quantize", "q4_k", "-m"]).arg(common::default_model());
        command
            .arg("-o")
            .arg(folder.0.join("model.gguf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_until("it has begun a file", || names(&folder.0).len() == 2);
        send(&child, signal);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(number), "{status}");
        assert_eq!(names(&folder.0), ["model.gguf"]);
        assert_eq!(fs::read(folder.0.join("model.gguf")).unwrap(), b"before");
    }
}
