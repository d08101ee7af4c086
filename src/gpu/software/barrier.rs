//! The barrier of a chain's workers, and the limit of their waiting time.

use super::chain::WAITING_TURNS;
use crate::gpu::device::device::Gpu;
use crate::gpu::tensor::tensor::buffer;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a run's outcome: whether workers missed each other, and how many iterations they
/// waited.
pub(in crate::gpu) const OUTCOME_BYTES: u64 = 8;

/// The state shared by the workers of a program's chains: the struct of that name in
/// `shaders/chain.wgsl`.
pub(in crate::gpu) struct GridBarrier {
    pub buffer: wgpu::Buffer,
    /// Iterations that the workers of a run usually wait, in total.
    usual: AtomicU32,
}

impl GridBarrier {
    pub fn new(gpu: &Gpu) -> Self {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        Self {
            buffer: buffer(gpu, "meeting", 16, usage),
            usual: AtomicU32::new(WAITING_TURNS as u32),
        }
    }

    /// Resets the barrier before a submission of `runs` runs. In each run all workers together may
    /// wait for three times the usual iterations plus one long wait. A thread with less work than
    /// the others waits a few iterations each time; one that shares its core with another program
    /// waits for that program's time slice. An occasional long wait is cheaper than repeating
    /// calls, and if long waits go on, the run is repeated call by call.
    pub fn begin(&self, gpu: &Gpu, runs: usize) {
        let a_run = self
            .usual
            .load(Ordering::Relaxed)
            .saturating_mul(3)
            .saturating_add(WAITING_TURNS as u32);
        let most = a_run.saturating_mul(runs as u32);
        gpu.queue.write_buffer(&self.buffer, 0, bytemuck::bytes_of(&[0, 0, 0, most]));
    }

    /// Updates the usual waiting time from runs that succeeded. It follows the growth of the cache,
    /// and ignores disturbances.
    fn learn(&self, waited: u32, runs: usize) {
        let usual = self.usual.load(Ordering::Relaxed);
        let most = (usual + usual / 4).max(64);
        self.usual.store((waited / runs.max(1) as u32).min(most), Ordering::Relaxed);
    }

    /// Encodes a copy of the latest run's outcome to byte offset `at` in `readback`.
    pub fn copy_outcome(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        readback: &wgpu::Buffer,
        at: u64,
    ) {
        const MISSED: u64 = 4; // and `waited` behind it, in the struct of shaders/chain.wgsl
        encoder.copy_buffer_to_buffer(&self.buffer, MISSED, readback, at, Some(OUTCOME_BYTES));
    }

    /// How many runs succeeded, by the outcome of each.
    pub fn went_well(&self, outcomes: &[[u32; 2]]) -> usize {
        let well = outcomes.iter().take_while(|[missed, _]| *missed == 0).count();
        match outcomes.last() {
            Some([_, waited]) if well == outcomes.len() => self.learn(*waited, well),
            _ => log::debug!("workers missed each other in run {}: {outcomes:?}", well + 1),
        }
        well
    }
}
