//! Prints an answer while it is generated, as text or as JSON.

use super::likely;
use super::output::{print, print_json};
use crate::Result;
use crate::generate::{Answer, Event};
use crate::sample::Likelihoods;
use crate::text::Tokenizer;
use serde_json::{Value, json};

/// The form in which an answer is printed while it is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Form {
    /// Plain text.
    Text,
    /// A line for each token, with its likelihood.
    Likelihoods,
    /// A JSON object for each token.
    Lines,
    /// No output.
    Silent,
}

/// Prints an answer as it is generated.
pub(in crate::cli) struct Telling<'t> {
    form: Form,
    tokenizer: &'t Tokenizer,
    /// The text since the last token.
    text: String,
    /// The likelihood of each token, if that was asked for.
    logprobs: Vec<Value>,
}

impl<'t> Telling<'t> {
    pub(in crate::cli) fn new(form: Form, tokenizer: &'t Tokenizer) -> Self {
        Self { form, tokenizer, text: String::new(), logprobs: vec![] }
    }

    /// Handles an event of the generation.
    pub(in crate::cli) fn hear(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Prompt { .. } => {}
            Event::Text(piece) => match self.form {
                Form::Text => print(piece)?,
                Form::Lines => self.text.push_str(piece),
                Form::Likelihoods | Form::Silent => {}
            },
            Event::Token { id, likelihoods } => self.token(id, likelihoods)?,
        }
        Ok(())
    }

    fn token(&mut self, id: u32, likelihoods: Option<&Likelihoods>) -> Result<()> {
        let likely = likelihoods.map(|found| likely::chosen_as_json(self.tokenizer, id, found));
        match (&self.form, likelihoods) {
            (Form::Lines, _) => {
                let mut line = json!({ "id": id, "text": std::mem::take(&mut self.text) });
                if let Some(likely) = &likely {
                    line["logprob"] = likely["logprob"].clone();
                    line["top"] = likely["top"].clone();
                }
                print_json(&line)?;
            }
            (Form::Likelihoods, Some(found)) => {
                let heading = if self.logprobs.is_empty() { likely::HEADING } else { "" };
                print(&(heading.to_owned() + &likely::line(self.tokenizer, id, found)))?;
            }
            _ => {}
        }
        self.logprobs.extend(likely);
        Ok(())
    }

    /// Handles the end of the answer, and returns the likelihoods of its tokens if they were asked
    /// for.
    pub(in crate::cli) fn end(self, answer: &Answer) -> Result<Vec<Value>> {
        match self.form {
            Form::Text if !answer.text.ends_with('\n') => print("\n")?,
            // Text that was held back because it might have become a stop string belongs to no
            // token.
            Form::Lines if !self.text.is_empty() => {
                print_json(&json!({ "id": null, "text": self.text }))?
            }
            _ => {}
        }
        Ok(self.logprobs)
    }
}
