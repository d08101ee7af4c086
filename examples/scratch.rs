//! scratch
use kaiwu::{gpu::*, model::*, format::Gguf};
use std::sync::Arc;
use std::time::Instant;
use std::collections::BTreeMap;
fn main() -> kaiwu::Result<()> {
    env_logger::init();
    let arg = |i: usize, d: usize| std::env::args().nth(i).map_or(d, |s| s.parse().unwrap());
    let t=Instant::now();
    let storage = match std::env::var("STORAGE").as_deref() { Ok("buffer") => Some(StorageKind::Buffer), _ => None };
    let gpu = Gpu::open(&GpuOptions{unchecked: std::env::var("UNCHECKED").is_ok(), storage, ..Default::default()})?;
    eprintln!("open {:?}", t.elapsed());
    let place = Place::Device(gpu.clone());
    let gguf = Arc::new(Gguf::open(std::path::Path::new(&std::env::args().nth(1).unwrap()))?);
    let t=Instant::now();
    let model = Arc::new(Model::load(&place, &gguf, |_| ())?);
    gpu.wait()?;
    eprintln!("load {:?}", t.elapsed());
    let (p, n) = (arg(2, 256), arg(3, 64));
    let mut r = Runner::new(&place, &model, None, p+n+64)?;
    let long: Vec<u32> = (0..p as u32).map(|i| 300 + (i*7919)%40000).collect();
    let mut best=(0f64,0f64);
    for _ in 0..3 { r.rewind(0);
        let t=Instant::now();
        r.prefill(&long, |_| ())?; r.greedy()?;
        let pre = p as f64/t.elapsed().as_secs_f64();
        r.decode_greedy(1)?;
        let t=Instant::now();
        for _ in 0..n/8 { r.decode_greedy(8)?; }
        let dec = (n/8*8) as f64/t.elapsed().as_secs_f64();
        best = (best.0.max(pre), best.1.max(dec));
        eprintln!("prefill {p}: {pre:.1} tok/s   decode {n}: {dec:.1} tok/s");
    }
    let id = r.greedy()?;
    for (what, ids, want) in [("decode", vec![id], Want::Last), ("prefill", long[..p.min(256)].to_vec(), Want::Last)] {
        if what == "prefill" { r.rewind(0); }
        let mut runs: Vec<Vec<(String,&'static str,f64)>> = vec![];
        for _ in 0..(if what == "decode" {25} else {4}) { runs.push(r.profile(&ids, want)?); }
        let mut sums: BTreeMap<String, (usize, f64)> = BTreeMap::new();
        for i in 0..runs[0].len() {
            let mut s: Vec<f64> = runs.iter().map(|r| r[i].2).collect(); s.sort_by(f64::total_cmp);
            let name = runs[0][i].0.split('.').next_back().unwrap().to_string();
            let e = sums.entry(name).or_default(); e.0 += 1; e.1 += s[0];
        }
        let total: f64 = sums.values().map(|s| s.1).sum();
        println!("{what}: {:.2} ms", total*1e3);
        for (k,(c,s)) in sums { println!("  {k:14} {c:4} x {:8.1} us = {:7.2} ms", s/c as f64*1e6, s*1e3); }
    }
    Ok(())
}
