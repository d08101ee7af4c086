//! A small network understands a small table in some ten seconds: `cargo run --release --example
//! grok_tiny`.

use kaiwu::gpu::{Gpu, GpuOptions};
use kaiwu::lab::{Grok, GrokSettings};
use std::sync::atomic::AtomicBool;

fn main() -> kaiwu::Result<()> {
    let gpu = Gpu::open(&GpuOptions::default())?;
    let mut grok = Grok::new(&gpu, &GrokSettings::tiny())?;
    println!("  step  training  validation");
    while !grok.is_done() {
        let row = grok.advance(&AtomicBool::new(false), |_| ())?;
        if let Some(row) = row.filter(|row| row.step % 100 == 0) {
            println!(
                "{:6}  {:8.3}  {:10.3}",
                row.step, row.train_accuracy, row.validation_accuracy
            );
        }
    }
    match grok.first_at(0.99) {
        Some(row) => println!("understood at step {}, after {:.0} s", row.step, row.seconds),
        None => println!("not understood in {} steps", grok.settings.steps),
    }
    Ok(())
}
