//! `kaiwu generate`: one prompt and one answer, or many of them.

use super::generate_many;
use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::{DeviceArguments, Limit, WeightsArguments};
use crate::cli::support::interrupt;
use crate::cli::support::loaded;
use crate::cli::support::output::print_json;
use crate::cli::support::profile::ProfileArgument;
use crate::cli::support::progress::Progress;
use crate::cli::support::prompts::{self, Encoder, Prompt};
use crate::cli::support::sampling::SamplingArguments;
use crate::cli::support::telling::{Form, Telling};
use crate::cli::support::text_input::Reading;
use crate::generate::{Answer, Event, FinishReason, Options};
use crate::sample::SamplerSettings;
use crate::session::{Model, ModelOptions, Needs};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Continue a prompt, or answer it with --chat
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pub model: WeightsArguments,
    /// The prompt; `-` reads standard input. Where it begins with "-", put -- before it
    #[arg(required_unless_present_any = ["ids", "prompt_file", "prompts"])]
    prompt: Option<String>,
    /// Read the prompt from this file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "prompt")]
    prompt_file: Option<PathBuf>,
    /// Answer many prompts, one a line of this file: texts, {"prompt": …} or {"messages": […]}.
    /// Prints a line of JSON for each, {"index", "text", "ids", "finish_reason"}
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "prompt_file", "ids", "json", "json_lines"])]
    prompts: Option<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
    /// The prompt as token ids, such as 504,3575
    #[arg(long, value_name = "ID,...", value_delimiter = ',', conflicts_with_all = ["prompt", "prompt_file", "chat"])]
    ids: Option<Vec<u32>>,
    /// Most tokens to write; -1 for as many as the context holds [default: 256]
    #[arg(short = 'n', long = "tokens", value_name = "N")]
    tokens: Option<Limit>,
    /// Put the prompt into the model's chat template
    #[arg(long)]
    pub chat: bool,
    /// The system message of --chat
    #[arg(long, value_name = "TEXT", requires = "chat", allow_hyphen_values = true)]
    pub system: Option<String>,
    /// End the answer before this text; repeatable. With --escapes, \n is a newline
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Most tokens of prompt and answer together [default: the model's own context]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub context: Option<u32>,
    /// Print one JSON object at the end instead of text as it comes
    #[arg(long)]
    json: bool,
    /// Print a JSON object for each token as it comes, {"id", "text"}, and at the end the one that
    /// --json prints
    #[arg(long, conflicts_with = "json")]
    json_lines: bool,
    /// Say how likely each token was to the model, before temperature, penalties and biases, and
    /// which N tokens were the likeliest; in JSON, or a line a token
    #[arg(long, value_name = "N")]
    logprobs: Option<u32>,
    /// Compute with the plain-loop CPU references instead of a device
    #[arg(long, conflicts_with_all = ["check", "profile"])]
    pub reference: bool,
    /// Compute each step through the references too, and name the first kernel that is wrong
    #[arg(long, conflicts_with = "profile")]
    pub check: bool,
    #[command(flatten)]
    pub profile: ProfileArgument,
    #[command(flatten)]
    pub sampling: SamplingArguments,
}

const EXAMPLES: &str = "Examples:
  kaiwu generate \"The capital of France is\" -n 16
  kaiwu generate --chat --temperature 0.7 --seed 1 \"What is gravity?\"
  kaiwu generate -f prompt.txt -n -1 --stop '\\n\\n' -e
  kaiwu generate --prompts questions.jsonl > answers.jsonl
  kaiwu generate --logprobs 3 -n 8 \"Once upon a time\"
  kaiwu generate --json - < prompt.txt
  kaiwu generate --profile=trace.json -n 16 \"Once upon a time\"

Without options of sampling the likeliest token is taken always, whatever the model's files recommend. The last newline \
of standard input or of a prompt's file is no part of the prompt, unless --keep-newline is given. An answer that ends \
for want of tokens is told on standard error, or by the finish_reason \"length\" of JSON.";

pub(in crate::cli) fn run(
    device: &DeviceArguments,
    arguments: &Arguments,
    started: Instant,
) -> Outcome {
    let options = arguments.options()?;
    if let Some(path) = &arguments.prompts {
        let prompts = prompts::read(path, arguments.reading)?;
        return generate_many::run(device, arguments, &options, path, &prompts);
    }
    let text = arguments.text()?;
    let file = loaded::open(&arguments.model, arguments.loading(device))?;
    let tokenizer = Arc::clone(file.tokenizer()?);
    let prompt = match (&arguments.ids, text) {
        (Some(ids), _) => ids.clone(),
        (None, text) => {
            let encoder = Encoder::new(&file, arguments.chat, arguments.system.as_deref());
            encoder.encode(&Prompt::Text(text.unwrap_or_default()))?
        }
    };
    options.sampling.validate(file.config().vocab_size)?;
    arguments.sampling.say_what_is_unused(&options.sampling);

    let expected = prompt.len() + arguments.limit().expected();
    let model = file.load_for(Needs::generation(prompt.len(), expected))?;
    let mut generator = model.generator(expected)?;
    if arguments.profile.wanted() {
        generator.runner().start_profile();
    }
    interrupt::watch(generator.interrupt(), Arc::new(true.into()))?;
    let mut progress = Some(Progress::tokens("reading the prompt", prompt.len() as u64));
    let mut telling = Telling::new(arguments.form(), &tokenizer);
    let answer = generator.answer(&prompt, &options, |event| {
        match event {
            Event::Prompt { done, .. } => {
                progress.as_mut().into_iter().for_each(|bar| bar.set(done as u64))
            }
            Event::Text(_) | Event::Token { .. } => progress = None,
        }
        telling.hear(event)
    });
    drop(progress);
    let answer = answer?;

    if arguments.check {
        eprintln!("kaiwu: every kernel agrees with its reference over {} steps", answer.ids.len());
    }
    let logprobs = telling.end(&answer)?;
    if arguments.json || arguments.json_lines {
        let dispatches = generator.runner().dispatches(1, crate::model::LogitsMode::Last)?;
        let mut object = as_json(&model, &prompt, &answer, &options, dispatches, started);
        if arguments.json && arguments.logprobs.is_some() {
            object["logprobs"] = logprobs.into();
        }
        print_json(&object)?;
    } else if answer.finish_reason == FinishReason::Length
        && let Some(why) =
            arguments.why_cut(answer.ids.len(), model.context(), model.config().max_context)
    {
        eprintln!("kaiwu: {why}");
    }
    arguments.profile.report(&generator.runner().take_profile(), model.device())?;
    match answer.finish_reason {
        FinishReason::Interrupted => Ok(interrupt::exit_code()),
        FinishReason::Stop | FinishReason::Length => Ok(ExitCode::SUCCESS),
    }
}

impl Arguments {
    /// The prompt, unless it is given as ids.
    fn text(&self) -> Result<Option<String>> {
        match (&self.prompt, &self.prompt_file) {
            (Some(text), _) => self.reading.argument(text).map(Some),
            (None, file) => file.as_deref().map(|file| self.reading.file(file)).transpose(),
        }
    }

    /// How the model is loaded.
    pub(in crate::cli) fn loading(&self, device: &DeviceArguments) -> ModelOptions {
        let options = loaded::options(&self.model.loading, device, self.context);
        if self.reference { options.reference() } else { options }
    }

    fn form(&self) -> Form {
        match (self.json, self.json_lines, self.logprobs) {
            (true, ..) => Form::Silent,
            (_, true, _) => Form::Lines,
            (.., Some(_)) => Form::Likelihoods,
            (.., None) => Form::Text,
        }
    }

    fn options(&self) -> Result<Options> {
        let hinted = |stop: &&String| {
            !self.reading.escapes && ["\\n", "\\t", "\\r"].iter().any(|e| stop.contains(e))
        };
        if let Some(stop) = self.stop.iter().find(hinted) {
            eprintln!(
                "kaiwu: --stop '{stop}' waits for a backslash and a letter; with --escapes they are one character"
            );
        }
        Ok(Options {
            sampling: self.sampling.settings(SamplerSettings::default()),
            stop: self
                .stop
                .iter()
                .map(|stop| self.reading.unescaped(stop))
                .collect::<Result<_>>()?,
            max_tokens: self.limit().most(),
            check: self.check,
            logprobs: self.logprobs.map(|count| count as usize),
            ..Options::default()
        })
    }

    /// Most tokens to write.
    pub(in crate::cli) fn limit(&self) -> Limit {
        self.tokens.unwrap_or(Limit::Tokens(256))
    }

    /// Why an answer of so many tokens has no end of its own, and how to get one that goes on;
    /// nothing where it has as many as were asked for.
    fn why_cut(&self, written: usize, context: usize, longest: usize) -> Option<String> {
        let tokens = if written == 1 { "1 token".into() } else { format!("{written} tokens") };
        if self.limit().most().is_some_and(|most| written >= most) {
            let more = "-n N allows more, and -n -1 as many as the context holds";
            return self.tokens.is_none().then(|| format!("cut after {tokens}; {more}"));
        }
        Some(match context < longest {
            true => format!(
                "cut after {tokens}: the context of {context} is full; --context N allows up to {longest}"
            ),
            false => {
                format!("cut after {tokens}: the context of {context}, the model's own, is full")
            }
        })
    }
}

fn as_json(
    model: &Model,
    prompt: &[u32],
    answer: &Answer,
    options: &Options,
    dispatches: usize,
    started: Instant,
) -> Value {
    let steps = answer.decode.tokens;
    let per_token = |n: u64| (steps > 0).then(|| n as f64 / steps as f64);
    json!({
        "model": model.path().display().to_string(),
        "adapter": model.device_name(),
        "prompt_ids": prompt,
        "output_ids": answer.ids,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "seed": (!options.sampling.is_greedy()).then_some(options.sampling.seed),
        "timings": {
            "load_s": model.loading_time().as_secs_f64(),
            "first_token_s": answer.first_token.map(|first| (first - started).as_secs_f64()),
            "prefill_tokens_per_s": answer.prefill_rate(),
            "decode_tokens_per_s": answer.decode_rate(),
        },
        "counts": {
            "dispatches_per_token": dispatches,
            "submits_per_token": per_token(answer.decode.submits),
            "readback_bytes_per_token": per_token(answer.decode.readback_bytes),
        },
    })
}
