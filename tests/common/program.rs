//! The program as a script meets it.

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// What a run left: exit code, standard output, standard error.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program, asked for the default model and for nothing that the environment may say.
pub fn kaiwu() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaiwu"));
    command.env("KAIWU_MODEL", super::default_model());
    // What the user's own checks found is not these tests' business.
    command.env("KAIWU_IGNORE_QUARANTINE", "1");
    for variable in ["RUST_LOG", "KAIWU_ADAPTER", "XDG_RUNTIME_DIR"] {
        command.env_remove(variable);
    }
    command
}

/// Runs it with `input` on standard input.
pub fn run_with(command: &mut Command, input: &str) -> Ran {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
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
