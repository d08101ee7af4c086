//! The calls in a model's own recordings, to be tuned or timed one by one.

use crate::format::{DType, blocks};
use crate::gpu::{Access, Element, Entry, Kernel, Recording};
use crate::kernels::{BenchShape, Cases};
use std::sync::Arc;

/// The distinct calls of `recording`, a step of `tokens` tokens with `context` tokens in the cache
/// before it, the most expensive first. Calls of equal shape are listed once.
pub fn recorded_shapes(recording: &Recording, tokens: usize, context: usize) -> Vec<BenchShape> {
    let mut all: Vec<(String, Entry, usize)> = vec![];
    for entry in recording.entries() {
        let shape = entry.kernel.shape();
        let known = all.iter_mut().find(|(known, other, _)| {
            *known == shape && other.kernel.name() == entry.kernel.name()
        });
        match known {
            Some((_, _, calls)) => *calls += 1,
            None => all.push((shape, entry.clone(), 1)),
        }
    }
    let weight = |entry: &Entry, calls: usize| {
        let cost = entry.kernel.cost(context);
        (cost.read + cost.written + cost.operations / 4) * calls as u64
    };
    all.sort_by_key(|(_, entry, calls)| std::cmp::Reverse(weight(entry, *calls)));
    all.into_iter()
        .map(|(shape, entry, _)| {
            let part = entry.label.rsplit('.').next().unwrap_or_default();
            let phase = if tokens == 1 { "decode".into() } else { format!("prefill of {tokens}") };
            let what = format!("{phase} {part} ({shape})");
            let kernel = Arc::clone(&entry.kernel);
            BenchShape::new(what, context, move |cases| {
                fill(cases, &*kernel, context as u32);
                Ok(Arc::clone(&kernel))
            })
        })
        .collect()
}

/// Fills the inputs of a call with made-up numbers, on device and host; weights are left unchanged.
fn fill(cases: &mut Cases, kernel: &dyn Kernel, position: u32) {
    for operand in kernel.operands() {
        let Some(tensor) = operand.tensor.filter(|_| operand.access != Access::Write) else {
            continue;
        };
        let bytes: Vec<u8> = match tensor.element() {
            Element::F32 => bytemuck::cast_slice(&cases.numbers(tensor.len(), 1.0)).to_vec(),
            Element::F16 => blocks::quantise(DType::F16, &cases.numbers(tensor.len(), 1.0)),
            Element::U32 if operand.name == "step" => bytemuck::cast_slice(&[position]).to_vec(),
            Element::U32 | Element::Q8 => continue,
        };
        cases.put(&tensor, &bytes);
    }
}
