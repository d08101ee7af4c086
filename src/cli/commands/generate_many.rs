//! `kaiwu generate --prompts`: many prompts, each answered as it would be alone.

use super::generate::Arguments;
use crate::cli::Outcome;
use crate::cli::support::arguments::DeviceArguments;
use crate::cli::support::failure::usage;
use crate::cli::support::interrupt;
use crate::cli::support::likely;
use crate::cli::support::loaded;
use crate::cli::support::output::print_json;
use crate::cli::support::progress::Progress;
use crate::cli::support::prompts::{Encoder, Numbered};
use crate::cli::support::text_input::at_line;
use crate::generate::{Event, FinishReason, Options};
use crate::session::Needs;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(in crate::cli) fn run(
    device: &DeviceArguments,
    arguments: &Arguments,
    options: &Options,
    path: &Path,
    prompts: &[Numbered],
) -> Outcome {
    let file = loaded::open(&arguments.model, arguments.loading(device))?;
    options.sampling.validate(file.config().vocab_size)?;
    arguments.sampling.say_what_is_unused(&options.sampling);
    let encoder = Encoder::new(&file, arguments.chat, arguments.system.as_deref());
    let mut all = Vec::with_capacity(prompts.len());
    for Numbered { line, prompt } in prompts {
        let fitting = |ids: Vec<u32>| match ids.len() {
            0 => Err(usage("the prompt has no tokens".into())),
            tokens if tokens > file.context() => Err(usage(format!(
                "the prompt has {tokens} tokens, but the context holds {}",
                file.context()
            ))),
            _ => Ok(ids),
        };
        let ids = encoder.encode(prompt).and_then(fitting);
        all.push(ids.map_err(|error| at_line(path, *line, error))?);
    }

    let longest = all.iter().map(Vec::len).max().unwrap_or(0);
    let expected = longest + arguments.limit().expected();
    let model = file.load_for(Needs::generation(longest, expected))?;
    let mut generator = model.generator(expected)?;
    let tokenizer = Arc::clone(generator.tokenizer());
    if arguments.profile.wanted() {
        generator.runner().start_profile();
    }
    interrupt::watch(generator.interrupt(), Arc::new(true.into()))?;
    let mut progress = Progress::count("answering", all.len() as u64);
    let (mut checked, mut interrupted) = (0, false);
    let interrupt = generator.interrupt();
    for (index, ids) in all.iter().enumerate() {
        // Asked for between two answers, where the next one would not hear of it.
        if interrupt.load(Ordering::Relaxed) {
            interrupted = true;
            break;
        }
        // Nothing of the prompt before: it would be computed in other pieces then, whose sums are
        // rounded otherwise.
        generator.forget_all();
        let mut options = options.clone();
        options.sampling.seed = arguments.sampling.seed_of(options.sampling.seed, index);
        let mut logprobs: Vec<Value> = vec![];
        let answer = generator.answer(ids, &options, |event| {
            if let Event::Token { id, likelihoods: Some(found) } = event {
                logprobs.push(likely::chosen_as_json(&tokenizer, id, found));
            }
            Ok(())
        })?;
        let mut line = json!({
            "index": index, "text": answer.text, "ids": answer.ids, "finish_reason": answer.finish_reason,
        });
        if options.logprobs.is_some() {
            line["logprobs"] = logprobs.into();
        }
        if !options.sampling.is_greedy() {
            line["seed"] = options.sampling.seed.into();
        }
        print_json(&line)?;
        progress.set(index as u64 + 1);
        checked += answer.ids.len();
        interrupted = answer.finish_reason == FinishReason::Interrupted;
        if interrupted {
            break;
        }
    }
    drop(progress);
    if arguments.check {
        eprintln!("kaiwu: every kernel agrees with its reference over {checked} steps");
    }
    arguments.profile.report(&generator.runner().take_profile(), model.device())?;
    Ok(if interrupted { interrupt::exit_code() } else { ExitCode::SUCCESS })
}
