//! `kaiwu chat`: a conversation in the terminal.

use super::arguments::{DeviceArguments, SamplingArguments, WeightsArguments};
use super::loaded::Opened;
use super::output::print;
use super::progress::Progress;
use super::{Outcome, interrupt};
use crate::format::Source;
use crate::generate::{Conversation, Event, FinishReason, Generator, Options, recommended};
use crate::sample::SamplerSettings;
use crate::{Error, Result};
use clap::Args;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Talk with a model
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// The system message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Most tokens of an answer [default: what the context holds]
    #[arg(short = 'n', long = "tokens", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tokens: Option<u32>,
    /// End an answer before this text; repeatable
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Most tokens of the conversation [default: the model's own context]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    #[command(flatten)]
    sampling: SamplingArguments,
}

const EXAMPLES: &str = "Examples:
  kaiwu chat --system \"Answer in one sentence.\"
  printf 'What is gravity?\\nAnd light?\\n' | kaiwu chat --temperature 0.2 --top-p 0.9

Each line is a message. Ctrl-C ends an answer; at the prompt it quits, as Ctrl-D does. Where standard input is no
terminal, only the answers are printed. Without any option of sampling, ids are chosen as the model's files recommend
(generation_config.json, or general.sampling of a GGUF file); --temperature 0 takes the likeliest.";

const HELP: &str = "/reset forgets the conversation, /quit ends the program, /help shows this; \
                    Ctrl-C ends an answer, Ctrl-D the program";

/// Room for the first turns; the cache grows with the conversation.
const EXPECTED: usize = 1024;

struct Chat {
    generator: Generator,
    conversation: Conversation,
    options: Options,
    answering: Arc<AtomicBool>,
    terminal: bool,
}

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments) -> Outcome {
    let file = Opened::new(&arguments.model, arguments.context)?;
    let template = file.chat_template()?;
    let options = Options {
        sampling: sampling(&arguments.sampling, &file.source)?,
        stop: arguments.stop.clone(),
        max_tokens: arguments.tokens.map(|n| n as usize),
        ..Options::default()
    };
    options.sampling.validate(file.config.vocabulary)?;

    // What is asked is not known yet: pipelines for a few tokens serve any prompt.
    let (loaded, runner) = file.load_with_runner(device, false, 16, EXPECTED)?;
    let mut chat = Chat {
        generator: Generator::new(runner, Arc::clone(&loaded.file.tokenizer)),
        conversation: Conversation::new(template, arguments.system.as_deref()),
        options,
        answering: Arc::default(),
        terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
    };
    interrupt::watch(chat.generator.interrupt(), Arc::clone(&chat.answering))?;
    if chat.terminal {
        eprintln!("{} on {}. {HELP}.", loaded.name(), loaded.adapter());
    }
    while let Some(line) = chat.read_line()? {
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => break,
            "/reset" => {
                chat.conversation.reset();
                chat.notice("forgotten");
            }
            "/help" => chat.notice(HELP),
            command if command.starts_with('/') && !command.contains(char::is_whitespace) => {
                chat.notice(&format!("there is no {command}. {HELP}"));
            }
            question => chat.answer(question)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What was asked for, or else what the model's makers recommend.
fn sampling(asked: &SamplingArguments, source: &Source) -> Result<SamplerSettings> {
    let own = asked.settings();
    match recommended(source)?.filter(|_| asked.leave_it_to_the_model()) {
        None => Ok(own),
        Some(settings) => {
            log::info!("sampling as the model's files recommend: {settings:?}");
            Ok(SamplerSettings { logit_bias: own.logit_bias, seed: own.seed, ..settings })
        }
    }
}

impl Chat {
    fn notice(&self, text: &str) {
        eprintln!("kaiwu: {text}");
    }

    fn read_line(&self) -> Result<Option<String>> {
        if self.terminal {
            eprint!("> ");
        }
        let mut bytes = vec![];
        let read = std::io::stdin().lock().read_until(b'\n', &mut bytes);
        if read.map_err(Error::io("read", "standard input"))? == 0 {
            if self.terminal {
                eprintln!();
            }
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn answer(&mut self, question: &str) -> Result<()> {
        let tokenizer = Arc::clone(self.generator.tokenizer());
        let prompt = match self.conversation.ask(&tokenizer, question) {
            Ok(prompt) => prompt,
            Err(error) => {
                self.notice(&error.to_string());
                return Ok(());
            }
        };
        let mut progress = None;
        self.answering.store(true, Ordering::Relaxed);
        let answer = self.generator.answer(&prompt, &self.options, |event| match event {
            Event::Prompt { done, total } => {
                let bar = progress.get_or_insert_with(|| Progress::tokens("reading", total as u64));
                bar.set(done as u64);
                Ok(())
            }
            Event::Text(piece) => {
                progress = None;
                print(piece)
            }
            Event::Token { .. } => Ok(()),
        });
        drop(progress);
        self.answering.store(false, Ordering::Relaxed);
        self.generator.interrupt().store(false, Ordering::Relaxed);
        let answer = match answer {
            Ok(answer) => answer,
            // The text is too long for what is left of the context, or of the memory.
            Err(error @ Error::Usage(_)) => {
                self.conversation.unanswered();
                self.notice(&format!("{error}; /reset makes room"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if !answer.text.is_empty() && !answer.text.ends_with('\n') {
            print("\n")?;
        }
        match answer.finish_reason {
            FinishReason::Interrupted => self.notice("interrupted"),
            FinishReason::Length => self.notice("cut short: the answer or the context has no more tokens"),
            FinishReason::Stop => {}
        }
        log::info!(
            "{} prompt tokens, of them {} new; {:.1} tokens/s",
            prompt.len(),
            answer.prefill.tokens,
            answer.decode_rate().unwrap_or(0.0)
        );
        match answer.ids.is_empty() {
            true => self.conversation.unanswered(),
            false => self.conversation.answered(&tokenizer, &answer),
        }
        Ok(())
    }
}
