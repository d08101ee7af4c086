//! Text from a model with the library: `cargo run --release --example generate -- MODEL.gguf "Once
//! upon a time"`.

use kaiwu::Model;

fn main() -> kaiwu::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or("models/SmolLM2-135M-Instruct.Q4_1.gguf".into());
    let prompt = arguments.next().unwrap_or("Once upon a time".into());

    let model = Model::load(path)?;
    println!("{prompt}{}", model.generate(&prompt)?);
    Ok(())
}
