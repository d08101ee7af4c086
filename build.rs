//! Tells the program what it is built from: the commit and the version of wgpu, where they can be
//! known.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-changed=shaders");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    if let Ok(target) = std::env::var("TARGET") {
        println!("cargo::rustc-env=KAIWU_TARGET={target}");
    }
    let mut shaders = String::from("&[\n");
    list_shaders(&root.join("shaders"), &mut shaders);
    let list = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("shaders.rs");
    fs::write(&list, shaders + "]").unwrap_or_else(|e| panic!("{}: {e}", list.display()));
    if let Some(version) = locked(&root, "wgpu") {
        println!("cargo::rustc-env=KAIWU_WGPU={version}");
    }
    if let Some(commit) = packaged(&root).or_else(|| checked_out(&root)) {
        println!("cargo::rustc-env=KAIWU_COMMIT={commit}");
    }
}

/// Writes a list of the shader files of `folder` and the folders in it, as Rust.
fn list_shaders(folder: &Path, list: &mut String) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list_shaders(&path, list);
        } else if path.extension().is_some_and(|extension| extension == "wgsl") {
            list.push_str(&format!("include_str!({path:?}),\n"));
        }
    }
}

/// The version of a dependency, by the lock file.
fn locked(root: &Path, name: &str) -> Option<String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).ok()?;
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split('"').next()?.to_owned())
}

/// The commit that a package of this crate was made from, which cargo notes in it.
fn packaged(root: &Path) -> Option<String> {
    let noted = fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = noted.split_once("\"sha1\":")?;
    short(rest.split('"').nth(1)?)
}

/// The commit that is checked out here, if this folder and not one around it is a repository.
fn checked_out(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let ran = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        let text = String::from_utf8(ran.stdout).ok()?;
        ran.status.success().then(|| text.trim().to_owned())
    };
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file]).map(|path| root.join(path));
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    short(&git(&["rev-parse", "HEAD"])?)
}

/// The first digits of a commit's name, if it is one.
fn short(commit: &str) -> Option<String> {
    let commit = commit.trim();
    let named = commit.len() >= 40 && commit.bytes().all(|digit| digit.is_ascii_hexdigit());
    named.then(|| commit[..12].to_owned())
}
