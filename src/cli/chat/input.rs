//! Where messages come from: the line editor of a terminal, or lines as they are.

use super::block::{Block, goes_on, joined};
use super::editor::Editor;
use super::history;
use crate::cli::support::failure::usage;
use crate::{Error, Result};
use std::io::{BufRead, IsTerminal, Read as _};

/// Longer lines are no messages for any model.
const MOST_BYTES: usize = 64 << 20;

/// Bytes of a line that a terminal passes on without an editor, its end included; what is beyond is
/// lost.
const TERMINAL_LINE: usize = if cfg!(target_os = "macos") { 1024 } else { 4096 };

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// A message or a command.
    Line(String),
    /// A message, whatever it begins with.
    Block(String),
    /// Ctrl-C at the prompt, where nothing was written if `empty`.
    Interrupted { empty: bool },
    /// A notice for the person, who may try again.
    Refused(String),
    /// There is no more.
    End,
}

/// The source of messages.
pub(super) enum Input {
    /// A terminal with an editor.
    Editor(Box<Editor>),
    /// Lines, of a terminal that knows no more if `terminal`.
    Lines { terminal: bool, begun: bool },
}

impl Input {
    /// Standard input, with an editor where somebody sits there.
    pub(super) fn new(remember: bool) -> Result<Self> {
        let terminal = std::io::stdin().is_terminal();
        let shown = std::io::stdout().is_terminal() || std::io::stderr().is_terminal();
        Ok(match terminal && shown && moves_the_cursor() {
            true => Self::Editor(Box::new(Editor::new(history::path().filter(|_| remember))?)),
            false => Self::Lines { terminal, begun: false },
        })
    }

    /// Whether somebody sits there.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Editor(_) | Self::Lines { terminal: true, .. })
    }

    /// Whether a line can be changed before it is sent.
    pub(super) fn edits(&self) -> bool {
        matches!(self, Self::Editor(_))
    }

    /// Reads a message; an editor begins with `initial`.
    pub(super) fn read(&mut self, initial: &str) -> Result<Read> {
        match self {
            Self::Editor(editor) => editor.read(initial),
            Self::Lines { terminal, begun } => {
                let first = !std::mem::replace(begun, true);
                let mut lines = Lines { reader: std::io::stdin().lock(), terminal: *terminal };
                lines.message(first)
            }
        }
    }
}

/// Whether a terminal's cursor can be moved, as an editor must.
fn moves_the_cursor() -> bool {
    match std::env::var("TERM") {
        Ok(kind) => !matches!(&*kind, "" | "dumb" | "cons25" | "emacs"),
        Err(_) => cfg!(windows),
    }
}

struct Lines<R> {
    reader: R,
    terminal: bool,
}

impl<R: BufRead> Lines<R> {
    /// A line, or the lines between three quotes. In a terminal, a line may go on in the next one.
    fn message(&mut self, first: bool) -> Result<Read> {
        let mut text = String::new();
        loop {
            if self.terminal && text.is_empty() {
                eprint!("> ");
            }
            let bytes = self.line()?;
            if bytes.is_empty() {
                if self.terminal {
                    eprintln!();
                }
                return Ok(if text.is_empty() {
                    Read::End
                } else {
                    Read::Block(Block::unclosed(&text).to_owned())
                });
            }
            if self.terminal && bytes.len() >= TERMINAL_LINE {
                return Ok(Read::Refused(format!(
                    "the line was too long for this terminal, which passes on {} bytes of one: nothing was sent; write it \
                     on several lines between \"\"\" and \"\"\", or use a terminal that is not TERM=dumb",
                    TERMINAL_LINE - 1
                )));
            }
            let bytes = bytes
                .strip_prefix(b"\xef\xbb\xbf")
                .filter(|_| first && text.is_empty())
                .unwrap_or(&bytes);
            text.push_str(&String::from_utf8_lossy(bytes));
            match Block::of(&text) {
                Block::Open => {}
                Block::Closed(text) => return Ok(Read::Block(text.to_owned())),
                Block::Plain(line)
                    if self.terminal && goes_on(line.trim_end_matches(['\r', '\n'])) => {}
                Block::Plain(_) if self.terminal => return Ok(Read::Line(joined(&text))),
                Block::Plain(_) => return Ok(Read::Line(text)),
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        let mut bytes = vec![];
        let most = MOST_BYTES as u64 + 1;
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut bytes);
        read.map_err(Error::io("read", "standard input"))?;
        match bytes.len() > MOST_BYTES {
            true => {
                Err(usage(format!("a line of standard input has more than {MOST_BYTES} bytes")))
            }
            false => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], terminal: bool) -> Vec<Read> {
        let mut lines = Lines { reader: text, terminal };
        let mut found = vec![];
        loop {
            match lines.message(found.is_empty()).unwrap() {
                Read::End => return found,
                read => found.push(read),
            }
        }
    }

    fn line(text: &str) -> Read {
        Read::Line(text.into())
    }

    fn block(text: &str) -> Read {
        Read::Block(text.into())
    }

    #[test]
    fn a_pipe_gives_lines_and_blocks() {
        let long = "x".repeat(100_000);
        let rows: [(&str, Vec<Read>); 6] = [
            ("one\n\ntwo", vec![line("one\n"), line("\n"), line("two")]),
            ("one\\\ntwo\n", vec![line("one\\\n"), line("two\n")]),
            ("\"\"\"\none\n\n/two\n\"\"\"\nthree\n", vec![block("one\n\n/two"), line("three\n")]),
            ("\"\"\"/help\"\"\"\n", vec![block("/help")]),
            ("\"\"\"never\nclosed", vec![block("never\nclosed")]),
            (&long, vec![line(&long)]),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text.as_bytes(), false), expected, "{text:.40}");
        }
        assert_eq!(
            read(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n", false),
            [line("one\n"), line("\u{feff}two\n")]
        );
        assert_eq!(read(b"\xff\n", false), [line("\u{fffd}\n")]);
    }

    #[test]
    fn a_terminal_without_an_editor_goes_on_after_a_backslash_and_says_what_it_lost() {
        assert_eq!(read(b"one\\\ntwo\nthree\n", true), [line("one\ntwo\n"), line("three\n")]);
        let cut = format!("{}\nnext\n", "x".repeat(TERMINAL_LINE - 1));
        let found = read(cut.as_bytes(), true);
        assert!(
            matches!(&found[0], Read::Refused(notice) if notice.contains("nothing was sent")),
            "{found:?}"
        );
        assert_eq!(found[1..], [line("next\n")]);
    }
}
