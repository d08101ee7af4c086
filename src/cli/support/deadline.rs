//! A time limit for device work that may never end, such as a shader with an endless loop.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Waits shorter than this are not mentioned to the user.
const PATIENCE: Duration = Duration::from_secs(10);

/// While this exists, the program ends if no progress is reported within the limit.
pub(in crate::cli) struct Deadline(Sender<()>);

impl Deadline {
    /// Starts a limit for each step; `what` is the subject of the error message.
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
                        "kaiwu: {what} did not end in {} s: a loop in it may never end, or it has \
                         much to do; --timeout gives it longer, a smaller --grid or --bind less to \
                         do",
                        limit.as_secs()
                    );
                    end();
                }
                if !waited.is_zero() {
                    let [so_far, most] = [waited, limit].map(|time| time.as_secs());
                    eprintln!(
                        "kaiwu: {what} takes longer than {so_far} s; --timeout ends it after \
                         {most} s"
                    );
                }
            }
        });
        Self(sender)
    }

    /// Reports that a step has ended, and the next one begins.
    pub(in crate::cli) fn go_on(&self) {
        // The receiver exists as long as this sender.
        let _ = self.0.send(());
    }
}

/// Ends the program immediately. A driver's own exit handlers may wait for the device.
fn end() -> ! {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: _exit accepts any number and does not return; standard error is not buffered, and
    // nothing else has to be finished.
    unsafe {
        libc::_exit(1)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    std::process::exit(1)
}
