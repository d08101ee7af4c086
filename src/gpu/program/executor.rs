//! Runs of a step that feeds itself, several in a submission.

use super::fused::Fused;
use super::program::Program;
use crate::Result;
use crate::gpu::device::device::{Gpu, lock};
use crate::gpu::kernel::recording::Recording;
use crate::gpu::software::backoff::Backoff;
use crate::gpu::software::barrier::{GridBarrier, OUTCOME_BYTES};
use crate::gpu::tensor::tensor::{Tensor, buffer};
use crate::gpu::tensor::transfer::map_words;
use std::sync::{Mutex, OnceLock};

/// A step with a small result that the next run reads, such as the decoding of one token.
///
/// Where the adapter rewards it, blocks of calls are fused into one dispatch, which may fail and is
/// then repeated call by call: see `src/gpu/software`. Results are the same either way.
pub struct Executor {
    recording: Recording,
    /// The program with fused blocks, where the device supports them.
    fused: Option<Fused>,
    /// The program with one dispatch for each call, compiled when it is first needed.
    plain: OnceLock<Program>,
    backoff: Mutex<Backoff>,
    state: Vec<Tensor>,
    readback: wgpu::Buffer,
    /// The most runs in a submission, as many as the readback has slots.
    most: usize,
}

/// The results of a submission of runs.
#[derive(Debug, Default)]
pub struct Ran {
    /// The words of the result tensor after each run.
    pub results: Vec<Vec<u32>>,
    /// Dispatches, including those of repeated runs.
    pub dispatches: usize,
    /// Submissions to the device.
    pub submissions: usize,
    /// Bytes of results read back.
    pub readback_bytes: u64,
}

impl Executor {
    /// Compiles `recording` for submissions of at most `most` runs. `state` are uniform tensors,
    /// the result first: everything that a run reads of an earlier one's output, except for what it
    /// writes before reading.
    ///
    /// # Errors
    /// When a kernel does not compile; the message names it.
    pub fn compile(
        gpu: &Gpu,
        recording: &Recording,
        state: &[Tensor],
        most: usize,
    ) -> Result<Self> {
        let fused = Fused::compile(gpu, recording)?;
        let plain = OnceLock::new();
        if fused.is_none() {
            let _ = plain.set(Program::compile(gpu, recording)?);
        }
        let state_bytes: u64 = state.iter().map(Tensor::data_bytes).sum();
        use wgpu::BufferUsages as Usage;
        // The state before the first run and after each run, each with the run's outcome.
        let size = (state_bytes + OUTCOME_BYTES) * (1 + most as u64);
        let readback = buffer(gpu, "readback", size, Usage::MAP_READ | Usage::COPY_DST);
        let (recording, state) = (recording.clone(), state.to_vec());
        Ok(Self { recording, fused, plain, backoff: Mutex::default(), state, readback, most })
    }

    /// Dispatches in a run that does not fail.
    pub fn dispatches(&self) -> usize {
        match &self.fused {
            Some(fused) => fused.program.dispatches(),
            None => self.recording.entries().len(),
        }
    }

    /// The program with one dispatch for each call.
    ///
    /// # Errors
    /// When a kernel does not compile; the message names it.
    pub fn plain(&self, gpu: &Gpu) -> Result<&Program> {
        if self.plain.get().is_none() {
            // Another thread may have won the race; both programs are equal.
            let _ = self.plain.set(Program::compile(gpu, &self.recording)?);
        }
        Ok(self.plain.wait())
    }

    /// Makes the driver compile in advance what it otherwise compiles at the first run: see
    /// [`Program::warm_up`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn warm_up(&self, gpu: &Gpu) -> Result<()> {
        match &self.fused {
            Some(fused) => fused.program.warm_up(gpu),
            None => self.plain(gpu)?.warm_up(gpu),
        }
    }

    /// Runs `runs` times, each on the state that the previous run left, and waits for the last one.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When there are more runs than readback slots.
    #[track_caller]
    pub fn run(&self, gpu: &Gpu, runs: usize) -> Result<Ran> {
        assert!(runs <= self.most, "{runs} runs in room for {}", self.most);
        let mut ran = Ran::default();
        let result_bytes = self.state.first().map_or(0, Tensor::data_bytes);
        while ran.results.len() < runs {
            let left = runs - ran.results.len();
            let fused = self.fused.as_ref().filter(|_| lock(&self.backoff).is_over());
            let (states, went_well) = self.attempt(gpu, fused, left)?;
            ran.submissions += 1;
            let calls = self.recording.entries().len();
            ran.dispatches += left * fused.map_or(calls, |fused| fused.program.dispatches());
            ran.readback_bytes += left as u64 * result_bytes;
            if went_well == left {
                lock(&self.backoff).went_well(left, fused.is_some());
            } else {
                lock(&self.backoff).missed();
                self.restore(gpu, &states[went_well]);
            }
            let result_words = result_bytes as usize / 4;
            let results = states[1..=went_well].iter();
            ran.results.extend(results.map(|state| state[..result_words].to_vec()));
        }
        Ok(ran)
    }

    /// Runs once without reading the result back; waits only if the run may fail.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run_one(&self, gpu: &Gpu) -> Result<Ran> {
        if self.fused.is_some() {
            return self.run(gpu, 1);
        }
        let program = self.plain(gpu)?;
        program.run(gpu);
        Ok(Ran { dispatches: program.dispatches(), submissions: 1, ..Ran::default() })
    }

    /// The program with fused blocks, where the device supports them.
    pub(in crate::gpu) fn fused(&self) -> Option<&Fused> {
        self.fused.as_ref()
    }

    /// Submits `runs` runs and waits. Returns the words of the state before the first run and after
    /// each, and how many runs succeeded.
    pub(in crate::gpu) fn attempt(
        &self,
        gpu: &Gpu,
        fused: Option<&Fused>,
        runs: usize,
    ) -> Result<(Vec<Vec<u32>>, usize)> {
        let Some(fused) = fused else {
            return Ok((self.submit(gpu, self.plain(gpu)?, None, runs)?, runs));
        };
        let states = self.submit(gpu, &fused.program, Some(&fused.barrier), runs)?;
        let outcome = |state: &Vec<u32>| [state[state.len() - 2], state[state.len() - 1]];
        let outcomes: Vec<_> = states[1..].iter().map(outcome).collect();
        Ok((states, fused.barrier.went_well(&outcomes)))
    }

    /// Submits `runs` runs of `program` and waits. Returns the words of the state before the first
    /// run and after each, followed by the run's outcome if blocks are fused.
    fn submit(
        &self,
        gpu: &Gpu,
        program: &Program,
        barrier: Option<&GridBarrier>,
        runs: usize,
    ) -> Result<Vec<Vec<u32>>> {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let state_bytes: u64 = self.state.iter().map(Tensor::data_bytes).sum();
        let slot_bytes = state_bytes + barrier.map_or(0, |_| OUTCOME_BYTES);
        if let Some(barrier) = barrier {
            barrier.begin(gpu, runs);
        }
        for run in 0..=runs as u64 {
            if run > 0 {
                program.encode(&mut encoder);
            }
            let mut at = run * slot_bytes;
            for tensor in &self.state {
                tensor.copy_words(&mut encoder, &self.readback, at);
                at += tensor.data_bytes();
            }
            if let Some(barrier) = barrier {
                barrier.copy_outcome(&mut encoder, &self.readback, at);
            }
        }
        gpu.queue.submit([encoder.finish()]);
        let words = map_words(gpu, &self.readback)?;
        Ok(words.chunks(slot_bytes as usize / 4).take(1 + runs).map(<[u32]>::to_vec).collect())
    }

    /// Restores the state that the first run to repeat starts from.
    fn restore(&self, gpu: &Gpu, mut words: &[u32]) {
        for tensor in &self.state {
            let (own, others) = words.split_at(tensor.words());
            let mut padded = own.to_vec();
            padded.resize(own.len().next_multiple_of(4), 0);
            tensor.write(gpu, 0, bytemuck::cast_slice(&padded));
            words = others;
        }
    }
}
