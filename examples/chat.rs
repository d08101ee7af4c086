//! A conversation with the library, a question a line of standard input: `cargo run --release
//! --example chat -- MODEL.gguf`.

use kaiwu::Model;
use std::io::{BufRead, Write, stdin, stdout};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1);
    let path = path.unwrap_or("models/SmolLM2-135M-Instruct.Q4_1.gguf".into());

    let model = Model::load(path)?;
    let mut chat = model.chat().system("Be brief.").temperature(0.7).max_tokens(256);
    for question in stdin().lock().lines() {
        let mut reply = chat.ask(&question?)?;
        for piece in reply.by_ref() {
            print!("{}", piece?);
            stdout().flush()?;
        }
        println!();
        if let Some(answer) = reply.answer() {
            // What the cache held of the earlier turns was not computed again.
            eprintln!(
                "[{} tokens, {:?}; {} of {} tokens of the prompt were in the cache]",
                answer.ids.len(),
                answer.finish_reason,
                answer.reused,
                reply.prompt_tokens()
            );
        }
    }
    Ok(())
}
