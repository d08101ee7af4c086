//! A machine whose user has set and remembered all that could disturb the tests.

use super::Folder;
use super::program::{Ran, run_with, shader_cache};
use kaiwu::gpu::GpuOptions;
use kaiwu::workbench::{StrategyReport, remember};
use std::fs;
use std::process::Command;

/// Variables that change what the program does, or break it.
const VARIABLES: [(&str, &str); 14] = [
    ("KAIWU_ADAPTER", "an adapter that is not here"),
    ("KAIWU_NO_HISTORY", "true"),
    ("HF_ENDPOINT", "http://127.0.0.1:1"),
    ("HF_HUB_OFFLINE", "1"),
    ("HF_TOKEN", "not a token"),
    ("http_proxy", "http://127.0.0.1:1"),
    ("HTTPS_PROXY", "http://127.0.0.1:1"),
    ("RUST_LOG", "info"),
    ("NO_COLOR", "1"),
    ("COLUMNS", "20"),
    ("TERM", "dumb"),
    ("LANG", "tr_TR.UTF-8"),
    ("LC_ALL", "tr_TR.UTF-8"),
    ("TZ", "Pacific/Kiritimati"),
];

/// A command on that machine, whose adapter has a quarantine and a damaged tuning file.
fn there(folder: &Folder, mut command: Command) -> Command {
    let caches = folder.0.join("caches");
    let kaiwu = caches.join("kaiwu");
    fs::create_dir_all(&kaiwu).unwrap();
    let gpu = super::open(&GpuOptions::default());
    let unfit = StrategyReport::of_storage(gpu.capabilities().storage, false);
    remember(&kaiwu.join("quarantine.json"), gpu.report(), &[unfit]).unwrap();
    fs::write(kaiwu.join("tuning.json"), "no JSON").unwrap();
    if let Some(shaders) = shader_cache() {
        command.env("MESA_SHADER_CACHE_DIR", shaders);
    }
    for name in ["HOME", "LOCALAPPDATA", "XDG_DATA_HOME", "XDG_STATE_HOME", "HF_HOME"] {
        command.env(name, &folder.0);
    }
    command.env("XDG_CACHE_HOME", caches).envs(VARIABLES);
    command
}

/// Runs the program there as it is.
pub fn run_there(arguments: &[&str]) -> Ran {
    let folder = Folder::new("hostile-program");
    let mut command = there(&folder, Command::new(env!("CARGO_BIN_EXE_kaiwu")));
    command.env_remove("KAIWU_IGNORE_QUARANTINE");
    run_with(command.args(arguments), "")
}

/// Runs tests of this binary there, which must pass as they do here.
#[track_caller]
pub fn pass_there(tests: &[&str]) {
    let folder = Folder::new("hostile-tests");
    let mut command = there(&folder, Command::new(std::env::current_exe().unwrap()));
    let ran = run_with(command.args(["--exact", "--test-threads=1"]).args(tests), "");
    let passed = format!("test result: ok. {} passed", tests.len());
    assert!(ran.code == 0 && ran.out.contains(&passed), "{}\n{}", ran.out, ran.err);
}
