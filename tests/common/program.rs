//! The program as a script meets it, whatever machine the tests run on.
//!
//! Every run of the program goes through [`kaiwu`] or [`isolated`]. What decides how it behaves is
//! then said by the test alone: variables that it reads are cleared, and its folders for caches,
//! data and history are its own. The driver's cache of compiled shaders is still the user's, for
//! it decides nothing and saves minutes. `VK_*`, `WGPU_*`, `MESA_*` and `LP_*` stay: they name the
//! adapter that the tests are to run on.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What a run left: exit code, standard output, standard error.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The run, which must have ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Beginnings of variables that the program, or a library of its, reads.
const READ: [&str; 14] = [
    "KAIWU_",
    "HF_",
    "HUGGING_FACE_",
    "HUGGINGFACE_",
    "XDG_",
    "RUST_",
    "NO_COLOR",
    "CLICOLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "LINES",
    "LANG",
    "LC_",
    "TZ",
];

/// Whether a variable says something to the program that a test has not said.
fn is_read(name: &str) -> bool {
    READ.iter().any(|beginning| name.starts_with(beginning))
        // Requests to a hub on this machine go through no proxy.
        || name.to_ascii_lowercase().ends_with("_proxy")
}

/// A home that nobody lives in: it is not even there, unless a run writes to it.
fn home() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| super::unique("home"))
}

/// Where Mesa keeps compiled shaders for the tests of this process.
pub fn shader_cache() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("MESA_SHADER_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME"))
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
}

/// Takes from a command what the user's environment would say to the program.
pub fn isolated(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_read) {
            command.env_remove(name);
        }
    }
    if let Some(folder) = shader_cache() {
        command.env("MESA_SHADER_CACHE_DIR", folder);
    }
    for (name, folder) in [
        ("HOME", ""),
        ("LOCALAPPDATA", "local"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_DATA_HOME", "data"),
        ("XDG_STATE_HOME", "state"),
    ] {
        command.env(name, home().join(folder));
    }
    // What one test's run finds wrong with the adapter is not the next one's business.
    command.env("KAIWU_IGNORE_QUARANTINE", "1").env("TERM", "xterm-256color");
    command
}

/// The program, asked for the default model where that is there. Without it, a run that needs it
/// fails and says how to fetch it.
pub fn kaiwu() -> Command {
    let mut command = isolated(Command::new(env!("CARGO_BIN_EXE_kaiwu")));
    let model = super::default_path();
    if model.is_file() {
        command.env("KAIWU_MODEL", model);
    }
    command
}

/// Runs it with `input` on standard input.
pub fn run_with(command: &mut Command, input: &str) -> Ran {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ended(child)
}

/// Waits for the end of a run whose standard output and error are pipes.
pub fn ended(child: std::process::Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs it with these arguments.
pub fn run(arguments: &[&str]) -> Ran {
    run_with(kaiwu().args(arguments), "")
}

/// Has it hear the signals that whoever started the tests may have them ignore, as `nohup` and
/// background jobs do.
#[cfg(unix)]
pub fn hears_signals(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    let hear = || {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: the default is no function, and nothing else runs in this process yet.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: it only makes calls that are safe after a fork.
    unsafe { command.pre_exec(hear) }
}
