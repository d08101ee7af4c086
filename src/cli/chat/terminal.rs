//! The mode of a terminal between prompts: typing ahead is neither echoed nor truncated.
//!
//! In its normal mode a terminal echoes keys into the answer, and truncates lines after 4095 bytes.
//! Ctrl-C continues to send a signal.

pub(super) use system::Quiet;

#[cfg(unix)]
mod system {
    use nix::sys::termios::{
        LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
    };
    use std::io::{IsTerminal, Write, stderr, stdin, stdout};
    use std::sync::{Mutex, OnceLock};

    /// The terminal's original mode, which must be restored when the program ends.
    static ORIGINAL: OnceLock<Mutex<Termios>> = OnceLock::new();

    /// Keeps the terminal in quiet mode until this is dropped.
    pub(in crate::cli::chat) struct Quiet(());

    impl Quiet {
        pub(in crate::cli::chat) fn new() -> Self {
            if let Ok(mode) = tcgetattr(stdin()) {
                let _ = ORIGINAL.set(Mutex::new(mode));
            }
            let quiet = Self(());
            quiet.again();
            quiet
        }

        /// Sets the quiet mode again, because a shell may have used the terminal meanwhile.
        pub(in crate::cli::chat) fn again(&self) {
            let Some(mut mode) =
                ORIGINAL.get().and_then(|mode| mode.lock().ok().map(|mode| mode.clone()))
            else {
                return;
            };
            mode.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO);
            mode.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
            mode.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
            let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &mode);
        }

        /// Restores the terminal's original mode, even from within the editor.
        pub(in crate::cli::chat) fn end() {
            const BRACKETED_PASTE_OFF: &[u8] = b"\x1b[?2004l";
            let Some(mode) = ORIGINAL.get().and_then(|mode| mode.lock().ok()) else { return };
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, &mode);
            if stderr().is_terminal() {
                let _ = stderr().write_all(BRACKETED_PASTE_OFF);
            } else if stdout().is_terminal() {
                let _ = stdout().write_all(BRACKETED_PASTE_OFF);
            }
        }
    }

    impl Drop for Quiet {
        fn drop(&mut self) {
            Self::end();
        }
    }
}

#[cfg(not(unix))]
mod system {
    /// On other systems, terminals keep what is typed ahead.
    pub(in crate::cli::chat) struct Quiet(());

    impl Quiet {
        pub(in crate::cli::chat) fn new() -> Self {
            Self(())
        }

        pub(in crate::cli::chat) fn again(&self) {}

        pub(in crate::cli::chat) fn end() {}
    }
}
