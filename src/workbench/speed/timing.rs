//! Times strategies on shapes, after checking that their results are right.

use super::roofs::Roofs;
use super::yardstick::Yardstick;
use crate::gpu::{Cost, Entry, Gpu, Program, StorageKind, Strategy, UserShader};
use crate::kernels::BenchShape;
use crate::workbench::checks::check::check_case;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The measurement of one strategy on one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// A description of the shape.
    pub shape: String,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// Median time of the runs in microseconds.
    pub median_us: f64,
    /// Time in microseconds that a quarter of the runs did not exceed.
    pub quarter_us: f64,
    /// Time in microseconds that three quarters of the runs did not exceed.
    pub three_quarters_us: f64,
    /// Number of timed runs.
    pub runs: usize,
    /// Bytes that the call must read and write, counting each operand once; `None` if unknown.
    pub bytes: Option<u64>,
    /// Floating-point operations of the call.
    pub operations: u64,
    /// 10^9 bytes per second at the median time; `None` if the bytes are unknown.
    pub gb_per_s: Option<f64>,
    /// 10^9 operations per second at the median time.
    pub gflop_per_s: f64,
    /// The least time by the measured roofs, divided by the median. It exceeds 1 if operands stay
    /// in a cache, because the roof of reading does not use caches.
    pub share_of_roof: Option<f64>,
    /// The largest error against the reference on this shape, as the doctor measures it; `None`
    /// without a reference.
    #[serde(default)]
    pub max_error: Option<f32>,
    /// The times of fixed work just before and after, in long and in short dispatches, in
    /// microseconds. They distinguish a busy machine from a slow kernel.
    #[serde(default)]
    pub yardstick_us: Option<[f64; 2]>,
}

/// The least work and time of a call.
pub(in crate::workbench) struct Least {
    /// Bytes that it moves; `None` if unknown.
    pub(in crate::workbench) bytes: Option<u64>,
    /// Operations that it computes.
    pub(in crate::workbench) operations: u64,
    /// The least seconds by the roofs; `None` if unknown.
    pub(in crate::workbench) seconds: Option<f64>,
}

impl Least {
    fn of(roofs: &Roofs, cost: Cost, storage: StorageKind) -> Self {
        let seconds = Some(roofs.seconds(cost, storage));
        Self { bytes: Some(cost.read + cost.written), operations: cost.operations, seconds }
    }
}

impl Measurement {
    /// Summarises the seconds of all runs, sorted ascending. `names` are those of shape, kernel and
    /// strategy.
    pub(in crate::workbench) fn new(names: [&str; 3], times: &[f64], least: &Least) -> Self {
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        let median = at(0.5).max(1e-9);
        let [shape, kernel, strategy] = names.map(String::from);
        Self {
            shape,
            kernel,
            strategy,
            median_us: median * 1e6,
            quarter_us: at(0.25) * 1e6,
            three_quarters_us: at(0.75) * 1e6,
            runs: times.len(),
            bytes: least.bytes,
            operations: least.operations,
            gb_per_s: least.bytes.map(|bytes| bytes as f64 / median * 1e-9),
            gflop_per_s: least.operations as f64 / median * 1e-9,
            share_of_roof: least.seconds.map(|least| least / median),
            max_error: None,
            yardstick_us: None,
        }
    }
}

/// A strategy without a measurement, because it is wrong or does not run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    /// A description of the shape.
    pub shape: String,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// A description of the failure.
    pub reason: String,
}

/// Total seconds for the runs of one strategy, and the least and the most runs.
const SECONDS: f64 = 0.12;
const RUNS: std::ops::RangeInclusive<usize> = 7..=101;

/// Total seconds beyond which fewer runs than the least suffice.
const LONG: f64 = 20.0;
const FEWEST: usize = 3;

/// A shader supplied by the user, to be timed.
pub struct UserShaderCall<'a> {
    /// The device that holds it.
    pub gpu: &'a Gpu,
    /// The shader with its bindings.
    pub program: &'a UserShader,
    /// Names of the file and of the entry point.
    pub names: [&'a str; 2],
    /// Bytes that a run moves, as stated by the user, because they cannot be counted from the text.
    pub moved: Option<u64>,
    /// Floating-point operations of a run, as stated by the user.
    pub operations: u64,
    /// The kind of storage that holds most of its bytes.
    pub storage: StorageKind,
}

/// Times calls on a device, and fixed work to record how busy the machine is.
pub struct Stopwatch<'a> {
    gpu: &'a Arc<Gpu>,
    roofs: &'a Roofs,
    yardstick: Yardstick,
}

impl<'a> Stopwatch<'a> {
    /// A stopwatch for calls on `gpu`, with the adapter's measured `roofs`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(gpu: &'a Arc<Gpu>, roofs: &'a Roofs) -> Result<Self> {
        Ok(Self { gpu, roofs, yardstick: Yardstick::new(gpu)? })
    }

    /// Checks and times every strategy that the device offers for `shape`.
    ///
    /// # Errors
    /// When the device fails other than by a kernel that does not compile.
    pub fn measure(
        &self,
        shape: &BenchShape,
    ) -> Result<Vec<std::result::Result<Measurement, Refused>>> {
        let gpu = self.gpu;
        let mut case = shape.case(gpu)?;
        let kernel = Arc::clone(&case.kernel);
        let mut found = vec![];
        for (index, strategy) in gpu.strategies(&*kernel)?.into_iter().enumerate() {
            let refused = |reason: String| {
                let (kernel, strategy) = (kernel.name().into(), strategy.name.into());
                Err(Refused { shape: shape.what.clone(), kernel, strategy, reason })
            };
            let max_error = match check_case(gpu, &mut case, index) {
                Ok(comparison) => match comparison.divergence {
                    None => comparison.max_error,
                    Some(divergence) => {
                        found.push(refused(divergence.to_string()));
                        continue;
                    }
                },
                Err(error @ Error::Kernel { .. }) => {
                    found.push(refused(error.to_string()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let entry = Entry { label: shape.what.clone(), kernel: Arc::clone(&kernel) };
            let measurement = self.of_entry(&entry, shape.context, &strategy)?;
            found.push(Ok(Measurement { max_error: Some(max_error), ..measurement }));
        }
        Ok(found)
    }

    /// Times one previously checked strategy for `shape` again; `None` if it no longer exists.
    /// # Errors
    /// When the device fails.
    pub fn again(&self, shape: &BenchShape, before: &Measurement) -> Result<Option<Measurement>> {
        let kernel = shape.case(self.gpu)?.kernel;
        let strategies = self.gpu.strategies(&*kernel)?;
        let index = strategies.iter().position(|strategy| strategy.name == before.strategy);
        let Some(index) = index.filter(|_| kernel.name() == before.kernel) else {
            return Ok(None);
        };
        let entry = Entry { label: shape.what.clone(), kernel };
        // The first run after compiling also clears memory.
        let program = Program::compile_entries(self.gpu, std::slice::from_ref(&entry), |all| {
            all.swap_remove(index)
        })?;
        program.profile(self.gpu)?;
        let measurement = self.of_entry(&entry, shape.context, &strategies[index])?;
        Ok(Some(Measurement { max_error: before.max_error, ..measurement }))
    }

    fn of_entry(&self, entry: &Entry, context: usize, strategy: &Strategy) -> Result<Measurement> {
        let gpu = self.gpu;
        let program =
            Program::compile_entries(gpu, std::slice::from_ref(entry), |_| strategy.clone())?;
        let least = Least::of(self.roofs, entry.kernel.cost(context), gpu.capabilities().storage);
        let names = [&*entry.label, entry.kernel.name(), strategy.name];
        self.timed(names, &least, || Ok(program.profile(gpu)?.into_iter().sum()))
    }

    /// Times a user's shader on its device, where it must have run before; `told` is called after
    /// each run.
    ///
    /// # Errors
    /// When the device fails.
    pub fn of_foreign(
        &self,
        call: &UserShaderCall<'_>,
        mut told: impl FnMut(),
    ) -> Result<Measurement> {
        let UserShaderCall { gpu, program, names, moved, operations, storage } = *call;
        let cost = Cost { read: moved.unwrap_or(0), written: 0, operations };
        let known = moved.is_some() || operations > 0;
        let seconds = known.then(|| self.roofs.seconds(cost, storage));
        let least = Least { bytes: moved, operations, seconds };
        let [file, entry] = names;
        self.timed([file, entry, "own"], &least, || {
            told();
            program.run(gpu)
        })
    }

    /// Times `run`, with the yardstick before and after.
    fn timed(
        &self,
        names: [&str; 3],
        least: &Least,
        mut run: impl FnMut() -> Result<f64>,
    ) -> Result<Measurement> {
        let before = self.yardstick.us(self.gpu)?;
        let (mut times, mut sum) = (vec![], 0.0);
        let enough = |count: usize, sum: f64| match count {
            ..FEWEST => false,
            count if count < *RUNS.start() => sum > LONG,
            count => sum > SECONDS || count >= *RUNS.end(),
        };
        while !enough(times.len(), sum) {
            let seconds = run()?;
            times.push(seconds);
            sum += seconds;
        }
        times.sort_by(f64::total_cmp);
        let after = self.yardstick.us(self.gpu)?;
        let yardstick_us = Some([0, 1].map(|at| (before[at] + after[at]) / 2.0));
        Ok(Measurement { yardstick_us, ..Measurement::new(names, &times, least) })
    }
}
