//! Runs a recording on the device and through the references, to find the first wrong dispatch.

use crate::Result;
use crate::gpu::device::device::Gpu;
use crate::gpu::kernel::kernel::{Access, Strategy, Tolerance};
use crate::gpu::kernel::recording::{Entry, Recording};
use crate::gpu::program::program::Program;
use crate::gpu::tensor::host::HostMemory;
use crate::gpu::tensor::tensor::{Element, Tensor};
use std::fmt;

/// The first wrong value of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Position in the recording.
    pub step: usize,
    /// Label of the dispatch.
    pub label: String,
    /// The kernel's name.
    pub kernel: &'static str,
    /// The operand it wrote.
    pub operand: &'static str,
    /// Index in the operand, counting numbers.
    pub index: usize,
    /// The value of the reference.
    pub expected: f32,
    /// The value of the device.
    pub found: f32,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, label, kernel, operand, index, expected, found } = self;
        write!(
            f,
            "dispatch {step} ({label}, kernel {kernel}): {operand}[{index}] is {found}, expected {expected}"
        )
    }
}

/// Runs `recording` on the device one dispatch at a time, and each kernel's reference on the same
/// inputs, so that an error is attributed to the kernel that made it. `memory` must hold what the
/// host wrote (ids, positions); afterwards it holds the device's values.
///
/// # Errors
/// When the device fails.
pub fn first_divergence(
    gpu: &Gpu,
    recording: &Recording,
    memory: &mut HostMemory,
) -> Result<Option<Divergence>> {
    for (step, entry) in recording.entries().iter().enumerate() {
        if let Some(mut divergence) = check_entry(gpu, entry, memory, |all| all.swap_remove(0))? {
            divergence.step = step;
            return Ok(Some(divergence));
        }
    }
    Ok(None)
}

/// Compares one dispatch of a given strategy with its reference, and returns its first wrong value.
///
/// # Errors
/// When the device fails.
pub fn check_entry(
    gpu: &Gpu,
    entry: &Entry,
    memory: &mut HostMemory,
    choose: impl Fn(&mut Vec<Strategy>) -> Strategy,
) -> Result<Option<Divergence>> {
    Ok(compare_entry(gpu, entry, memory, choose)?.divergence)
}

/// The result of comparing a dispatch with its reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The first value outside of the kernel's tolerance.
    pub divergence: Option<Divergence>,
    /// The largest |found - expected| / max(1, |expected|); infinite if a value is NaN.
    pub max_error: f32,
}

/// Compares one dispatch with its reference, and also returns the largest error.
///
/// # Errors
/// When the device fails.
pub fn compare_entry(
    gpu: &Gpu,
    entry: &Entry,
    memory: &mut HostMemory,
    choose: impl Fn(&mut Vec<Strategy>) -> Strategy,
) -> Result<Comparison> {
    Program::compile_entries(gpu, std::slice::from_ref(entry), choose)?.run(gpu);
    entry.kernel.reference(memory);
    let (comparison, written) = compare(gpu, entry, memory)?;
    for (tensor, words) in written {
        memory.set(&tensor, words);
    }
    Ok(comparison)
}

/// Compares the device's results of a dispatch with `expected`, in which its reference has already
/// run.
///
/// # Errors
/// When the device fails.
pub fn compare_outputs(gpu: &Gpu, entry: &Entry, expected: &mut HostMemory) -> Result<Comparison> {
    Ok(compare(gpu, entry, expected)?.0)
}

/// Tensors that the device wrote, with their words.
type Written = Vec<(Tensor, Vec<u32>)>;

/// Compares a dispatch with its reference, and also returns the words that the device wrote.
fn compare(gpu: &Gpu, entry: &Entry, expected: &mut HostMemory) -> Result<(Comparison, Written)> {
    let mut written = vec![];
    let tolerance = entry.kernel.tolerance();
    let mut comparison = Comparison { divergence: None, max_error: 0.0 };
    for operand in entry.kernel.operands() {
        let Some(tensor) = operand.tensor.filter(|_| operand.access != Access::Read) else {
            continue;
        };
        let words = tensor.read(gpu)?;
        let values = expected.u32(&tensor);
        let (found, expected) = (numbers(&tensor, &words), numbers(&tensor, &values));
        let steps = steps(&tensor, &values);
        let right = |index: usize| match tensor.element() {
            Element::U32 => found[index] == expected[index],
            Element::F32 => tolerance.accepts(expected[index], found[index]),
            // Near a tie the two may round to neighbouring steps, so one step is allowed.
            Element::Q8 => {
                tolerance.accepts(expected[index], found[index]) || {
                    (found[index] - expected[index]).abs() <= 1.01 * steps[index]
                }
            }
            Element::F16 => {
                let Tolerance { absolute, relative } = tolerance;
                Tolerance { absolute, relative: relative + HALF_STEP }
                    .accepts(expected[index], found[index])
            }
        };
        comparison.max_error = found
            .iter()
            .zip(&expected)
            .map(|(&found, &expected)| error(found, expected))
            .fold(comparison.max_error, f32::max);
        if comparison.divergence.is_none()
            && let Some(index) = (0..found.len()).find(|&index| !right(index))
        {
            comparison.divergence = Some(Divergence {
                step: 0,
                label: entry.label.clone(),
                kernel: entry.kernel.name(),
                operand: operand.name,
                index,
                expected: expected[index],
                found: found[index],
            });
        }
        written.push((tensor, words));
    }
    Ok((comparison, written))
}

fn error(found: f32, expected: f32) -> f32 {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    if found == expected {
        0.0
    } else if error.is_nan() {
        f32::INFINITY
    } else {
        error
    }
}

/// Near a tie two values may round to neighbouring halves: one unit in the last place is allowed.
const HALF_STEP: f32 = 1.0 / 1024.0;

fn numbers(tensor: &Tensor, words: &[u32]) -> Vec<f32> {
    match tensor.element() {
        Element::F32 => words.iter().map(|&word| f32::from_bits(word)).collect(),
        Element::U32 => words.iter().map(|&word| word as f32).collect(),
        Element::F16 => {
            bytemuck::cast_slice::<u32, half::f16>(words).iter().map(|half| half.to_f32()).collect()
        }
        Element::Q8 => {
            let levels = bytemuck::cast_slice::<u32, i8>(words).iter();
            steps(tensor, words)
                .iter()
                .zip(levels)
                .map(|(step, &level)| step * f32::from(level))
                .collect()
        }
    }
}

/// The scale of each byte of [`Element::Q8`], and 0 for the bytes of the scales themselves; empty
/// for other elements.
fn steps(tensor: &Tensor, words: &[u32]) -> Vec<f32> {
    let (Element::Q8, &[.., texels, apart, 16]) = (tensor.element(), tensor.shape()) else {
        return vec![];
    };
    let halves = bytemuck::cast_slice::<u32, half::f16>(words);
    let step = |byte: usize| {
        let (texel, row) = (byte / 16, texels * apart);
        let scales = texel / row * row + texel % apart;
        match texel % row / apart {
            0 => 0.0,
            levels => halves[8 * scales + (levels - 1) / 2].to_f32(),
        }
    };
    (0..4 * words.len()).map(step).collect()
}
