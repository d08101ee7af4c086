//! Text from a model file with the library: `cargo run --release --example generate -- MODEL.gguf
//! "Once upon a time"`.

use kaiwu::format::Gguf;
use kaiwu::generate::{Event, Generator, Options};
use kaiwu::gpu::{Device, Gpu, GpuOptions};
use kaiwu::model::{Runner, Weights};
use kaiwu::text::Tokenizer;
use std::io::Write;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or("models/SmolLM2-135M-Instruct.Q4_1.gguf".into());
    let prompt = arguments.next().unwrap_or("Once upon a time".into());

    // A device, the weights on it, and a conversation's state: at most the model's own context,
    // room for 256 tokens now.
    let device = Device::Gpu(Gpu::open(&GpuOptions::default())?);
    let gguf = Arc::new(Gguf::open(path.as_ref())?);
    let model = Arc::new(Weights::load(&device, &gguf, |_bytes_read| ())?);
    let runner = Runner::new(&device, &model, None, 256)?;

    let tokenizer = Arc::new(Tokenizer::from_gguf(&gguf)?);
    let ids = tokenizer.encode(&prompt, true)?;
    let mut generator = Generator::new(runner, tokenizer);

    print!("{prompt}");
    let options = Options { max_tokens: Some(64), ..Options::default() };
    let answer = generator.answer(&ids, &options, |event| {
        if let Event::Text(piece) = event {
            print!("{piece}");
            std::io::stdout().flush().map_err(kaiwu::Error::io("write to", "standard output"))?;
        }
        Ok(())
    })?;
    println!();
    eprintln!(
        "{} tokens, {:.1} a second, {} dispatches each",
        answer.ids.len(),
        answer.decode_rate().unwrap_or(0.0),
        answer.decode.dispatches / answer.decode.tokens.max(1)
    );
    Ok(())
}
