//! scratch: CPU time per kernel kind
use kaiwu::{gpu::*, model::*, format::Gguf};
use std::sync::Arc;
use std::collections::BTreeMap;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = s[s.rfind(')').unwrap()..].split(' ').collect(); (f[12].parse::<f64>().unwrap()+f[13].parse::<f64>().unwrap())*0.01 }
fn main() -> kaiwu::Result<()> {
    env_logger::init();
    let args: Vec<String> = std::env::args().collect();
    let storage = match std::env::var("STORAGE").as_deref() { Ok("buffer") => Some(StorageKind::Buffer), _ => Some(StorageKind::Texture) };
    let gpu = Gpu::open(&GpuOptions{unchecked: std::env::var("CHECKED").is_err(), storage, ..Default::default()})?;
    let place = Place::Device(gpu.clone());
    let gguf = Arc::new(Gguf::open(std::path::Path::new(&args[1]))?);
    let model = Arc::new(Model::load(&place, &gguf, |_| ())?);
    gpu.wait()?;
    let filter = args.get(2).map_or("", |s| s.as_str());
    for (tokens, context, budget) in [(1usize, 300usize, 0.6), (256, 0, 1.0)] {
        if let Some(t) = args.get(3) { if t.parse::<usize>().unwrap() != tokens { continue; } }
        let mut r = Runner::new(&place, &model, None, 1024)?;
        let ids: Vec<u32> = (0..tokens.max(context) as u32).map(|i| 300 + (i*7919)%40000).collect();
        if context > 0 { r.prefill(&ids[..context], |_| ())?; r.feed(5)?; }
        if tokens > 1 { r.prefill(&ids[..tokens], |_|())?; r.rewind(0); r.prefill(&ids[..tokens], |_|())?; r.rewind(0);}
        let rec = r.recording(tokens, Want::Last)?;
        let mut kinds: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for e in rec.entries() { kinds.entry(e.label.split('.').next_back().unwrap().to_string()).or_default().push(e.clone()); }
        let mut total = 0.0;
        for (kind, entries) in kinds {
            if !kind.contains(filter) || kind == "argmax" { continue; }
            let program = Program::compile_entries(&gpu, &entries, |all| all.swap_remove(0))?;
            program.run(&gpu); gpu.wait()?;
            let (c0, mut n) = (cpu(), 0);
            let mut best = f64::MAX;
            while cpu() - c0 < budget { let t = std::time::Instant::now(); program.run(&gpu); gpu.wait()?; best = best.min(t.elapsed().as_secs_f64()); n += 1; }
            let ms = best * 1e3; let _ = n;
            total += ms;
            let cost: Cost = entries.iter().map(|e| e.kernel.cost(context)).sum();
            println!("{tokens:4} {kind:14} {ms:8.3} ms (best)  {:7.1} us each  {:6.2} Gop/s {:6.2} GB/s", ms*1e3/entries.len() as f64, cost.operations as f64/ms/1e6, cost.read as f64/ms/1e6);
        }
        println!("{tokens:4} total {total:.2} ms = {:.1} tok/s", tokens as f64/total*1e3);
    }
    Ok(())
}
