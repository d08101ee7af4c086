//! A sound folder of which one file is replaced by what the fuzzer made up.

use kaiwu::format::Source;
use kaiwu::gpu::Device;
use kaiwu::model::{Config, Weights};
use kaiwu::text::Tokenizer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny");

/// Copies of the tiny checkpoints by name, made once for this process.
fn folders() -> &'static BTreeMap<String, PathBuf> {
    static FOLDERS: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    FOLDERS.get_or_init(|| {
        let all = std::env::temp_dir().join(format!("kaiwu-fuzz-{}", std::process::id()));
        let copy = |folder: std::io::Result<std::fs::DirEntry>| {
            let folder = folder.expect("a readable folder");
            let name = folder.file_name().to_str().expect("a plain name").to_owned();
            let to = all.join(&name);
            std::fs::create_dir_all(&to).expect("a folder for the fuzzer's files");
            for file in std::fs::read_dir(folder.path()).expect("a checkpoint") {
                let file = file.expect("a readable folder");
                std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
            }
            (name, to)
        };
        std::fs::read_dir(TINY).expect("the tiny checkpoints").map(copy).collect()
    })
}

/// The copy of the checkpoint in several files.
#[allow(dead_code)] // not every target asks
pub fn folder() -> &'static Path {
    &folders()["llama-bf16-sharded"]
}

/// One of the copies, by number in the order of their names.
#[allow(dead_code)] // not every target asks
pub fn numbered(number: u8) -> &'static Path {
    let all = folders();
    all.values().nth(usize::from(number) % all.len()).expect("checkpoints")
}

/// Puts `bytes` where a model's file should be. A new file each time: the one before may still be
/// mapped.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, bytes).expect("room for the fuzzer's file");
    path
}

/// Bytes of weights that a sound shard has behind its header.
#[allow(dead_code)] // one of the targets asks
pub fn weights(shard: &str) -> usize {
    static WEIGHTS: OnceLock<usize> = OnceLock::new();
    *WEIGHTS.get_or_init(|| {
        let sound = std::fs::read(Path::new(TINY).join("llama-bf16-sharded").join(shard)).expect("a shard");
        let header = u64::from_le_bytes(*sound.first_chunk().expect("a length")) as usize;
        sound.len() - 8 - header
    })
}

/// What a command does before the device comes in. Whatever it says, it may not panic, nor take
/// more memory than libFuzzer was told to allow.
pub fn open(path: &Path) {
    let Ok(source) = Source::open(path) else { return };
    let _ = Config::from_source(&source);
    if let Ok(tokenizer) = Tokenizer::from_source(&source) {
        let _ = tokenizer.encode("Of 3 mice <s>\n", true).map(|ids| tokenizer.decode(&ids, false));
    }
    let _ = Weights::load(&Device::Reference, &source, |_| ());
}
