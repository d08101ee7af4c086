//! Signals that ask the program to end. The first one ends an answer or a run that somebody watches
//! over, the next one the program. What was ignored when the program began stays so: `nohup` and
//! shells that start something in the background see to that.

use crate::Result;
use crate::cli::support::failure::usage;
use crate::files::remove_unfinished;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Who has something to finish before the program ends.
struct Watcher {
    interrupt: Arc<AtomicBool>,
    answering: Arc<AtomicBool>,
}

static WATCHER: Mutex<Option<Watcher>> = Mutex::new(None);

/// The number of the signal that came last.
static CAME: AtomicI32 = AtomicI32::new(INTERRUPT);

/// SIGINT's number, everywhere.
const INTERRUPT: i32 = 2;

/// Begins to hear signals, so that a program which one of them ends leaves no unfinished files.
///
/// # Errors
/// When the operating system refuses it.
pub(in crate::cli) fn begin() -> Result<()> {
    static BEGUN: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let refused = |message: &String| usage(format!("cannot watch for Ctrl-C: {message}"));
    BEGUN.get_or_init(hear).as_ref().copied().map_err(refused)
}

/// Sets `interrupt` at the first signal while `answering`; any other signal ends the program.
pub(in crate::cli) fn watch(interrupt: Arc<AtomicBool>, answering: Arc<AtomicBool>) -> Result<()> {
    *WATCHER.lock().unwrap_or_else(PoisonError::into_inner) =
        Some(Watcher { interrupt, answering });
    begin()
}

/// The exit code of a program that was interrupted, as shells count it: 130 for Ctrl-C, 143 for
/// SIGTERM, 129 for SIGHUP.
pub(in crate::cli) fn exit_code() -> ExitCode {
    ExitCode::from(u8::try_from(code(CAME.load(Ordering::Relaxed))).unwrap_or(1))
}

fn code(signal: i32) -> i32 {
    128 + signal
}

/// A signal came.
fn came(signal: i32) {
    CAME.store(signal, Ordering::Relaxed);
    let watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Watcher { interrupt, answering }) = &*watcher {
        let asked_before = interrupt.swap(true, Ordering::Relaxed);
        if !asked_before && answering.load(Ordering::Relaxed) {
            return;
        }
        leave();
        eprintln!();
    }
    remove_unfinished();
    end(signal, watcher.is_some());
}

/// Has a thread of its own hear the signals.
#[cfg(unix)]
fn hear() -> std::result::Result<(), String> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
    let mut signals = Signals::new(heard).map_err(|error| error.to_string())?;
    let thread = std::thread::Builder::new().name("signals".into());
    let hears = thread.spawn(move || signals.forever().for_each(came));
    hears.map(|_| ()).map_err(|error| error.to_string())
}

/// Whether whoever started this program has it ignore the signal.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros are a value of this structure of numbers and addresses.
    let mut current: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: it only writes to the structure, which lives, and changes nothing.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &mut current) };
    asked == 0 && current.sa_sigaction == libc::SIG_IGN
}

/// Ends the program at once, for drivers may be at work in other threads. Where nobody watches it
/// dies of the signal: a shell then ends its script, too.
#[cfg(unix)]
fn end(signal: i32, is_watched: bool) {
    if !is_watched {
        // Goes on only where the signal has no such default.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    signal_hook::low_level::exit(code(signal));
}

#[cfg(not(unix))]
fn hear() -> std::result::Result<(), String> {
    ctrlc::set_handler(|| came(INTERRUPT)).map_err(|error| error.to_string())
}

#[cfg(not(unix))]
fn end(signal: i32, _: bool) {
    std::process::exit(code(signal));
}

/// What is done before a signal ends the program.
static AT_EXIT: OnceLock<fn()> = OnceLock::new();

/// Has `last` done before a signal ends the program: a terminal gets the mode back that it had.
pub(in crate::cli) fn before_exit(last: fn()) {
    // There is one terminal, and one to look after it.
    let _ = AT_EXIT.set(last);
}

fn leave() {
    if let Some(last) = AT_EXIT.get() {
        last();
    }
}
