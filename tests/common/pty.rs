//! The program at a terminal, as a person meets it.

use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A machine with other things to do is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program, and the hands and eyes of who sits there.
pub struct Terminal {
    child: Child,
    keys: File,
    shown: Receiver<Vec<u8>>,
    /// All that was shown, and how much of it has been looked at.
    text: Vec<u8>,
    seen: usize,
}

impl Terminal {
    /// Starts a program at a terminal of 80 columns.
    pub fn new(command: &mut Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).expect("a pseudo-terminal");
        let end = || Stdio::from(pair.slave.try_clone().expect("another handle"));
        let child =
            command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the program starts");
        let keys = File::from(pair.master);
        let mut screen = keys.try_clone().expect("another handle");
        drop::<OwnedFd>(pair.slave);
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of the program is an error here.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, shown, text: vec![], seen: 0 }
    }

    /// Types these bytes.
    pub fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits for a text beyond what was waited for before.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let new = &self.text[self.seen..];
            if let Some(at) = new.windows(text.len()).position(|part| part == text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.extend(bytes),
                Err(error) => panic!("{error} before {text:?}: {}", String::from_utf8_lossy(new)),
            }
        }
    }

    /// Waits for the end of the program and gives its exit code.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn ends(mut self) -> Option<i32> {
        drop(self.keys);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("the program is this one's") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        panic!("the program did not end");
    }
}
