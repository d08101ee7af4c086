//! The line editor of a terminal: arrow keys, history, pasting several lines as one text, messages
//! of several lines.

use super::block::{Block, goes_on, joined};
use super::command::COMMANDS;
use super::input::Read;
use crate::{Error, Result};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Behavior, Cmd, ConditionalEventHandler, Config, Context, Event, EventContext, EventHandler,
    Helper, KeyCode, KeyEvent, Modifiers, RepeatCount,
};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of messages that the history keeps.
const REMEMBERED: usize = 1000;

pub(super) struct Editor {
    editor: rustyline::Editor<Words, FileHistory>,
    history: Option<PathBuf>,
    /// Set when Ctrl-C was pressed on an empty line.
    empty: Arc<AtomicBool>,
}

fn failed(error: ReadlineError) -> Error {
    match error {
        ReadlineError::Io(error) => Error::io("read", "the terminal")(error),
        other => Error::io("read", "the terminal")(std::io::Error::other(other)),
    }
}

impl Editor {
    /// Creates an editor that stores sent messages in the file `history`, if it is given.
    pub(super) fn new(history: Option<PathBuf>) -> Result<Self> {
        // If standard output is redirected, it is only for answers, and the editor uses the
        // terminal.
        let behavior =
            if std::io::stdout().is_terminal() { Behavior::Stdio } else { Behavior::PreferTerm };
        let config = Config::builder()
            .behavior(behavior)
            .max_history_size(REMEMBERED)
            .and_then(|builder| builder.history_ignore_dups(true))
            .map_err(failed)?
            .history_ignore_space(true)
            .build();
        let mut editor = rustyline::Editor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Words));
        let empty = Arc::new(AtomicBool::new(false));
        let clear = Clear(Arc::clone(&empty));
        editor.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(clear)));
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        if let Some(path) = history.as_deref().filter(|path| path.exists())
            && let Err(error) = editor.load_history(path)
        {
            log::warn!("cannot read {}, which has the messages of before: {error}", path.display());
        }
        Ok(Self { editor, history, empty })
    }

    /// Reads a message; the line initially contains `initial`.
    pub(super) fn read(&mut self, initial: &str) -> Result<Read> {
        let line = match self.editor.readline_with_initial("> ", (initial, "")) {
            Ok(line) => line,
            Err(ReadlineError::Eof) => return Ok(Read::End),
            Err(ReadlineError::Interrupted) => {
                return Ok(Read::Interrupted { empty: self.empty.load(Ordering::Relaxed) });
            }
            Err(error) => return Err(failed(error)),
        };
        self.remember(&line);
        Ok(match Block::of(&line) {
            Block::Closed(text) => Read::Block(text.to_owned()),
            Block::Plain(_) | Block::Open => Read::Line(joined(&line)),
        })
    }

    fn remember(&mut self, line: &str) {
        let added = !line.trim().is_empty() && self.editor.add_history_entry(line).unwrap_or(false);
        // Saved immediately, so that the message is kept however the program ends.
        if let Some(path) = self.history.as_deref().filter(|_| added)
            && let Err(error) = self.editor.append_history(path)
        {
            log::warn!("cannot remember messages in {}: {error}", path.display());
            self.history = None;
        }
    }
}

/// Records whether the line was empty when Ctrl-C was pressed.
struct Clear(Arc<AtomicBool>);

impl ConditionalEventHandler for Clear {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        self.0.store(context.line().is_empty(), Ordering::Relaxed);
        Some(Cmd::Interrupt)
    }
}

/// Tells the editor which messages are incomplete, and completes commands.
struct Words;

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let open = match Block::of(context.input()) {
            Block::Open => true,
            Block::Plain(text) => goes_on(text),
            Block::Closed(_) => false,
        };
        Ok(if open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let begun = line.get(..at).unwrap_or_default();
        let names = COMMANDS.iter().filter_map(|(usage, _)| usage.split(' ').next());
        let fitting = names.filter(|name| begun.starts_with('/') && name.starts_with(begun));
        Ok((0, fitting.map(str::to_owned).collect()))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Helper for Words {}
