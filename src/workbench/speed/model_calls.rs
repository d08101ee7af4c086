//! The calls of a model's own recordings, to be tuned or timed one by one.

use super::shapes::Shape;
use crate::Result;
use crate::format::{DType, blocks};
use crate::gpu::{Access, Element, Entry, Kernel, Recording};
use crate::workbench::checks::cases::{Case, Table};
use std::sync::Arc;

/// The different calls of `recording`, a step of `tokens` tokens with `context` tokens in the cache
/// before it, those that take the most first. Calls of one shape are one.
pub fn recorded_shapes(recording: &Recording, tokens: usize, context: usize) -> Vec<Shape> {
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
            Shape::new(what.clone(), context, move |table| {
                fill(table, &*kernel, context as u32)?;
                let memory = std::mem::take(&mut table.memory);
                table.cases.push(Case { what: what.clone(), kernel: Arc::clone(&kernel), memory });
                Ok(())
            })
        })
        .collect()
}

/// Puts made-up numbers into what a call reads, on both sides; weights stay as they are.
fn fill(table: &mut Table, kernel: &dyn Kernel, position: u32) -> Result<()> {
    for operand in kernel.operands() {
        let Some(tensor) = operand.tensor.filter(|_| operand.access != Access::Write) else {
            continue;
        };
        let mut bytes: Vec<u8> = match tensor.element() {
            Element::F32 => bytemuck::cast_slice(&table.numbers.floats(tensor.len(), 1.0)).to_vec(),
            Element::F16 => blocks::quantise(DType::F16, &table.numbers.floats(tensor.len(), 1.0)),
            Element::U32 if operand.name == "step" => bytemuck::cast_slice(&[position]).to_vec(),
            Element::U32 | Element::Q8 => continue,
        };
        table.memory.set(&tensor, bytemuck::pod_collect_to_vec(&bytes));
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        tensor.write(&table.gpu, 0, &bytes);
    }
    Ok(())
}
