//! `kaiwu generate`: one prompt, one answer.

use super::arguments::{DeviceArguments, WeightsArguments, text_or_stdin};
use super::loaded::{Loaded, Opened};
use super::output::{print, print_json};
use super::profile::ProfileArgument;
use super::progress::Progress;
use super::sampling::SamplingArguments;
use super::{Outcome, interrupt};
use crate::Result;
use crate::generate::{Answer, Conversation, Event, FinishReason, Generator, Options};
use crate::sample::SamplerSettings;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Continue a prompt, or answer it with --chat
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    model: WeightsArguments,
    /// The prompt; `-` reads standard input
    #[arg(required_unless_present = "ids")]
    prompt: Option<String>,
    /// The prompt as token ids, such as 504,3575
    #[arg(long, value_name = "ID,...", value_delimiter = ',', conflicts_with_all = ["prompt", "chat"])]
    ids: Option<Vec<u32>>,
    /// Most tokens to write
    #[arg(short = 'n', long = "tokens", value_name = "N", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..))]
    tokens: u32,
    /// Put the prompt into the model's chat template
    #[arg(long)]
    chat: bool,
    /// The system message of --chat
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// End the answer before this text; repeatable
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Most tokens of prompt and answer together [default: the model's own context]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Print one JSON object at the end instead of text as it comes
    #[arg(long)]
    json: bool,
    /// Compute with the plain-loop CPU references instead of a device
    #[arg(long, conflicts_with_all = ["check", "profile"])]
    reference: bool,
    /// Compute each step through the references too, and name the first kernel that is wrong
    #[arg(long, conflicts_with = "profile")]
    check: bool,
    #[command(flatten)]
    profile: ProfileArgument,
    #[command(flatten)]
    sampling: SamplingArguments,
}

const EXAMPLES: &str = "Examples:
  kaiwu generate \"The capital of France is\" -n 16
  kaiwu generate --chat --temperature 0.7 --top-p 0.9 --seed 1 \"What is gravity?\"
  kaiwu generate --json - < prompt.txt
  kaiwu generate --profile=trace.json -n 16 \"Once upon a time\"

Without options of sampling the likeliest token is taken always, whatever the model's files recommend.";

pub(super) fn run(device: &DeviceArguments, arguments: &Arguments, started: Instant) -> Outcome {
    let text = arguments.prompt.as_deref().map(text_or_stdin).transpose()?;
    let file = Opened::new(&arguments.model, arguments.context)?;
    let tokenizer = Arc::clone(file.tokenizer()?);
    let prompt = prompt_ids(arguments, &file, text.as_deref().unwrap_or_default())?;
    let options = Options {
        sampling: arguments.sampling.settings(SamplerSettings::default()),
        stop: arguments.stop.clone(),
        max_tokens: Some(arguments.tokens as usize),
        check: arguments.check,
    };
    options.sampling.validate(file.config.vocabulary)?;
    arguments.sampling.say_what_is_unused(&options.sampling);

    let expected = prompt.len() + arguments.tokens.min(1024) as usize;
    let (loaded, runner) = file.load_with_runner(device, arguments.reference, prompt.len(), expected)?;
    let mut generator = Generator::new(runner, tokenizer);
    if arguments.profile.wanted() {
        generator.runner().start_profile();
    }
    interrupt::watch(generator.interrupt(), Arc::new(true.into()))?;
    let mut progress = Some(Progress::tokens("reading the prompt", prompt.len() as u64));
    let answer = generator.answer(&prompt, &options, |event| match event {
        Event::Prompt { done, .. } => {
            progress.as_mut().into_iter().for_each(|bar| bar.set(done as u64));
            Ok(())
        }
        Event::Text(piece) => {
            progress = None;
            if arguments.json { Ok(()) } else { print(piece) }
        }
    });
    drop(progress);
    let answer = answer?;

    if arguments.check {
        eprintln!("kaiwu: every kernel agrees with its reference over {} steps", answer.ids.len());
    }
    if arguments.json {
        let dispatches = generator.runner().dispatches(1, crate::model::Want::Last)?;
        print_json(&as_json(&loaded, &prompt, &answer, &options, dispatches, started))?;
    } else if !answer.text.ends_with('\n') {
        print("\n")?;
    }
    arguments.profile.report(&generator.runner().take_profile(), &loaded.place)?;
    match answer.finish_reason {
        FinishReason::Interrupted => Ok(interrupt::exit_code()),
        FinishReason::Stop | FinishReason::Length => Ok(ExitCode::SUCCESS),
    }
}

fn prompt_ids(arguments: &Arguments, file: &Opened, text: &str) -> Result<Vec<u32>> {
    if let Some(ids) = &arguments.ids {
        return Ok(ids.clone());
    }
    if !arguments.chat {
        return file.tokenizer()?.encode(text, true);
    }
    Conversation::new(file.chat_template()?, arguments.system.as_deref()).ask(file.tokenizer()?, text)
}

fn as_json(
    loaded: &Loaded,
    prompt: &[u32],
    answer: &Answer,
    options: &Options,
    dispatches: usize,
    started: Instant,
) -> serde_json::Value {
    let steps = answer.decode.tokens;
    let per_token = |n: u64| (steps > 0).then(|| n as f64 / steps as f64);
    json!({
        "model": loaded.name(),
        "adapter": loaded.adapter(),
        "prompt_ids": prompt,
        "output_ids": answer.ids,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "seed": (!options.sampling.is_greedy()).then_some(options.sampling.seed),
        "timings": {
            "load_s": loaded.seconds,
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
