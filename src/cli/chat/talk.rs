//! A conversation with its generator: answers, and the commands that look at them or change them.

use super::command::Command;
use super::settings::{self, Settings};
use super::{notice, transcript};
use crate::cli::support::failure::{is_usage, shown, usage, within};
use crate::cli::support::output::print;
use crate::cli::support::progress::Progress;
use crate::generate::{Event, FinishReason};
use crate::session::Chat;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(super) struct Talk {
    model: String,
    chat: Chat,
    /// The last answer in words.
    last: Option<String>,
    /// The file that has been written already.
    saved: Option<PathBuf>,
}

/// A number of things.
fn counted(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

fn say_what_left(context: usize, turns: usize, when: &str) {
    let turns = match turns {
        0 => return,
        1 => "turn has".into(),
        more => format!("{more} turns have"),
    };
    notice(&format!("the context of {context} tokens is full: the oldest {turns} left it{when}"));
}

impl Talk {
    pub(super) fn new(model: String, chat: Chat) -> Self {
        Self { model, chat, last: None, saved: None }
    }

    /// Set to true, this flag ends the answer that is being made.
    pub(super) fn interrupt(&self) -> Arc<AtomicBool> {
        Arc::clone(self.chat.cancel().flag())
    }

    /// The question that was answered last.
    pub(super) fn last_question(&self) -> Option<String> {
        let question = self.chat.messages().iter().rev().find(|message| message.role == "user");
        question.map(|message| message.content.clone())
    }

    /// Why another answer to the same question may be the same.
    pub(super) fn same_again(&self) -> Option<&'static str> {
        let greedy = self.chat.current_options().sampling.is_greedy();
        greedy.then_some(
            "at temperature 0 an answer is the same again; /set temperature 0.8 draws another one",
        )
    }

    /// Answers a question, or the last turn's again if `instead`. That turn stays if nothing comes
    /// of it.
    pub(super) fn answer(&mut self, question: &str, instead: bool) -> Result<()> {
        let context = self.chat.model().context();
        let most = self.chat.current_options().max_tokens;
        let asked = if instead { self.chat.ask_instead(question) } else { self.chat.ask(question) };
        let mut reply = match asked {
            Ok(reply) => reply,
            Err(error) => {
                notice(&shown(&error));
                return Ok(());
            }
        };
        let (prompt, left) = (reply.prompt_tokens(), reply.turns_left());
        say_what_left(context, left, "");
        let (mut bar, mut has_begun) = (None, false);
        let answer = reply.run(|event| match event {
            Event::Prompt { done, total } => {
                // In the midst of an answer a bar would take the place of its last line.
                if !has_begun {
                    let new = || Progress::tokens("reading", total as u64);
                    bar.get_or_insert_with(new).set(done as u64);
                }
                Ok(())
            }
            Event::Text(piece) => {
                (bar, has_begun) = (None, true);
                print(piece)
            }
            Event::Token { .. } => Ok(()),
        });
        drop(bar);
        let left_meanwhile = reply.turns_left() - left;
        drop(reply);
        let answer = match answer {
            Ok(answer) => answer,
            // The text is too long for the memory.
            Err(error) if is_usage(&error) || matches!(error, Error::OutOfMemory { .. }) => {
                notice(&format!("{}; /reset makes room", shown(&error)));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if !answer.text.is_empty() && !answer.text.ends_with('\n') {
            print("\n")?;
        }
        say_what_left(context, left_meanwhile, " while the answer was written");
        let tokens = counted(answer.ids.len(), "token", "tokens");
        match answer.finish_reason {
            FinishReason::Interrupted => notice("interrupted"),
            FinishReason::Length if most == Some(answer.ids.len()) => {
                notice(&format!("cut short after {tokens}"));
            }
            FinishReason::Length => {
                notice(&format!("cut short: the context of {context} tokens is full"))
            }
            FinishReason::Stop => {}
        }
        let rate =
            answer.decode_rate().map_or(String::new(), |rate| format!(" at {rate:.1} tokens/s"));
        let new = answer.prefill.tokens;
        let last = format!("{tokens}{rate}, after a prompt of {prompt}, of them {new} new");
        log::info!("{last}");
        if !answer.ids.is_empty() {
            self.last = Some(last);
        }
        Ok(())
    }

    /// Follows a command and says what came of it.
    ///
    /// # Errors
    /// When it cannot be followed; nothing is changed.
    pub(super) fn follow(&mut self, command: Command<'_>) -> Result<String> {
        match command {
            Command::Reset => {
                self.chat.reset();
                self.last = None;
                Ok("forgotten".into())
            }
            Command::Undo => Ok(match self.chat.undo() {
                Some(question) => {
                    let mut shown: String = question.chars().take(60).collect();
                    if shown.len() < question.len() {
                        shown.push_str("...");
                    }
                    format!("taken back: {shown}")
                }
                None => "there is nothing to take back".into(),
            }),
            Command::ShowSystem => Ok(match self.chat.system_message() {
                Some(text) => format!("the system message is: {text}"),
                None => {
                    "there is no system message of yours; the model's template may have one".into()
                }
            }),
            Command::System(text) => {
                let text = Some(text).filter(|&text| text != "\"\"");
                self.chat.set_system(text)?;
                Ok(if text.is_some() {
                    "the system message is set"
                } else {
                    "the system message is gone"
                }
                .into())
            }
            Command::ShowSettings => {
                Ok(format!("settings:\n{}", settings::listed(self.chat.current_options())))
            }
            Command::Set { name, value } => self.set(name, value),
            Command::Stats => self.stats(),
            Command::Save { file, replace } => self.save(&transcript::path(file), replace),
            Command::Load(file) => self.load(&transcript::path(file)),
            // Those that need the person's input or end the talk are followed where these are.
            other => Err(usage(format!("{other:?} is not for the conversation"))),
        }
    }

    fn vocabulary(&self) -> usize {
        self.chat.model().config().vocab_size
    }

    fn set(&mut self, name: &str, value: &str) -> Result<String> {
        let vocabulary = self.vocabulary();
        let seed = self.chat.current_options().sampling.seed;
        let remark = settings::set(self.chat.options_mut(), vocabulary, name, value)?;
        if name == "seed" || seed != self.chat.current_options().sampling.seed {
            self.chat.set_answers(0);
        }
        Ok(remark.unwrap_or_else(|| format!("{name} is set")))
    }

    fn stats(&mut self) -> Result<String> {
        let used = self.chat.tokens()?;
        let context = self.chat.model().context();
        let (turns, left) = self.chat.turns();
        let mut text = format!(
            "{used} of {context} tokens used, {} left; {}",
            context.saturating_sub(used),
            counted(turns, "turn", "turns")
        );
        if left > 0 {
            text.push_str(&format!(", of which the oldest {left} left the context"));
        }
        if let Some(last) = &self.last {
            text.push_str(&format!("\n  the last answer: {last}"));
        }
        if !self.chat.current_options().sampling.is_greedy() {
            let drawn = counted(self.chat.answers() as usize, "answer", "answers");
            text.push_str(&format!(
                "\n  seed {}, {drawn} drawn",
                self.chat.current_options().sampling.seed
            ));
        }
        Ok(text)
    }

    fn save(&mut self, path: &Path, replace: bool) -> Result<String> {
        let messages = self.chat.messages();
        let own = self.saved.as_deref() == Some(path);
        let settings = Settings::of(self.chat.current_options(), self.chat.answers());
        transcript::save(path, replace || own, &self.model, messages, &settings)?;
        self.saved = Some(path.to_owned());
        let what = if own { "saved again, over what was saved before" } else { "saved" };
        Ok(format!("{}: {} {what}", path.display(), counted(messages.len(), "message", "messages")))
    }

    fn load(&mut self, path: &Path) -> Result<String> {
        let found = transcript::load(path)?;
        let wrong = |error: Error| within(&path.display().to_string(), &error);
        let mut options = self.chat.current_options().clone();
        let vocabulary = self.vocabulary();
        let answers = found.settings.apply(&mut options, vocabulary).map_err(wrong)?;
        let count = found.messages.len();
        self.chat.set_messages(found.messages).map_err(wrong)?;
        *self.chat.options_mut() = options;
        self.chat.set_answers(answers.unwrap_or(self.chat.answers()));
        Ok(format!("{}: goes on after {}", path.display(), counted(count, "message", "messages")))
    }
}
