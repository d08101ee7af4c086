//! The most that an adapter does of one thing: what shares of the roof refer to.

use crate::Result;
use crate::gpu::{
    Cost, Element, Entry, Gpu, Kernel, Program, Recording, StorageKind, Strategy, TensorSpec,
};
use crate::kernels::{RoofBarrier, RoofCopy, RoofMultiplyAdd, RoofMultiplyAddHalf, RoofRead};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Measured roofs of an adapter. Rates are the best of several runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Roofs {
    /// Reading storage buffers too large for the caches, 10^9 bytes a second.
    pub read_buffer_gb_per_s: f64,
    /// Reading storage textures too large for the caches, 10^9 bytes a second; `None` where kernels
    /// cannot bind enough of them.
    pub read_texture_gb_per_s: Option<f64>,
    /// Copying between storage buffers, bytes read and written together.
    pub copy_buffer_gb_per_s: f64,
    /// Copying between storage textures, bytes read and written together.
    pub copy_texture_gb_per_s: Option<f64>,
    /// Multiply-adds of f32 in registers, two operations each, 10^9 operations a second.
    pub multiply_add_gflop_per_s: f64,
    /// Multiply-adds of f16 in registers, 10^9 operations a second; `None` where kernels cannot
    /// compute with it.
    #[serde(default)]
    pub multiply_add_f16_gflop_per_s: Option<f64>,
    /// A small dispatch in a long list of independent ones, microseconds.
    pub dispatch_us: f64,
    /// What it takes more where it reads what the one before wrote.
    pub dependent_dispatch_us: f64,
    /// A `workgroupBarrier` of 64 lanes, with the workgroup memory's traffic that needs it.
    pub workgroup_barrier_us: f64,
}

impl Roofs {
    /// The rate at which tensors in this storage are read, 10^9 bytes a second.
    pub fn read_gb_per_s(&self, storage: StorageKind) -> f64 {
        match storage {
            StorageKind::Buffer => self.read_buffer_gb_per_s,
            StorageKind::Texture => self.read_texture_gb_per_s.unwrap_or(self.read_buffer_gb_per_s),
        }
    }

    /// The least seconds that this much work can take: that of its memory traffic, or that of its
    /// arithmetic.
    pub fn seconds(&self, cost: Cost, storage: StorageKind) -> f64 {
        let memory = (cost.read + cost.written) as f64 / self.read_gb_per_s(storage);
        let arithmetic = cost.operations as f64 / self.multiply_add_gflop_per_s;
        memory.max(arithmetic) * 1e-9
    }
}

/// Texels that a lane reads or copies.
const READS: usize = 64;
/// Dispatches in a list whose time is taken.
const DISPATCHES: usize = 256;

/// Time for one roof, where five runs take less.
const PATIENCE: Duration = Duration::from_millis(250);

/// Measures all roofs: a second or two on a software adapter.
///
/// # Errors
/// When the device fails.
pub fn measure_roofs(gpu: &Gpu) -> Result<Roofs> {
    let textures = gpu.report().storage_textures >= 8;
    let in_texture = |measure: fn(&Gpu, StorageKind) -> Result<f64>| {
        if textures { measure(gpu, StorageKind::Texture).map(Some) } else { Ok(None) }
    };
    let [independent, dependent] = [false, true].map(|dependent| dispatch(gpu, dependent));
    let dispatch_us = independent?;
    Ok(Roofs {
        read_buffer_gb_per_s: read(gpu, StorageKind::Buffer)?,
        read_texture_gb_per_s: in_texture(read)?,
        copy_buffer_gb_per_s: copy(gpu, StorageKind::Buffer)?,
        copy_texture_gb_per_s: in_texture(copy)?,
        multiply_add_gflop_per_s: multiply_add(gpu, false)?,
        multiply_add_f16_gflop_per_s: if gpu.capabilities().f16 {
            Some(multiply_add(gpu, true)?)
        } else {
            None
        },
        dispatch_us,
        dependent_dispatch_us: (dependent? - dispatch_us).max(0.0),
        workgroup_barrier_us: barrier(gpu)?,
    })
}

/// Lanes whose texels no cache holds: 64 MiB for a CPU's, 128 MiB, the least binding there is, for
/// a GPU's.
fn lanes(gpu: &Gpu) -> usize {
    let bytes = if gpu.capabilities().software { 64 << 20 } else { 128 << 20 };
    let most = gpu.capabilities().max_binding_bytes.min(gpu.capabilities().max_texture_bytes);
    let lane = 16 * READS as u64;
    ((most.min(bytes) / lane) as usize / 256 * 256).max(256)
}

fn read(gpu: &Gpu, kind: StorageKind) -> Result<f64> {
    let lanes = lanes(gpu);
    let x =
        TensorSpec::new("roof x", &[lanes * READS, 4], Element::F32).stored_as(kind).make(gpu)?;
    let y = TensorSpec::new("roof y", &[lanes, 4], Element::F32).stored_as(kind).make(gpu)?;
    let (cost, seconds) = best(gpu, RoofRead { x, y, reads: READS, times: 1 })?;
    Ok((cost.read + cost.written) as f64 / seconds * 1e-9)
}

fn copy(gpu: &Gpu, kind: StorageKind) -> Result<f64> {
    let lanes = lanes(gpu) / 2;
    let x =
        TensorSpec::new("roof x", &[lanes * READS, 4], Element::F32).stored_as(kind).make(gpu)?;
    let y =
        TensorSpec::new("roof y", &[lanes * READS, 4], Element::F32).stored_as(kind).make(gpu)?;
    let (cost, seconds) = best(gpu, RoofCopy { x, y, reads: READS })?;
    Ok((cost.read + cost.written) as f64 / seconds * 1e-9)
}

fn multiply_add(gpu: &Gpu, half: bool) -> Result<f64> {
    // Enough lanes to fill a GPU, and some hundred million operations.
    let (lanes, rounds) = if gpu.capabilities().software { (2048, 1024) } else { (1 << 20, 512) };
    let [x, y] = ["roof x", "roof y"].map(|label| {
        TensorSpec::new(label, &[lanes, 4], Element::F32).stored_as(StorageKind::Buffer).make(gpu)
    });
    let (x, y, factor, addend) = (x?, y?, 0.75, 0.5);
    let rate = |(cost, seconds): (Cost, f64)| cost.operations as f64 / seconds * 1e-9;
    if half {
        // Four numbers to a register.
        let kernel = RoofMultiplyAddHalf { x, y, rounds: rounds / 4, factor, addend };
        // Its other strategies compute in f32 and only round: where f16 is slow, theirs would be
        // the better figure.
        return best_of(gpu, kernel, |strategy| strategy.needs.f16).map(rate);
    }
    let mut most = 0f64;
    for chains in RoofMultiplyAdd::CHAINS {
        let (x, y) = (x.clone(), y.clone());
        let kernel = RoofMultiplyAdd { x, y, rounds, chains, factor, addend };
        most = most.max(rate(best(gpu, kernel)?));
    }
    Ok(most)
}

/// Microseconds a dispatch.
fn dispatch(gpu: &Gpu, dependent: bool) -> Result<f64> {
    let tensors: Vec<_> = (0..2 * DISPATCHES)
        .map(|_| {
            TensorSpec::new("roof", &[8, 4], Element::F32).stored_as(StorageKind::Buffer).make(gpu)
        })
        .collect::<Result<_>>()?;
    let mut recording = Recording::default();
    for index in 0..DISPATCHES {
        let (x, y) = if dependent { (index, index + 1) } else { (2 * index, 2 * index + 1) };
        recording.push("roof", RoofCopy { x: tensors[x].clone(), y: tensors[y].clone(), reads: 1 });
    }
    let program = Program::compile(gpu, &recording)?;
    let mut shortest = Duration::MAX;
    for _ in 0..6 {
        let start = Instant::now();
        program.run(gpu);
        gpu.wait()?;
        shortest = shortest.min(start.elapsed());
    }
    Ok(shortest.as_secs_f64() / DISPATCHES as f64 * 1e6)
}

/// Microseconds a barrier: many rounds less few.
fn barrier(gpu: &Gpu) -> Result<f64> {
    let rounds = if gpu.capabilities().software { [64, 1088] } else { [1024, 17408] };
    let time = |rounds| {
        let tensor = || {
            TensorSpec::new("roof", &[RoofBarrier::LANES, 4], Element::F32)
                .stored_as(StorageKind::Buffer)
                .make(gpu)
        };
        best(gpu, RoofBarrier { x: tensor()?, y: tensor()?, rounds }).map(|(_, seconds)| seconds)
    };
    let [few, many] = rounds.map(time);
    Ok((many? - few?).max(0.0) / (2 * (rounds[1] - rounds[0])) as f64 * 1e6)
}

/// The shortest time of a call, with the strategy that is fastest.
fn best(gpu: &Gpu, kernel: impl Kernel + 'static) -> Result<(Cost, f64)> {
    best_of(gpu, kernel, |_| true)
}

/// The cost of a call, and the seconds that the fastest of the `wanted` strategies takes.
fn best_of(
    gpu: &Gpu,
    kernel: impl Kernel + 'static,
    wanted: impl Fn(&Strategy) -> bool,
) -> Result<(Cost, f64)> {
    let cost = kernel.cost(0);
    let entry = Entry { label: "roof".into(), kernel: std::sync::Arc::new(kernel) };
    let mut shortest = f64::INFINITY;
    for strategy in gpu.strategies(&*entry.kernel)?.into_iter().filter(|strategy| wanted(strategy))
    {
        let program =
            Program::compile_entries(gpu, std::slice::from_ref(&entry), |_| strategy.clone())?;
        // The first run compiles the kernel and clears the memory; more of them find a quiet
        // moment.
        let start = Instant::now();
        let mut runs = 0;
        while runs < 5 || (runs < 50 && start.elapsed() < PATIENCE) {
            shortest = program.profile(gpu)?.into_iter().fold(shortest, f64::min);
            runs += 1;
        }
    }
    Ok((cost, shortest.max(1e-9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_roof_counts() {
        let roofs = Roofs {
            read_buffer_gb_per_s: 10.0,
            read_texture_gb_per_s: Some(20.0),
            copy_buffer_gb_per_s: 1.0,
            copy_texture_gb_per_s: None,
            multiply_add_gflop_per_s: 100.0,
            multiply_add_f16_gflop_per_s: None,
            dispatch_us: 1.0,
            dependent_dispatch_us: 1.0,
            workgroup_barrier_us: 1.0,
        };
        let cost = |bytes, operations| Cost { read: bytes, written: bytes, operations };
        for (cost, storage, nanoseconds) in [
            (cost(1000, 0), StorageKind::Buffer, 200.0),
            (cost(1000, 0), StorageKind::Texture, 100.0),
            (cost(1000, 30_000), StorageKind::Buffer, 300.0),
        ] {
            assert!(
                (roofs.seconds(cost, storage) * 1e9 - nanoseconds).abs() < 1e-6,
                "{cost:?} {storage:?}"
            );
        }
    }
}
