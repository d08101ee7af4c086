//! A fixed piece of work, whose time shows how busy the machine is at the moment.

use crate::Result;
use crate::gpu::{Element, Entry, Gpu, Program, StorageKind, TensorSpec};
use crate::kernels::{RoofMultiplyAdd, RoofRead};
use std::sync::Arc;

/// Fixed reads and multiply-adds, in long dispatches and in short ones, because other programs
/// affect the two differently.
pub(in crate::workbench) struct Yardstick {
    long: Program,
    short: Program,
}

/// Runs from which medians are taken, for long and for short dispatches.
const RUNS: [usize; 2] = [7, 31];
/// Texels that a lane reads.
const READS: usize = 64;

impl Yardstick {
    pub(in crate::workbench) fn new(gpu: &Gpu) -> Result<Self> {
        // A few milliseconds on a CPU, and less on a GPU, which is seldom shared.
        let (lanes, rounds) = if gpu.capabilities().software { (8192, 256) } else { (65536, 512) };
        Ok(Self {
            long: program(gpu, lanes, rounds)?,
            short: program(gpu, lanes / 32, rounds / 8)?,
        })
    }

    /// The median times in microseconds of long and of short dispatches.
    pub(in crate::workbench) fn us(&self, gpu: &Gpu) -> Result<[f64; 2]> {
        Ok([median(gpu, &self.long, RUNS[0])?, median(gpu, &self.short, RUNS[1])?])
    }
}

fn program(gpu: &Gpu, lanes: usize, rounds: usize) -> Result<Program> {
    let tensor = |label, lanes: usize| {
        TensorSpec::new(label, &[lanes, 4], Element::F32).stored_as(StorageKind::Buffer).make(gpu)
    };
    let read = RoofRead {
        x: tensor("yardstick x", lanes * READS)?,
        y: tensor("yardstick y", lanes)?,
        reads: READS,
        times: 1,
    };
    let chains = RoofMultiplyAdd::CHAINS[0];
    let (x, y) = (tensor("yardstick x", lanes / 4)?, tensor("yardstick y", lanes / 4)?);
    let add = RoofMultiplyAdd { x, y, rounds, chains, factor: 0.75, addend: 0.5 };
    let entries = [
        Entry { label: "yardstick".into(), kernel: Arc::new(read) },
        Entry { label: "yardstick".into(), kernel: Arc::new(add) },
    ];
    let program = Program::compile_entries(gpu, &entries, |all| all.swap_remove(0))?;
    // The first run compiles and clears memory.
    program.profile(gpu)?;
    Ok(program)
}

fn median(gpu: &Gpu, program: &Program, runs: usize) -> Result<f64> {
    let run = |_| Ok(program.profile(gpu)?.into_iter().sum());
    let mut times: Vec<f64> = (0..runs).map(run).collect::<Result<_>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times[runs / 2] * 1e6)
}
