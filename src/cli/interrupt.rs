//! Ctrl-C: the first ends an answer, the next one the program.

use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a program that was interrupted, as shells count it.
pub(super) const EXIT_CODE: u8 = 130;

/// Sets `interrupt` at the first signal while `answering`; any other signal ends the program.
pub(super) fn watch(interrupt: Arc<AtomicBool>, answering: Arc<AtomicBool>) -> Result<()> {
    let handler = move || {
        let asked_before = interrupt.swap(true, Ordering::Relaxed);
        if asked_before || !answering.load(Ordering::Relaxed) {
            eprintln!();
            std::process::exit(EXIT_CODE.into());
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Error::Usage(format!("cannot watch for Ctrl-C: {error}")))
}
