//! A conversation with its generator: answers, and the commands that look at them or change them.

use super::command::Command;
use super::settings::{self, Settings};
use super::{notice, transcript};
use crate::cli::support::failure::{is_usage, shown, usage, within};
use crate::cli::support::output::print;
use crate::cli::support::progress::Progress;
use crate::generate::{Answer, Conversation, Event, FinishReason, Generator, Options, PromptRoom};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Talk {
    model: String,
    generator: Generator,
    conversation: Conversation,
    options: Options,
    /// Answers so far: each has draws of its own.
    answers: u64,
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
    pub(super) fn new(
        model: String,
        generator: Generator,
        conversation: Conversation,
        options: Options,
    ) -> Self {
        Self { model, generator, conversation, options, answers: 0, last: None, saved: None }
    }

    /// Set to true, this flag ends the answer that is being made.
    pub(super) fn interrupt(&self) -> Arc<AtomicBool> {
        self.generator.interrupt()
    }

    /// The question that was answered last.
    pub(super) fn last_question(&self) -> Option<String> {
        let question =
            self.conversation.messages().iter().rev().find(|message| message.role == "user");
        question.map(|message| message.content.clone())
    }

    /// Why another answer to the same question may be the same.
    pub(super) fn same_again(&self) -> Option<&'static str> {
        let greedy = self.options.sampling.is_greedy();
        greedy.then_some(
            "at temperature 0 an answer is the same again; /set temperature 0.8 draws another one",
        )
    }

    /// Answers a question, or the last turn's anew if `instead`. That turn stays if nothing comes
    /// of it.
    pub(super) fn answer(&mut self, question: &str, instead: bool) -> Result<()> {
        let earlier = self.conversation.snapshot();
        if instead {
            self.conversation.undo();
        }
        let tokenizer = Arc::clone(self.generator.tokenizer());
        let context = self.generator.runner().context();
        let room = PromptRoom::new(context, self.options.max_tokens);
        let prompt = match self.conversation.ask_within(&tokenizer, question, room) {
            Ok(prompt) => prompt,
            Err(error) => {
                self.conversation.restore(earlier);
                notice(&shown(&error));
                return Ok(());
            }
        };
        if prompt.ids.len() <= context {
            say_what_left(context, prompt.left, "");
        }
        let (answer, left) = match self.whole_answer(&prompt.ids, room) {
            Ok(found) => found,
            // The text is too long for the context, or for the memory.
            Err(error) if is_usage(&error) || matches!(error, Error::OutOfMemory { .. }) => {
                self.conversation.restore(earlier);
                let advice = if prompt.ids.len() > context { "" } else { "; /reset makes room" };
                notice(&format!("{}{advice}", shown(&error)));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if !answer.text.is_empty() && !answer.text.ends_with('\n') {
            print("\n")?;
        }
        say_what_left(context, left, " while the answer was written");
        match answer.finish_reason {
            FinishReason::Interrupted => notice("interrupted"),
            FinishReason::Length if self.options.max_tokens == Some(answer.ids.len()) => {
                notice(&format!(
                    "cut short after {}",
                    counted(answer.ids.len(), "token", "tokens")
                ));
            }
            FinishReason::Length => {
                notice(&format!("cut short: the context of {context} tokens is full"))
            }
            FinishReason::Stop => {}
        }
        let rate =
            answer.decode_rate().map_or(String::new(), |rate| format!(" at {rate:.1} tokens/s"));
        let last = format!(
            "{}{rate}, after a prompt of {}, of them {} new",
            counted(answer.ids.len(), "token", "tokens"),
            prompt.ids.len(),
            answer.prefill.tokens
        );
        log::info!("{last}");
        if answer.ids.is_empty() {
            self.conversation.restore(earlier);
            return Ok(());
        }
        self.last = Some(last);
        self.conversation.answered(&tokenizer, &answer);
        Ok(())
    }

    /// Makes the answer to a prompt. Where it fills the context, it goes on while there are older
    /// turns to leave, and says how many left.
    fn whole_answer(&mut self, prompt: &[u32], room: PromptRoom) -> Result<(Answer, usize)> {
        let tokenizer = Arc::clone(self.generator.tokenizer());
        let most = self.options.max_tokens;
        let mut answer = self.generate(prompt, most, true)?;
        let mut left = 0;
        while answer.finish_reason == FinishReason::Length
            && most.is_none_or(|most| answer.ids.len() < most)
        {
            // A character cut short has to be written anew.
            let whole =
                |ids: &[u32]| tokenizer.decode(ids, true).trim_start() == answer.text.trim_start();
            let Some(cut) = (0..answer.ids.len().min(4))
                .find(|cut| whole(&answer.ids[..answer.ids.len() - cut]))
            else {
                break;
            };
            let written = answer.ids.len() - cut;
            let Some(more) = self.conversation.make_room(&tokenizer, written, room)? else { break };
            answer.ids.truncate(written);
            left += more.left;
            let prompt = [&more.ids[..], &answer.ids].concat();
            let rest = self.generate(&prompt, most.map(|most| most - written), false)?;
            answer.ids.extend(rest.ids);
            answer.text.push_str(&rest.text);
            answer.finish_reason = rest.finish_reason;
            answer.decode_seconds += rest.decode_seconds;
        }
        Ok((answer, left))
    }

    /// Makes an answer of at most so many tokens and prints it as it comes, behind a bar at its
    /// beginning if `bar`.
    fn generate(&mut self, prompt: &[u32], most: Option<usize>, bar: bool) -> Result<Answer> {
        let sampling = self.options.sampling.for_answer(self.answers);
        let options = Options { sampling, max_tokens: most, ..self.options.clone() };
        let mut progress = None;
        let answer = self.generator.answer(prompt, &options, |event| match event {
            Event::Prompt { done, total } => {
                // In the midst of an answer a bar would take the place of its last line.
                if bar {
                    let bar =
                        progress.get_or_insert_with(|| Progress::tokens("reading", total as u64));
                    bar.set(done as u64);
                }
                Ok(())
            }
            Event::Text(piece) => {
                progress = None;
                print(piece)
            }
            Event::Token { .. } => Ok(()),
        });
        drop(progress);
        self.generator.interrupt().store(false, Ordering::Relaxed);
        self.answers += u64::from(answer.is_ok());
        answer
    }

    /// Follows a command and says what came of it.
    ///
    /// # Errors
    /// When it cannot be followed; nothing is changed.
    pub(super) fn follow(&mut self, command: Command<'_>) -> Result<String> {
        match command {
            Command::Reset => {
                self.conversation.reset();
                self.last = None;
                Ok("forgotten".into())
            }
            Command::Undo => Ok(match self.conversation.undo() {
                Some(question) => {
                    let mut shown: String = question.chars().take(60).collect();
                    if shown.len() < question.len() {
                        shown.push_str("...");
                    }
                    format!("taken back: {shown}")
                }
                None => "there is nothing to take back".into(),
            }),
            Command::ShowSystem => Ok(match self.conversation.system() {
                Some(text) => format!("the system message is: {text}"),
                None => {
                    "there is no system message of yours; the model's template may have one".into()
                }
            }),
            Command::System(text) => {
                let text = Some(text).filter(|&text| text != "\"\"");
                self.conversation.set_system(text)?;
                Ok(if text.is_some() {
                    "the system message is set"
                } else {
                    "the system message is gone"
                }
                .into())
            }
            Command::ShowSettings => Ok(format!("settings:\n{}", settings::listed(&self.options))),
            Command::Set { name, value } => self.set(name, value),
            Command::Stats => self.stats(),
            Command::Save { file, replace } => self.save(&transcript::path(file), replace),
            Command::Load(file) => self.load(&transcript::path(file)),
            // Those that need the person's input or end the talk are followed where these are.
            other => Err(usage(format!("{other:?} is not for the conversation"))),
        }
    }

    fn vocabulary(&mut self) -> usize {
        self.generator.runner().model().config.vocab_size
    }

    fn set(&mut self, name: &str, value: &str) -> Result<String> {
        let vocabulary = self.vocabulary();
        let seed = self.options.sampling.seed;
        let remark = settings::set(&mut self.options, vocabulary, name, value)?;
        if name == "seed" || seed != self.options.sampling.seed {
            self.answers = 0;
        }
        Ok(remark.unwrap_or_else(|| format!("{name} is set")))
    }

    fn stats(&mut self) -> Result<String> {
        let used = self.conversation.tokens(self.generator.tokenizer())?;
        let context = self.generator.runner().context();
        let (turns, left) = self.conversation.turns();
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
        if !self.options.sampling.is_greedy() {
            let drawn = counted(self.answers as usize, "answer", "answers");
            text.push_str(&format!("\n  seed {}, {drawn} drawn", self.options.sampling.seed));
        }
        Ok(text)
    }

    fn save(&mut self, path: &Path, replace: bool) -> Result<String> {
        let messages = self.conversation.messages();
        let own = self.saved.as_deref() == Some(path);
        let settings = Settings::of(&self.options, self.answers);
        transcript::save(path, replace || own, &self.model, messages, &settings)?;
        self.saved = Some(path.to_owned());
        let what = if own { "saved again, over what was saved before" } else { "saved" };
        Ok(format!("{}: {} {what}", path.display(), counted(messages.len(), "message", "messages")))
    }

    fn load(&mut self, path: &Path) -> Result<String> {
        let found = transcript::load(path)?;
        let wrong = |error: Error| within(&path.display().to_string(), &error);
        let mut options = self.options.clone();
        let vocabulary = self.vocabulary();
        let answers = found.settings.apply(&mut options, vocabulary).map_err(wrong)?;
        let count = found.messages.len();
        self.conversation.set_messages(found.messages).map_err(wrong)?;
        (self.options, self.answers) = (options, answers.unwrap_or(self.answers));
        Ok(format!("{}: goes on after {}", path.display(), counted(count, "message", "messages")))
    }
}
