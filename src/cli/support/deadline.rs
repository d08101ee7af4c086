//! An end for what a device may never end: a shader's loop that waits for what does not come.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// A wait shorter than this needs no word.
const PATIENCE: Duration = Duration::from_secs(10);

/// While it lives, the program ends when nothing is heard for so long.
pub(in crate::cli) struct Deadline(Sender<()>);

impl Deadline {
    /// Nothing may take longer than `limit`; the error is about `what`.
    pub(in crate::cli) fn new(limit: Duration, what: String) -> Self {
        let (sender, receiver) = channel::<()>();
        std::thread::spawn(move || {
            let mut waited = Duration::ZERO;
            loop {
                let step = if waited.is_zero() { limit.min(PATIENCE) } else { limit - waited };
                match receiver.recv_timeout(step) {
                    Ok(()) => waited = Duration::ZERO,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => waited += step,
                }
                if waited >= limit {
                    eprintln!(
                        "kaiwu: {what} did not end in {} s: a loop in it may never end, or it has much to do; \
                         --timeout gives it longer, a smaller --grid or --bind less to do",
                        limit.as_secs()
                    );
                    end();
                }
                if !waited.is_zero() {
                    let [so_far, most] = [waited, limit].map(|time| time.as_secs());
                    eprintln!(
                        "kaiwu: {what} takes longer than {so_far} s; --timeout ends it after {most} s"
                    );
                }
            }
        });
        Self(sender)
    }

    /// Something came to its end, and the next begins.
    pub(in crate::cli) fn go_on(&self) {
        // The other side lives as long as this one.
        let _ = self.0.send(());
    }
}

/// Ends the program at once. A driver's own handlers for the end of a program may wait for the
/// device.
fn end() -> ! {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: _exit takes any number and does not come back; standard error has no buffer, and
    // nothing else was begun.
    unsafe {
        libc::_exit(1)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    std::process::exit(1)
}
