//! The trainer: compiled steps, several of which are submitted together.

use crate::error::Remedy;
use crate::gpu::{Device, Gpu, Program, Readback, Recording, Submission, Tensor};
use crate::kernels::SampleBatch;
use crate::model::profile::Timing;
use crate::train::data::shuffle::Shuffle;
use crate::train::model::config::Shape;
use crate::train::model::low_rank::LoraSettings;
use crate::train::model::network::Network;
use crate::train::model::parameters::Parameters;
use crate::train::optimisation::optimiser::Optimizer;
use crate::train::optimisation::score::Score;
use crate::train::optimisation::step::Step;
use crate::train::settings::Settings;
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Most steps, or batches of an evaluation, in one submission.
pub(super) const AT_ONCE: usize = 32;

/// A model in training on a device.
pub struct Trainer {
    gpu: Arc<Gpu>,
    /// Shape of the network.
    pub shape: Shape,
    /// Weights of the network, and its adapter if there is one.
    pub network: Network,
    /// Batch size, optimiser and learning rate.
    pub settings: Settings,
    /// The parameters that are trained: the adapter's, or else all weights.
    pub parameters: Parameters,
    /// The optimiser and its moments.
    pub optimiser: Optimizer,
    step: Program,
    recording: Recording,
    evaluation: Program,
    /// Loss, accuracy and count of each forward pass of a step.
    totals: Vec<Tensor>,
    readback: Readback,
    clock: Tensor,
    draw_clock: Tensor,
    schedule: Tensor,
    starts: Tensor,
    shares: Tensor,
    /// Prefix sums: the number of targets before each token of the data, and in all of it.
    learned: Vec<u32>,
    bytes: u64,
    done: u64,
}

impl Trainer {
    /// Creates a trainer at step 0 for a network whose weights are drawn from the settings' seed.
    ///
    /// # Errors
    /// When settings are impossible, or the device cannot hold everything.
    pub fn new(gpu: &Arc<Gpu>, shape: &Shape, settings: &Settings, data: &[u32]) -> Result<Self> {
        Self::refuse_beyond(gpu, shape, None, settings, data.len())?;
        Self::of(gpu, Network::random(gpu, shape, settings.seed)?, settings, data)
    }

    /// Bytes on `gpu` of a network of `shape`, of its adapter if `lora` is given, and of its
    /// training on data of `words` tokens. Nothing is allocated.
    ///
    /// # Errors
    /// When shape or settings are impossible.
    pub fn bytes_of(
        gpu: &Gpu,
        shape: &Shape,
        lora: Option<&LoraSettings>,
        settings: &Settings,
        words: usize,
    ) -> Result<u64> {
        let network = Network::zeros(&Device::Reference, shape, lora)?;
        let step = Step::record(&Device::Reference, &network, settings, words)?;
        Ok(step.bytes(gpu, network.trained()))
    }

    /// Refuses a training that cannot fit on `gpu`, before any of it is allocated.
    ///
    /// # Errors
    /// When shape or settings are impossible, or when it does not fit, with the figures.
    pub fn refuse_beyond(
        gpu: &Gpu,
        shape: &Shape,
        lora: Option<&LoraSettings>,
        settings: &Settings,
        words: usize,
    ) -> Result<()> {
        let what = if lora.is_some() { "the weights and an adapter" } else { "the weights" };
        let what = format!("{what} with gradients, moments and activations");
        let remedy = Remedy::SmallerTraining { or_adapter: lora.is_none() };
        gpu.refuse_more(0, Self::bytes_of(gpu, shape, lora, settings, words)?, &what, remedy)
    }

    /// Creates a trainer at step 0. `data` holds token ids; the top bit marks a token that is not a
    /// target, and [`SampleBatch::NONE`] is padding.
    ///
    /// # Errors
    /// When settings are impossible, or the device cannot hold everything.
    pub fn of(gpu: &Arc<Gpu>, network: Network, settings: &Settings, data: &[u32]) -> Result<Self> {
        let (shape, parameters) = (network.shape.clone(), network.trained().clone());
        let ids = data
            .iter()
            .filter(|word| **word != SampleBatch::NONE)
            .map(|word| word & (u32::MAX >> 1));
        if let Some(id) = ids.into_iter().find(|&id| id as usize >= shape.vocab_size) {
            return Err(Error::InvalidToken { id, vocab_size: shape.vocab_size });
        }
        let device = Device::Gpu(Arc::clone(gpu));
        let step = Step::record(&device, &network, settings, data.len())?;
        let bytes = step.bytes(gpu, network.trained());
        let mut padded = data.to_vec();
        padded.resize(step.data.len(), 0);
        step.data.write(gpu, 0, bytemuck::cast_slice(&padded));
        Ok(Self {
            gpu: Arc::clone(gpu),
            shape,
            network,
            settings: settings.clone(),
            step: Program::compile(gpu, &step.recording)?,
            evaluation: Program::compile(gpu, &step.evaluation)?,
            readback: Readback::new(gpu, &step.totals[0], AT_ONCE * settings.accumulate),
            recording: step.recording,
            parameters,
            optimiser: step.optimiser,
            totals: step.totals,
            clock: step.clock,
            draw_clock: step.draw_clock,
            schedule: step.schedule,
            starts: step.starts,
            shares: step.shares,
            learned: learned(data),
            bytes,
            done: 0,
        })
    }

    /// Bytes of all tensors, including the network.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of steps done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Sets the number of steps done, after parameters and moments were replaced.
    pub fn set_done(&mut self, steps: u64) {
        self.done = steps;
    }

    /// The device that the trainer runs on.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The kernel calls of a step.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Times each dispatch of `steps` steps separately. The learning rate is 0, so parameters keep
    /// their values; moments that are updated in place do change.
    ///
    /// # Errors
    /// When the device fails.
    pub fn profile(&self, steps: usize) -> Result<Vec<Timing>> {
        let mut timings = vec![];
        for _ in 0..steps {
            self.reset(&[0.0; 4], &[0; 4]);
            self.shares.write(&self.gpu, 0, bytemuck::cast_slice(&[1f32; 4]));
            let seconds = self.step.profile(&self.gpu)?;
            timings.extend(self.recording.entries().iter().zip(seconds).map(|(entry, seconds)| {
                Timing {
                    tokens: self.settings.batch * self.settings.accumulate * self.shape.context,
                    label: entry.label.clone(),
                    kernel: entry.kernel.name(),
                    cost: entry.kernel.cost(0),
                    seconds,
                }
            }));
        }
        Ok(timings)
    }

    /// Resets the step and pass counters, and uploads the sequence starts and learning rates of the
    /// next steps.
    fn reset(&self, schedule: &[f32], starts: &[u32]) {
        for clock in [&self.clock, &self.draw_clock] {
            clock.write(&self.gpu, 0, &[0; 16]);
        }
        if schedule.len() >= 4 {
            self.schedule.write(&self.gpu, 0, bytemuck::cast_slice(schedule));
        }
        let mut starts = starts.to_vec();
        starts.resize(starts.len().next_multiple_of(4), SampleBatch::NONE);
        if !starts.is_empty() {
            self.starts.write(&self.gpu, 0, bytemuck::cast_slice(&starts));
        }
    }

    /// Takes `count` steps over sequences that begin at `places` of the data, in the order of
    /// `order`, and returns the score of each step.
    ///
    /// # Errors
    /// When the device fails, or a loss is not finite.
    #[track_caller]
    pub fn train(
        &mut self,
        count: usize,
        places: &[u32],
        order: &mut Shuffle,
    ) -> Result<Vec<Score>> {
        let Settings { batch, accumulate, schedule, optimizer, .. } = self.settings;
        let mut scores = vec![];
        while scores.len() < count {
            let steps = (count - scores.len()).min(AT_ONCE);
            let mut rows = Vec::with_capacity(4 * steps);
            for step in (self.done + 1..).take(steps) {
                let [mean, square] = optimizer.corrections(step);
                rows.extend([schedule.at(step) as f32, mean, square, 0.0]);
            }
            let each = (batch * accumulate) as u64;
            let drawn = self.done * each..(self.done + steps as u64) * each;
            let starts: Vec<u32> =
                drawn.map(|position| places[order.at(position) as usize]).collect();
            self.reset(&rows, &starts);
            let shares = self.shares_of(&starts);
            self.shares.write(&self.gpu, 0, bytemuck::cast_slice(&shares));
            let mut submission = Submission::new(&self.gpu, &self.readback);
            for step in 0..steps {
                if step == 1 {
                    submission.hand_over();
                }
                submission.run(&self.step);
                self.optimiser
                    .copies(&self.parameters)
                    .for_each(|(next, now)| submission.copy(next, now));
                self.totals.iter().for_each(|total| submission.keep(total));
            }
            let found: Vec<Score> =
                submission.finish()?.iter().map(|words| Score::from_bits(words)).collect();
            for score in found.chunks(accumulate).map(Score::mean) {
                self.done += 1;
                scores.push(self.finite(score)?);
            }
        }
        Ok(scores)
    }

    /// The weight of each forward pass over sequences that begin at `starts` within its step: its
    /// fraction of the step's targets. The gradient is then that of the mean over all targets,
    /// whatever the division into passes. Padded to a multiple of four.
    fn shares_of(&self, starts: &[u32]) -> Vec<f32> {
        let Settings { batch, accumulate, loss_positions, .. } = self.settings;
        let before = |word: usize| self.learned[word.min(self.learned.len() - 1)];
        let targets = |start: &u32| {
            let end = *start as usize + self.shape.context + 1;
            before(end) - before(end - loss_positions)
        };
        let mut shares = vec![];
        for step in starts.chunks(accumulate * batch) {
            let passes: Vec<u32> =
                step.chunks(batch).map(|pass| pass.iter().map(targets).sum()).collect();
            let all = passes.iter().sum::<u32>().max(1);
            shares.extend(passes.iter().map(|&pass| (f64::from(pass) / f64::from(all)) as f32));
        }
        shares.resize(shares.len().next_multiple_of(4), 0.0);
        shares
    }

    /// The score over sequences that begin at `places`.
    ///
    /// # Errors
    /// When the device fails, or the loss is not finite.
    pub fn evaluate(&self, places: &[u32]) -> Result<Score> {
        let batch = self.settings.batch;
        let mut scores = vec![];
        for part in places.chunks(AT_ONCE * batch) {
            let runs = part.len().div_ceil(batch);
            let mut starts = part.to_vec();
            starts.resize(runs * batch, SampleBatch::NONE);
            self.reset(&[], &starts);
            let mut submission = Submission::new(&self.gpu, &self.readback);
            for _ in 0..runs {
                submission.run(&self.evaluation);
                submission.keep(&self.totals[0]);
            }
            scores.extend(submission.finish()?.iter().map(|words| Score::from_bits(words)));
        }
        self.finite(Score::mean(&scores))
    }

    /// Refuses a score that is not finite, because every later step would be as well.
    fn finite(&self, score: Score) -> Result<Score> {
        if score.loss.is_finite() {
            return Ok(score);
        }
        Err(Error::Diverged {
            what: format!("the loss of step {} is {}", self.done, score.loss),
            learning_rate: self.settings.schedule.learning_rate,
        })
    }

    /// Starts of consecutive sequences within the tokens `range` of the data, which include their
    /// targets.
    pub fn windows(&self, range: Range<usize>) -> Vec<u32> {
        let end = range.end.min(self.learned.len() - 1).saturating_sub(self.shape.context);
        (range.start..end).step_by(self.shape.context).map(|start| start as u32).collect()
    }
}

/// The number of targets before each token of `data`, and in all of it. A token is a target if its
/// top bit is not set.
fn learned(data: &[u32]) -> Vec<u32> {
    let counts = data.iter().scan(0, |count, word| {
        *count += u32::from(word >> 31 == 0);
        Some(*count)
    });
    std::iter::once(0).chain(counts).collect()
}
