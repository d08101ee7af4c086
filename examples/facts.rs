//! How many questions a model answers: `cargo run --release --example facts -- MODEL.gguf
//! [ADAPTER]`.
//!
//! `examples/facts-asked.jsonl` has a question a line as the model was trained on it, the same in
//! words that it was not trained on, and what the answer must contain. README has the training.

use kaiwu::format::{Lora, Source};
use kaiwu::generate::{Generator, Options};
use kaiwu::gpu::{Device, Gpu, GpuOptions};
use kaiwu::model::{Runner, Weights};
use kaiwu::text::{ChatTemplate, Message, Tokenizer};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct Fact {
    trained: String,
    other: String,
    answer: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or("models/SmolLM2-135M-Instruct.Q4_1.gguf".into());
    let lines = std::fs::read_to_string("examples/facts-asked.jsonl")?;
    let facts: Vec<Fact> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;

    let device = Device::Gpu(Gpu::open(&GpuOptions::default())?);
    let source = Source::open(path.as_ref())?;
    let mut model = Weights::load(&device, &source, |_bytes_read| ())?;
    if let Some(adapter) = arguments.next() {
        let adapter = Lora::open(adapter.as_ref(), model.config.architecture.name)?;
        model.adapt(&device, &[(adapter, 1.0)])?;
    }
    let tokenizer = Arc::new(Tokenizer::from_source(&source)?);
    let template =
        ChatTemplate::from_source(&source, &tokenizer)?.ok_or("the model has no chat template")?;
    let mut generator =
        Generator::new(Runner::new(&device, &Arc::new(model), None, 128)?, Arc::clone(&tokenizer));

    let options = Options { max_tokens: Some(32), ..Options::default() };
    let mut known = [0; 2];
    for fact in &facts {
        for (known, question) in known.iter_mut().zip([&fact.trained, &fact.other]) {
            let prompt = template.render(&[Message::new("user", question)], true)?;
            let said =
                generator.answer(&tokenizer.encode(&prompt, false)?, &options, |_| Ok(()))?.text;
            let right = said.contains(&fact.answer);
            *known += usize::from(right);
            println!(
                "{} {question} {}",
                if right { "+" } else { "-" },
                said.lines().next().unwrap_or_default()
            );
        }
    }
    let [trained, other] = known;
    println!("{trained} of {} answered; asked in other words, {other}", facts.len());
    Ok(())
}
