//! How long a strategy takes on a shape: checked first, then timed.

use super::roofs::Roofs;
use super::yardstick::Yardstick;
use crate::gpu::{Cost, Entry, Gpu, Program, StorageKind, Strategy, UserShader};
use crate::kernels::BenchShape;
use crate::workbench::checks::check::check_case;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One strategy on one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The shape, in words.
    pub shape: String,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// Median of the runs, microseconds.
    pub median_us: f64,
    /// A quarter of the runs took no longer than this.
    pub quarter_us: f64,
    /// Three quarters of the runs took no longer than this.
    pub three_quarters_us: f64,
    /// Runs timed.
    pub runs: usize,
    /// Bytes that the call must read and write, each operand once; `None` where it is not known how
    /// many.
    pub bytes: Option<u64>,
    /// Its floating-point operations.
    pub operations: u64,
    /// 10^9 bytes a second at the median.
    pub gb_per_s: Option<f64>,
    /// 10^9 operations a second at the median.
    pub gflop_per_s: f64,
    /// The least time that the measured roofs allow, by the median. More than 1 where operands stay
    /// in a cache, which the roof of reading does not.
    pub share_of_roof: Option<f64>,
    /// The worst error against the reference on this shape, as doctor counts it; `None` without a
    /// reference.
    #[serde(default)]
    pub max_error: Option<f32>,
    /// What fixed work took just before and after, in long dispatches and in short ones,
    /// microseconds: it tells a busy machine from a slow kernel.
    #[serde(default)]
    pub yardstick_us: Option<[f64; 2]>,
}

/// What a call takes at least.
pub(in crate::workbench) struct Least {
    /// Bytes it moves, where that is known.
    pub(in crate::workbench) bytes: Option<u64>,
    /// Its operations.
    pub(in crate::workbench) operations: u64,
    /// Seconds that the roofs allow.
    pub(in crate::workbench) seconds: Option<f64>,
}

impl Least {
    fn of(roofs: &Roofs, cost: Cost, storage: StorageKind) -> Self {
        let seconds = Some(roofs.seconds(cost, storage));
        Self { bytes: Some(cost.read + cost.written), operations: cost.operations, seconds }
    }
}

impl Measurement {
    /// From the seconds of all runs, the shortest first. `names` are those of shape, kernel and
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

/// A strategy without a figure, for it is wrong or does not run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    /// The shape, in words.
    pub shape: String,
    /// The kernel's name.
    pub kernel: String,
    /// The strategy's name.
    pub strategy: String,
    /// What is wrong.
    pub reason: String,
}

/// Seconds that the runs of one strategy take together, and the counts of runs between which that
/// is sought.
const SECONDS: f64 = 0.12;
const RUNS: std::ops::RangeInclusive<usize> = 7..=101;

/// A run that takes longer makes fewer of them enough, seconds of all together.
const LONG: f64 = 20.0;
const FEWEST: usize = 3;

/// A shader that is none of ours, to be timed.
pub struct UserShaderCall<'a> {
    /// The device it is on.
    pub gpu: &'a Gpu,
    /// The shader with what it binds.
    pub program: &'a UserShader,
    /// Names of the file and the entry point.
    pub names: [&'a str; 2],
    /// Bytes that a run moves, as its author says, because they cannot be counted from the text.
    pub moved: Option<u64>,
    /// Its floating-point operations, which are its author's word, too.
    pub operations: u64,
    /// Where most of its bytes are.
    pub storage: StorageKind,
}

/// Times calls on a device, with the pace of that minute.
pub struct Stopwatch<'a> {
    gpu: &'a Arc<Gpu>,
    roofs: &'a Roofs,
    yardstick: Yardstick,
}

impl<'a> Stopwatch<'a> {
    /// For calls on `gpu`, whose roofs are these.
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

    /// Times one strategy again that was checked before, for `shape`; `None` where it is not there.
    ///
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
        // The first run after compiling clears memory, too.
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

    /// Times a shader that is none of ours on its own device, where it ran before; `told` hears of
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

    /// Times what `run` does, with the yardstick before and after.
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
