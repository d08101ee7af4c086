//! scratch: first token
use kaiwu::{format::Gguf, gpu::*, model::*};
use std::sync::Arc;
use std::time::Instant;
fn main() -> kaiwu::Result<()> {
    env_logger::init();
    let t0 = Instant::now();
    let gpu = Gpu::open(&GpuOptions { unchecked: true, ..Default::default() })?;
    eprintln!("open {:?}", t0.elapsed());
    let place = Place::Device(gpu.clone());
    let gguf = Arc::new(Gguf::open(std::path::Path::new(&std::env::args().nth(1).unwrap()))?);
    let tok = kaiwu::text::Tokenizer::from_gguf(&gguf)?;
    eprintln!("tok {:?}", t0.elapsed());
    let model = Arc::new(Model::load(&place, &gguf, |_| ())?);
    eprintln!("packed {:?}", t0.elapsed());
    gpu.wait()?;
    eprintln!("loaded {:?}", t0.elapsed());
    let ids = tok.encode(
        "Once upon a time there was a small village by the sea, and in it lived a fisherman who",
        true,
    )?;
    let mut r = Runner::new(&place, &model, None, 256)?;
    eprintln!("runner {:?} ({} ids)", t0.elapsed(), ids.len());
    r.recording(ids.len(), Want::Last)?;
    eprintln!("compiled {:?}", t0.elapsed());
    r.prefill(&ids, |_| ())?;
    r.greedy()?;
    eprintln!("first token {:?}", t0.elapsed());
    r.rewind(0);
    let t = Instant::now();
    r.prefill(&ids, |_| ())?;
    r.greedy()?;
    eprintln!("  again {:?}", t.elapsed());
    let t = Instant::now();
    r.decode_greedy(1)?;
    eprintln!("second token {:?}", t.elapsed());
    let t = Instant::now();
    r.decode_greedy(8)?;
    eprintln!("8 more {:?}", t.elapsed());
    let t = Instant::now();
    r.decode_greedy(8)?;
    eprintln!("8 more {:?}", t.elapsed());
    Ok(())
}
