//! Which texts are alike: `cargo run --release --example embed -- MODEL "a small cat" "a kitten"
//! "interest rates"`. Good vectors take a model made for them, such as Qwen3-Embedding.

use kaiwu::Model;

fn main() -> kaiwu::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or("models/SmolLM2-135M-Instruct.Q4_1.gguf".into());
    let mut texts: Vec<String> = arguments.collect();
    if texts.is_empty() {
        texts = ["a small cat", "a little kitten", "interest rates"].map(String::from).to_vec();
    }

    let model = Model::options().embeddings_only().load(path)?;
    let vectors: Vec<Vec<f32>> =
        texts.iter().map(|text| model.embed(text)).collect::<Result<_, _>>()?;
    for (text, vector) in texts.iter().zip(&vectors).skip(1) {
        // Vectors have length 1, so that the cosine is their product.
        let cosine: f32 = vectors[0].iter().zip(vector).map(|(a, b)| a * b).sum();
        println!("{cosine:.3}  {:?} and {text:?}", texts[0]);
    }
    Ok(())
}
