//! scratch
use kaiwu::{format::Gguf, gpu::*, model::*};
use std::sync::Arc;
use std::time::Instant;
fn main() -> kaiwu::Result<()> {
    env_logger::init();
    let t = Instant::now();
    let gpu = Gpu::open(&GpuOptions { unchecked: std::env::var("UNCHECKED").is_ok(), ..Default::default() })?;
    eprintln!("open {:?} {:?}", t.elapsed(), gpu.capabilities());
    let place = Place::Device(gpu.clone());
    let gguf = Arc::new(Gguf::open(std::path::Path::new(&std::env::args().nth(1).unwrap()))?);
    let t = Instant::now();
    let model = Arc::new(Model::load(&place, &gguf, |_| ())?);
    gpu.wait()?;
    eprintln!("load {:?} {}", t.elapsed(), model.bytes());
    let mut r = Runner::new(&place, &model, None, 512)?;
    for _ in 0..2 {
        r.rewind(0);
        let t = Instant::now();
        r.prefill(&[504, 3575, 282, 4649, 314], |_| ())?;
        let first = r.greedy()?;
        eprintln!("prefill {:?}", t.elapsed());
        let l = r.last_logits(5)?;
        println!("{first} {}", l[first as usize]);
        let t = Instant::now();
        let mut ids = vec![first];
        ids.extend(r.decode_greedy(1)?);
        eprintln!("first decode {:?}", t.elapsed());
        let t = Instant::now();
        let n = 4;
        for _ in 0..n {
            ids.extend(r.decode_greedy(16)?);
        }
        eprintln!("decode {} tok/s", (16 * n) as f64 / t.elapsed().as_secs_f64());
        println!("{ids:?}");
    }
    let long: Vec<u32> = (0..256).map(|i| 300 + i * 7).collect();
    for _ in 0..3 {
        r.rewind(0);
        let t = Instant::now();
        r.prefill(&long, |_| ())?;
        r.greedy()?;
        eprintln!("prefill 256: {} tok/s", 256.0 / t.elapsed().as_secs_f64());
    }
    Ok(())
}
