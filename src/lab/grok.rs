//! Grokking: a transformer learns half of a table, and much later understands the other half
//! (Power et al. 2022, arXiv:2201.02177).

use super::table::{Operation, QUESTION, Table};
use crate::gpu::Gpu;
use crate::model::unsupported_heads;
use crate::train::{
    Checkpoint, OptimizerKind, Schedule, Score, Settings, Shape, Shuffle, Trainer, read_metrics,
    write_metrics,
};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What to learn, with what, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrokSettings {
    /// The operation.
    pub operation: Operation,
    /// The modulus; permutations have none.
    pub modulus: u32,
    /// Share of the table to learn from.
    pub fraction: f64,
    /// Layers of the network.
    #[serde(alias = "layers")]
    pub n_layers: usize,
    /// Its width.
    #[serde(alias = "width")]
    pub hidden_size: usize,
    /// Its heads.
    #[serde(alias = "heads")]
    pub n_heads: usize,
    /// Most steps.
    pub steps: u64,
    /// Decay of AdamW.
    pub weight_decay: f32,
    /// Learning rate after ten steps of warm-up.
    #[serde(alias = "rate")]
    pub learning_rate: f64,
    /// Equations of a step; fewer where the training half has less than twice as many.
    pub batch: usize,
    /// Fixes the split, the start and the order.
    pub seed: u64,
    /// Steps between rows.
    #[serde(alias = "every")]
    pub eval_interval: u64,
    /// Go on when validation has held.
    pub to_the_end: bool,
}

impl Default for GrokSettings {
    /// The paper's setting.
    fn default() -> Self {
        Self {
            operation: Operation::Divide,
            modulus: 97,
            fraction: 0.5,
            n_layers: 2,
            hidden_size: 128,
            n_heads: 4,
            steps: 10_000,
            weight_decay: 1.0,
            learning_rate: 1e-3,
            batch: 512,
            seed: 1,
            eval_interval: 50,
            to_the_end: false,
        }
    }
}

impl GrokSettings {
    /// A table that is small enough to be understood in a minute on two cores.
    pub fn tiny() -> Self {
        Self {
            operation: Operation::Add,
            modulus: 23,
            fraction: 0.75,
            n_layers: 1,
            hidden_size: 64,
            n_heads: 2,
            steps: 3000,
            weight_decay: 2.0,
            learning_rate: 3e-3,
            batch: 256,
            ..Self::default()
        }
    }

    /// The table, the network, and how it is trained.
    ///
    /// # Errors
    /// Which setting is impossible.
    fn prepare(&self) -> Result<(Table, Shape, Settings)> {
        let Self {
            operation, modulus, n_layers, hidden_size, n_heads, eval_interval, seed, ..
        } = *self;
        if self.steps == 0 || eval_interval == 0 || eval_interval > 50 {
            let why =
                format!("= {}, a row every {eval_interval}: from 1, and from 1 to 50", self.steps);
            return Err(Error::setting("steps", why));
        }
        let table = Table::new(operation, modulus, self.fraction, seed)?;
        let vocabulary = operation.elements(modulus).len() + 2;
        let shape = Shape::grokking(vocabulary, QUESTION, n_layers, hidden_size, n_heads);
        let training = Settings {
            batch: self.batch.min(table.training.len().div_ceil(2)),
            accumulate: 1,
            loss_positions: 1,
            schedule: Schedule::constant(self.learning_rate, 10),
            optimizer: OptimizerKind::Adamw(0.9, 0.98, 1e-8),
            weight_decay: self.weight_decay,
            max_grad_norm: None,
            seed,
        };
        shape.check()?;
        training.check(&shape)?;
        if let Some(what) = unsupported_heads(n_heads, shape.head()) {
            let why = format!("of {hidden_size} and {n_heads} heads: {what}");
            return Err(Error::setting("a width", why));
        }
        Ok((table, shape, training))
    }

    /// Refuses what cannot be run on `gpu`, before anything of it is there.
    ///
    /// # Errors
    /// Which setting is impossible, or that the device cannot hold it.
    pub fn check(&self, gpu: &Gpu) -> Result<()> {
        let (table, shape, training) = self.prepare()?;
        Trainer::refuse_beyond(gpu, &shape, None, &training, table.words.len())
    }
}

/// A row of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Steps done.
    pub step: u64,
    /// Mean loss of the steps since the last row, nats.
    pub train_loss: f64,
    /// Share of right answers in these.
    pub train_accuracy: f64,
    /// Mean loss over all equations that are not for training.
    pub validation_loss: f64,
    /// Share of right answers to these.
    pub validation_accuracy: f64,
    /// Seconds of training so far, evaluations included.
    pub seconds: f64,
}

/// What a checkpoint remembers beside tensors.
#[derive(Serialize, Deserialize)]
struct State {
    settings: GrokSettings,
    seconds: f64,
    /// Scores since the last row, of which f32 go through JSON unchanged.
    pending: Vec<[f32; 3]>,
    start: Vec<f32>,
}

/// Rows in a row above this accuracy end the run: 200 steps.
const UNDERSTOOD: f64 = 0.99;
const HELD: u64 = 200;

/// Steps between two looks at the interrupt.
const TOGETHER: u64 = 10;

/// The first steps have rows closer together: the figure's axis is logarithmic.
const EARLY: [u64; 12] = [1, 2, 3, 4, 6, 8, 10, 14, 20, 28, 35, 42];

/// A run.
pub struct Grok {
    /// What it does.
    pub settings: GrokSettings,
    /// The model.
    pub trainer: Trainer,
    /// Rows so far.
    pub rows: Vec<Row>,
    /// The table of embeddings at the start.
    pub start: Vec<f32>,
    table: Table,
    order: Shuffle,
    pending: Vec<Score>,
    seconds: f64,
}

/// To a billionth: as few digits as JSON readers agree on to the last bit.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// The checkpoint in a folder.
fn checkpoint(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}

impl Grok {
    /// A run at step 0.
    ///
    /// # Errors
    /// When the settings are impossible or the device cannot hold it.
    pub fn new(gpu: &Arc<Gpu>, settings: &GrokSettings) -> Result<Self> {
        let (table, shape, training) = settings.prepare()?;
        let trainer = Trainer::new(gpu, &shape, &training, &table.words)?;
        let start = trainer.parameters.get("token_embd").read_f32(gpu)?;
        let order = Shuffle::new(table.training.len(), settings.seed);
        let settings = settings.clone();
        Ok(Self {
            settings,
            trainer,
            rows: vec![],
            start,
            table,
            order,
            pending: vec![],
            seconds: 0.0,
        })
    }

    /// Whether a folder holds a run that can be resumed.
    pub fn is_in(folder: &Path) -> bool {
        checkpoint(folder).exists()
    }

    /// The settings of the run in a folder.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn settings_in(folder: &Path) -> Result<GrokSettings> {
        Ok(Checkpoint::<State>::peek(&checkpoint(folder))?.state.settings)
    }

    /// The run of a folder, where its checkpoint left it.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn resume(gpu: &Arc<Gpu>, folder: &Path) -> Result<Self> {
        let path = checkpoint(folder);
        let State { settings, seconds, pending, start } = Checkpoint::<State>::peek(&path)?.state;
        let mut run = Self::new(gpu, &settings)?;
        let step = Checkpoint::<State>::read(&path, &mut run.trainer)?.step;
        if start.len() != run.start.len() {
            return Err(Error::damaged(&path, "the embedding it started from has another size"));
        }
        (run.start, run.seconds) = (start, seconds);
        run.pending = pending.into_iter().map(Score::from).collect();
        run.rows = read_metrics(folder, |row: &Row| row.step <= step)?;
        Ok(run)
    }

    /// Writes checkpoint and rows.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let state = State {
            settings: self.settings.clone(),
            seconds: self.seconds,
            pending: self.pending.iter().copied().map(Into::into).collect(),
            start: self.start.clone(),
        };
        self.write_rows(folder)?;
        Checkpoint::write(&checkpoint(folder), &self.trainer, state)
    }

    /// Writes `metrics.jsonl`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_rows(&self, folder: &Path) -> Result<()> {
        write_metrics(folder, &self.rows)
    }

    /// Whether there is nothing left to do: the steps are done, or validation has held.
    pub fn is_done(&self) -> bool {
        self.trainer.done() >= self.settings.steps
            || (!self.settings.to_the_end && self.has_understood())
    }

    /// Whether validation has been above 0.99 for 200 steps.
    pub fn has_understood(&self) -> bool {
        let below = self.rows.iter().rev().find(|row| row.validation_accuracy < UNDERSTOOD);
        let since = below.map_or(0, |row| row.step);
        self.rows
            .last()
            .is_some_and(|row| row.step >= since + HELD && row.validation_accuracy >= UNDERSTOOD)
            && self.rows.iter().any(|row| row.step > since)
    }

    /// The first row whose validation accuracy is at least `accuracy`.
    pub fn first_at(&self, accuracy: f64) -> Option<&Row> {
        self.rows.iter().find(|row| row.validation_accuracy >= accuracy)
    }

    /// Trains up to the next row and gives it, or up to `interrupt` and gives nothing. `tell` hears
    /// of the steps done.
    ///
    /// # Errors
    /// When the device fails.
    pub fn advance(&mut self, interrupt: &AtomicBool, tell: impl Fn(u64)) -> Result<Option<Row>> {
        let since = Instant::now();
        let before = self.seconds;
        loop {
            let step = self.trainer.done();
            let next = EARLY
                .into_iter()
                .find(|&early| early > step && early < self.settings.eval_interval);
            let next = next
                .unwrap_or((step / self.settings.eval_interval + 1) * self.settings.eval_interval);
            let next = next.min(self.settings.steps.max(step + 1));
            let count = (next - step).min(TOGETHER);
            let scores =
                self.trainer.train(count as usize, &self.table.training, &mut self.order)?;
            self.pending.extend(scores);
            self.seconds = before + since.elapsed().as_secs_f64();
            tell(self.trainer.done());
            if step + count == next {
                break;
            }
            if interrupt.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        let training = Score::mean(&std::mem::take(&mut self.pending));
        let validation = self.trainer.evaluate(&self.table.validation)?;
        self.seconds = before + since.elapsed().as_secs_f64();
        let row = Row {
            step: self.trainer.done(),
            train_loss: rounded(training.loss),
            train_accuracy: rounded(training.accuracy),
            validation_loss: rounded(validation.loss),
            validation_accuracy: rounded(validation.accuracy),
            seconds: rounded(self.seconds),
        };
        self.rows.push(row.clone());
        Ok(Some(row))
    }
}
