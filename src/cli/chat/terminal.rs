//! The mode of a terminal between prompts: what is typed ahead is neither shown nor cut.
//!
//! In its own mode a terminal echoes keys into the answer, and loses what a line has beyond 4095
//! bytes. Ctrl-C stays a signal.

pub(super) use system::Quiet;

#[cfg(unix)]
mod system {
    use nix::sys::termios::{
        LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
    };
    use std::io::{IsTerminal, Write, stderr, stdin, stdout};
    use std::sync::{Mutex, OnceLock};

    /// The mode at the beginning, which a program that ends has to leave behind.
    static ORIGINAL: OnceLock<Mutex<Termios>> = OnceLock::new();

    /// A terminal that is quiet, until this is dropped.
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

        /// Quiet once more: a shell may have had the terminal in between.
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

        /// Gives the terminal its own mode back, also from the midst of the editor's.
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
    /// Terminals of other systems keep what is typed ahead.
    pub(in crate::cli::chat) struct Quiet(());

    impl Quiet {
        pub(in crate::cli::chat) fn new() -> Self {
            Self(())
        }

        pub(in crate::cli::chat) fn again(&self) {}

        pub(in crate::cli::chat) fn end() {}
    }
}
