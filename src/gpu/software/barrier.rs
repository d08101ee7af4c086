//! What the workers of chains meet at, and how long they may wait.

use super::chain::WAITING_TURNS;
use crate::gpu::device::device::Gpu;
use crate::gpu::tensor::tensor::buffer;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a run's outcome: whether workers missed each other, and how long they waited.
pub(in crate::gpu) const OUTCOME_BYTES: u64 = 8;

/// What the workers of a program's chains share: the struct of that name in `shaders/chain.wgsl`.
pub(in crate::gpu) struct GridBarrier {
    pub buffer: wgpu::Buffer,
    /// Turns that the workers of a run usually wait, all together.
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

    /// Before a submission of so many runs: no worker has arrived. In each run all workers together
    /// may wait for three times what is usual, and once for long. A thread that has less to do than
    /// others waits for a few iterations each time; one that shares its core with other programs, for
    /// as long as these are let run. Now and then that is cheaper than to run calls again, and if it
    /// goes on single calls are.
    pub fn begin(&self, gpu: &Gpu, runs: usize) {
        let a_run = self
            .usual
            .load(Ordering::Relaxed)
            .saturating_mul(3)
            .saturating_add(WAITING_TURNS as u32);
        let most = a_run.saturating_mul(runs as u32);
        gpu.queue.write_buffer(&self.buffer, 0, bytemuck::bytes_of(&[0, 0, 0, most]));
    }

    /// Learns what is usual from runs that went well. It follows a growing cache, but no
    /// disturbance.
    fn learn(&self, waited: u32, runs: usize) {
        let usual = self.usual.load(Ordering::Relaxed);
        let most = (usual + usual / 4).max(64);
        self.usual.store((waited / runs.max(1) as u32).min(most), Ordering::Relaxed);
    }

    /// Records a copy of the latest run's outcome to `at` bytes in `readback`.
    pub fn copy_outcome(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        readback: &wgpu::Buffer,
        at: u64,
    ) {
        const MISSED: u64 = 4; // and `waited` behind it, in the struct of shaders/chain.wgsl
        encoder.copy_buffer_to_buffer(&self.buffer, MISSED, readback, at, Some(OUTCOME_BYTES));
    }

    /// How many runs went well, by the outcome of each.
    pub fn went_well(&self, outcomes: &[[u32; 2]]) -> usize {
        let well = outcomes.iter().take_while(|[missed, _]| *missed == 0).count();
        match outcomes.last() {
            Some([_, waited]) if well == outcomes.len() => self.learn(*waited, well),
            _ => log::debug!("workers missed each other in run {}: {outcomes:?}", well + 1),
        }
        well
    }
}
