//! A sound folder of which one file is replaced by what the fuzzer made up.

use kaiwu::format::Source;
use kaiwu::gpu::Place;
use kaiwu::model::{Config, Model};
use kaiwu::text::Tokenizer;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const SOUND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny/llama-bf16-sharded");

/// The folder's copy of this process, made once.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let to = std::env::temp_dir().join(format!("kaiwu-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&to).expect("a folder for the fuzzer's files");
        for file in std::fs::read_dir(SOUND).expect("the tiny checkpoint") {
            let file = file.expect("a readable folder");
            std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
        }
        to
    })
}

/// Puts `bytes` where a model's file should be. A new file each time: the one before may still be mapped.
pub fn put(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, bytes).expect("room for the fuzzer's file");
    path
}

/// Bytes of weights that a sound shard has behind its header.
#[allow(dead_code)] // one of the targets asks
pub fn weights(shard: &str) -> usize {
    static WEIGHTS: OnceLock<usize> = OnceLock::new();
    *WEIGHTS.get_or_init(|| {
        let sound = std::fs::read(Path::new(SOUND).join(shard)).expect("the tiny checkpoint");
        let header = u64::from_le_bytes(*sound.first_chunk().expect("a length")) as usize;
        sound.len() - 8 - header
    })
}

/// What a command does before the device comes in. Whatever it says, it may not panic, nor take more memory than
/// libFuzzer was told to allow.
pub fn open(path: &Path) {
    let Ok(source) = Source::open(path) else { return };
    let _ = Config::from_source(&source);
    let _ = Tokenizer::from_source(&source);
    let _ = Model::load(&Place::Host, &source, |_| ());
}
