//! Ctrl-C: the first ends an answer, the next one the program.

use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The exit code of a program that was interrupted, as shells count it.
pub(super) const EXIT_CODE: u8 = 130;

/// Sets `interrupt` at the first signal while `answering`; any other signal ends the program.
pub(super) fn watch(interrupt: Arc<AtomicBool>, answering: Arc<AtomicBool>) -> Result<()> {
    let handler = move || {
        let asked_before = interrupt.swap(true, Ordering::Relaxed);
        if asked_before || !answering.load(Ordering::Relaxed) {
            leave();
            eprintln!();
            std::process::exit(EXIT_CODE.into());
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Error::Usage(format!("cannot watch for Ctrl-C: {error}")))
}

/// What is done before a signal ends the program.
static AT_EXIT: OnceLock<fn()> = OnceLock::new();

/// Has `last` done before a signal ends the program: a terminal gets the mode back that it had.
pub(super) fn before_exit(last: fn()) {
    // There is one terminal, and one to look after it.
    let _ = AT_EXIT.set(last);
}

fn leave() {
    if let Some(last) = AT_EXIT.get() {
        last();
    }
}
