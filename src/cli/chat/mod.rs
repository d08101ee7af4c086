//! `kaiwu chat`: a conversation in the terminal.

mod block;
mod command;
mod editor;
mod history;
mod input;
mod settings;
mod talk;
mod terminal;
mod transcript;

use super::Outcome;
use super::support::interrupt;
use crate::cli::support::arguments::{DeviceArguments, Limit, WeightsArguments};
use crate::cli::support::loaded;
use crate::cli::support::sampling::{SamplingArguments, parse_tokens};
use crate::generate::{Options, recommended};
use crate::session::Needs;
use clap::Args;
use command::Command;
use input::{Input, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use talk::Talk;
use terminal::Quiet;

/// Talk with a model
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// The system message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Most tokens of an answer; -1 for as many as the context holds [default: -1]
    #[arg(short = 'n', long = "tokens", value_name = "N")]
    tokens: Option<Limit>,
    /// End an answer before this text; repeatable
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Most tokens of the conversation; beyond, its oldest turns leave [default: the model's own
    /// context]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_tokens)]
    context: Option<u32>,
    /// Do not keep what is sent for the arrow keys of next time
    #[arg(long, env = "KAIWU_NO_HISTORY", hide_env_values = true,
        value_parser = clap::builder::FalseyValueParser::new())]
    no_history: bool,
    #[command(flatten)]
    sampling: SamplingArguments,
}

const EXAMPLES: &str = "Examples:
  kaiwu chat --system \"Answer in one sentence.\"
  kaiwu chat --temperature 0.8 --top-p 0.9 --seed 1 --no-history
  printf 'What is gravity?\\nAnd light?\\n' | kaiwu chat --temperature 0.2
  printf '\"\"\"\\nWhat does this do?\\n\\nfor x in y: print(x)\\n\"\"\"\\n' | kaiwu chat

In the conversation:
  /help                    lists the commands: /regenerate, /undo, /edit, /system, /save, /load, ...
  /set temperature 0.8     changes an option of sampling, /set alone lists them
  /stats                   shows the tokens used and left

Each line is a message. Several lines are one between \"\"\" and \"\"\"; in a terminal also where they are pasted, where a line \
ends with a backslash, and after Alt-Enter. Ctrl-C ends an answer or clears the line; on an empty line, twice, it quits, as \
Ctrl-D does at once. Where standard input is no terminal, only the answers are printed.

What is sent in a terminal is kept in kaiwu/chat_history of the user's state folder ($XDG_STATE_HOME or ~/.local/state), for \
its owner alone; not a line that begins with a space.

When the context is full, the oldest turns leave, but never the system message.

Ids are chosen as the model's files recommend (generation_config.json, or general.sampling of a GGUF file); what is given \
replaces that one value. Each answer has draws of its own, and --seed fixes those of a whole conversation. --temperature 0 \
takes the likeliest always.";

/// Room for the first turns; the cache grows with the conversation.
const EXPECTED: usize = 1024;

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let options = loaded::options(&arguments.model.loading, device, arguments.context);
    let file = loaded::open(&arguments.model, options)?;
    file.chat_template()?;
    let options = Options {
        sampling: arguments.sampling.settings(recommended(file.source())?.unwrap_or_default()),
        stop: arguments.stop.clone(),
        max_tokens: arguments.tokens.and_then(Limit::most),
        ..Options::default()
    };
    log::info!("sampling: {:?}", options.sampling);
    options.sampling.validate(file.config().vocab_size)?;
    arguments.sampling.say_what_is_unused(&options.sampling);

    // What is asked is not known yet: pipelines for a few tokens serve any prompt.
    let model = file.load_for(Needs::generation(16, EXPECTED))?;
    let (name, device) = (model.path().display().to_string(), model.device_name().to_owned());
    let mut conversation = model.chat().options(options);
    if let Some(message) = &arguments.system {
        conversation = conversation.system(message);
    }
    conversation.begin()?;
    let talk = Talk::new(name.clone(), conversation);
    let mut chat = Chat::new(talk, Input::new(!arguments.no_history)?)?;
    if chat.input.is_terminal() {
        eprintln!(
            "{name} on {device}.\n/help lists the commands; Ctrl-C ends an answer, Ctrl-D the program."
        );
    }
    chat.run()
}

/// A person or a pipe, and what is talked about.
struct Chat {
    talk: Talk,
    input: Input,
    /// A signal ends an answer, not the program.
    answering: Arc<AtomicBool>,
    quiet: Option<Quiet>,
    /// What the next line begins with: a message to be changed.
    edited: Option<String>,
}

impl Chat {
    fn new(talk: Talk, input: Input) -> crate::Result<Self> {
        let answering = Arc::new(AtomicBool::new(false));
        interrupt::watch(talk.interrupt(), Arc::clone(&answering))?;
        let quiet = input.edits().then(|| {
            interrupt::before_exit(Quiet::end);
            Quiet::new()
        });
        Ok(Self { talk, input, answering, quiet, edited: None })
    }

    fn run(&mut self) -> Outcome {
        let mut hinted = false;
        loop {
            let edited = self.edited.take();
            // In an editor's terminal Ctrl-C is a key while it reads, and never the program's end
            // at other times.
            self.answering.store(false, Ordering::Relaxed);
            let read = self.input.read(edited.as_deref().unwrap_or_default())?;
            self.answering.store(self.quiet.is_some(), Ordering::Relaxed);
            let interrupted = matches!(read, Read::Interrupted { empty: true });
            match read {
                Read::End => return Ok(ExitCode::SUCCESS),
                Read::Interrupted { empty: true } if hinted => {
                    return Ok(interrupt::exit_code());
                }
                Read::Interrupted { empty: true } => {
                    notice("Ctrl-C once more ends the program, as Ctrl-D and /quit do")
                }
                Read::Interrupted { empty: false } => {}
                Read::Refused(why) => notice(&why),
                Read::Block(text) if text.trim().is_empty() => {}
                Read::Block(text) => self.answer(&text, edited.is_some())?,
                Read::Line(line) => match Command::of(&line) {
                    Command::Quit => return Ok(ExitCode::SUCCESS),
                    Command::Message(text) => self.answer(text, edited.is_some())?,
                    command => self.follow(command)?,
                },
            }
            hinted = interrupted;
        }
    }

    /// Follows a command that is neither a message nor the end.
    fn follow(&mut self, command: Command<'_>) -> crate::Result<()> {
        match command {
            Command::Nothing => {}
            Command::Edit if !self.input.edits() => {
                notice("/edit needs a terminal with a line to edit")
            }
            Command::Edit => match self.talk.last_question() {
                Some(question) => self.edited = Some(question),
                None => notice("there is no message to change"),
            },
            Command::Regenerate => match self.talk.last_question() {
                Some(question) => {
                    if let Some(hint) = self.talk.same_again() {
                        notice(hint);
                    }
                    self.answer(&question, true)?;
                }
                None => notice("there is no answer to give again"),
            },
            Command::Help => eprintln!("kaiwu: {}", command::help()),
            Command::Short(usage) => notice(&format!("{usage} is how this is written")),
            Command::Unknown(name) => {
                notice(&format!("there is no {name}; /help lists the commands"))
            }
            other => match self.talk.follow(other) {
                Ok(said) => notice(&said),
                Err(error) => notice(&error.to_string()),
            },
        }
        Ok(())
    }

    fn answer(&mut self, question: &str, instead: bool) -> crate::Result<()> {
        if let Some(quiet) = &self.quiet {
            quiet.again();
        }
        self.answering.store(true, Ordering::Relaxed);
        let done = self.talk.answer(question, instead);
        self.answering.store(self.quiet.is_some(), Ordering::Relaxed);
        done
    }
}

fn notice(text: &str) {
    eprintln!("kaiwu: {text}");
}
