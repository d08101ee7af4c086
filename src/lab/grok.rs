//! Grokking: a transformer memorises half of a table, and much later generalises to the other half
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

/// The settings of a run: the table, the network, and its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrokSettings {
    /// The operation of the table.
    pub operation: Operation,
    /// The modulus; it has no effect for permutations.
    pub modulus: u32,
    /// Fraction of the table that is used for training.
    pub fraction: f64,
    /// Layers of the network.
    #[serde(alias = "layers")]
    pub n_layers: usize,
    /// Width of the network.
    #[serde(alias = "width")]
    pub hidden_size: usize,
    /// Number of attention heads.
    #[serde(alias = "heads")]
    pub n_heads: usize,
    /// Largest number of steps.
    pub steps: u64,
    /// Weight decay of AdamW.
    pub weight_decay: f32,
    /// Learning rate after ten steps of warm-up.
    #[serde(alias = "rate")]
    pub learning_rate: f64,
    /// Number of equations in a step; fewer if the training part has less than twice as many.
    pub batch: usize,
    /// Determines the split of the table, the initial weights and the order of equations.
    pub seed: u64,
    /// Number of steps between rows of metrics.
    #[serde(alias = "every")]
    pub eval_interval: u64,
    /// Whether to continue after validation accuracy has stayed above 0.99.
    pub to_the_end: bool,
}

impl Default for GrokSettings {
    /// The settings of the grokking paper.
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
    /// A table that is small enough to be learned in a minute on two cores.
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

    /// The table, the shape of the network, and the settings of the trainer.
    ///
    /// # Errors
    /// The message names the setting that is impossible.
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

    /// Refuses settings that cannot be run on `gpu`, before anything is allocated on it.
    ///
    /// # Errors
    /// When a setting is impossible, or the device cannot hold the run.
    pub fn check(&self, gpu: &Gpu) -> Result<()> {
        let (table, shape, training) = self.prepare()?;
        Trainer::refuse_beyond(gpu, &shape, None, &training, table.words.len())
    }
}

/// A row of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number of steps done.
    pub step: u64,
    /// Mean training loss of the steps since the previous row, in nats.
    pub train_loss: f64,
    /// Fraction of right answers in these steps.
    pub train_accuracy: f64,
    /// Mean loss over all equations that are not used for training, in nats.
    pub validation_loss: f64,
    /// Fraction of right answers to the equations that are not used for training.
    pub validation_accuracy: f64,
    /// Seconds of training so far, including evaluations.
    pub seconds: f64,
}

/// The state of a run that a checkpoint stores in addition to tensors.
#[derive(Serialize, Deserialize)]
struct State {
    settings: GrokSettings,
    seconds: f64,
    /// Scores since the previous row. They are f32, so JSON stores them exactly.
    pending: Vec<[f32; 3]>,
    start: Vec<f32>,
}

/// The run ends when several consecutive rows, 200 steps in all, exceed this validation accuracy.
const UNDERSTOOD: f64 = 0.99;
const HELD: u64 = 200;

/// Number of steps between two checks for an interrupt.
const TOGETHER: u64 = 10;

/// Steps of the first rows, which are closer together because the figure's axis is logarithmic.
const EARLY: [u64; 12] = [1, 2, 3, 4, 6, 8, 10, 14, 20, 28, 35, 42];

/// A run of the grokking experiment.
pub struct Grok {
    /// Settings of the run.
    pub settings: GrokSettings,
    /// The trainer, which holds the network.
    pub trainer: Trainer,
    /// The metrics so far.
    pub rows: Vec<Row>,
    /// The embedding table before training.
    pub start: Vec<f32>,
    table: Table,
    order: Shuffle,
    pending: Vec<Score>,
    seconds: f64,
}

/// Rounds to nine decimals, which all JSON readers reproduce exactly.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// The path of the checkpoint in a folder.
fn checkpoint(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}

impl Grok {
    /// Begins a run at step 0.
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

    /// Whether a folder holds a checkpoint of a run.
    pub fn is_in(folder: &Path) -> bool {
        checkpoint(folder).exists()
    }

    /// The settings of the run in a folder.
    ///
    /// # Errors
    /// When the folder has no checkpoint, or it is damaged.
    pub fn settings_in(folder: &Path) -> Result<GrokSettings> {
        Ok(Checkpoint::<State>::peek(&checkpoint(folder))?.state.settings)
    }

    /// Resumes the run in a folder from its checkpoint.
    ///
    /// # Errors
    /// When the folder has no checkpoint, or it is damaged.
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

    /// Writes the checkpoint and the metrics.
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

    /// Whether the run is complete: all steps are done, or validation accuracy has stayed above
    /// 0.99.
    pub fn is_done(&self) -> bool {
        self.trainer.done() >= self.settings.steps
            || (!self.settings.to_the_end && self.has_understood())
    }

    /// Whether validation accuracy has stayed above 0.99 for 200 steps.
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

    /// Trains up to the next row and returns it, or returns `None` when `interrupt` is set. `tell`
    /// is told the number of steps done.
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
