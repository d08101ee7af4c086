//! Trains a language model on texts: a small one from scratch, or an existing one.

use crate::gpu::Gpu;
use crate::text::TrainedBpe;
use crate::train::data::data::Data;
use crate::train::data::dataset::Dataset;
use crate::train::data::shuffle::Shuffle;
use crate::train::model::network::Network;
use crate::train::optimisation::score::Score;
use crate::train::output::checkpoint::Checkpoint;
use crate::train::output::export::export_llama;
use crate::train::output::export_tuned::{export_adapter, export_model};
use crate::train::output::metrics::{read_metrics, write_metrics};
use crate::train::text_settings::TextSettings;
use crate::train::trainer::{AT_ONCE, Trainer};
use crate::train::tuning::{TrainingOverrides, Tuned, Tuning};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A row of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextRow {
    /// Number of steps done.
    pub step: u64,
    /// Mean loss of the steps since the previous row, in nats per token.
    pub train_loss: f64,
    /// Mean loss over the evaluation data, if there is any.
    pub validation_loss: Option<f64>,
    /// Fraction of the evaluation tokens that were predicted as the likeliest.
    pub validation_accuracy: Option<f64>,
    /// Seconds of training so far, including evaluations.
    pub seconds: f64,
}

/// The state of a run that a checkpoint stores in addition to tensors.
#[derive(Serialize, Deserialize)]
struct State {
    settings: TextSettings,
    #[serde(default)]
    tuning: Option<Tuning>,
    text: u64,
    seconds: f64,
    /// Scores since the previous row. They are f32, so JSON stores them exactly.
    pending: Vec<[f32; 3]>,
}

/// Seconds of steps in one submission: progress is shown and interrupts are noticed between
/// submissions.
const TOGETHER: f64 = 0.5;

/// The model that is trained.
pub enum TrainedModel {
    /// A model from scratch, with a tokenizer trained on the same text.
    New(Box<TrainedBpe>),
    /// An existing model.
    Tuned(Tuning),
}

/// A training run on texts.
pub struct TextRun {
    /// Settings of the run.
    pub settings: TextSettings,
    /// The model that is trained, and its tokenizer.
    pub pupil: TrainedModel,
    /// The trainer, which holds the network and the optimiser.
    pub trainer: Trainer,
    /// The metrics so far.
    pub rows: Vec<TextRow>,
    /// Token ids, and the sequences into which they are divided.
    pub dataset: Dataset,
    order: Shuffle,
    pending: Vec<Score>,
    seconds: f64,
    /// Number of steps that take about [`TOGETHER`] seconds.
    together: u64,
    text: u64,
}

/// Rounds to nine decimals, which all JSON readers reproduce exactly.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

fn checkpoint(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}

impl TextRun {
    /// Begins a run that trains a model from scratch.
    ///
    /// # Errors
    /// When the settings are impossible, the text is too short, or the device cannot hold it.
    pub fn new(gpu: &Arc<Gpu>, settings: &TextSettings, data: &Data) -> Result<Self> {
        settings.check()?;
        let tokenizer = TrainedBpe::new(&data.plain()?, settings.vocab_size)?;
        Self::with_tokenizer(gpu, settings, data, tokenizer)
    }

    fn with_tokenizer(
        gpu: &Arc<Gpu>,
        settings: &TextSettings,
        data: &Data,
        tokenizer: TrainedBpe,
    ) -> Result<Self> {
        settings.check()?;
        let words = tokenizer.encode(&data.plain()?)?;
        let dataset = Dataset::text(words, settings.context, settings.validation)?;
        let (shape, training) = (settings.shape(tokenizer.len()), settings.training(dataset.kept));
        Trainer::refuse_beyond(gpu, &shape, None, &training, dataset.words.len())?;
        let network = Network::random(gpu, &shape, settings.seed)?;
        let tuned = Tuned { settings: settings.clone(), network, dataset };
        Self::begin(gpu, TrainedModel::New(Box::new(tokenizer)), tuned, data)
    }

    /// Begins a run that trains an existing model. Settings that are not overridden are chosen for
    /// the data.
    ///
    /// # Errors
    /// When the model cannot be read or trained, the settings are impossible, or the device cannot
    /// hold it.
    pub fn tune(
        gpu: &Arc<Gpu>,
        tuning: &Tuning,
        overrides: &TrainingOverrides,
        data: &Data,
    ) -> Result<Self> {
        Self::begin(
            gpu,
            TrainedModel::Tuned(tuning.clone()),
            tuning.begin(gpu, overrides, data)?,
            data,
        )
    }

    fn begin(gpu: &Arc<Gpu>, pupil: TrainedModel, tuned: Tuned, data: &Data) -> Result<Self> {
        let Tuned { settings, network, dataset } = tuned;
        let training = settings.training(dataset.kept);
        Ok(Self {
            order: Shuffle::new(dataset.training.len(), settings.seed),
            trainer: Trainer::of(gpu, network, &training, &dataset.words)?,
            settings,
            pupil,
            rows: vec![],
            dataset,
            pending: vec![],
            seconds: 0.0,
            together: 1,
            text: data.fingerprint(),
        })
    }

    /// Whether a folder holds a checkpoint of a run.
    pub fn is_in(folder: &Path) -> bool {
        checkpoint(folder).exists()
    }

    /// The steps done, the settings, and the model that was fine-tuned (if any) of the run in a
    /// folder.
    ///
    /// # Errors
    /// When the folder has no checkpoint, or it is damaged.
    pub fn settings_in(folder: &Path) -> Result<(u64, TextSettings, Option<Tuning>)> {
        let Checkpoint { step, state } = Checkpoint::<State>::peek(&checkpoint(folder))?;
        Ok((step, state.settings, state.tuning))
    }

    /// Resumes the run in a folder from its checkpoint, with the same text. With other `steps`, the
    /// learning rate follows the cosine over the new total from there on.
    ///
    /// # Errors
    /// When the folder has no checkpoint, it is damaged, or the text differs.
    pub fn resume(gpu: &Arc<Gpu>, folder: &Path, data: &Data, steps: Option<u64>) -> Result<Self> {
        let path = checkpoint(folder);
        let mut state = Checkpoint::<State>::peek(&path)?.state;
        state.settings.steps = steps.unwrap_or(state.settings.steps);
        if state.text != data.fingerprint() {
            return Err(Error::damaged(
                &path,
                "it is of another text; give the files it began with, in that order",
            ));
        }
        let mut run = match state.tuning {
            Some(tuning) => {
                let tuned = tuning.again(gpu, &state.settings, data)?;
                Self::begin(gpu, TrainedModel::Tuned(tuning), tuned, data)?
            }
            None => {
                let tokenizer = TrainedBpe::read(&folder.join("tokenizer.json"))?;
                Self::with_tokenizer(gpu, &state.settings, data, tokenizer)?
            }
        };
        let step = Checkpoint::<State>::read(&path, &mut run.trainer)?.step;
        (run.seconds, run.pending) =
            (state.seconds, state.pending.into_iter().map(Score::from).collect());
        run.rows = read_metrics(folder, |row: &TextRow| row.step <= step)?;
        Ok(run)
    }

    /// Writes the checkpoint and the metrics.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let tuning = match &self.pupil {
            TrainedModel::New(tokenizer) => {
                tokenizer.write(&folder.join("tokenizer.json"))?;
                None
            }
            TrainedModel::Tuned(tuning) => Some(tuning.clone()),
        };
        self.write_rows(folder)?;
        let state = State {
            settings: self.settings.clone(),
            tuning,
            text: self.text,
            seconds: self.seconds,
            pending: self.pending.iter().copied().map(Into::into).collect(),
        };
        Checkpoint::write(&checkpoint(folder), &self.trainer, state)
    }

    /// Writes the trained model in a form that other commands read: a folder, an adapter or a GGUF
    /// file. Returns its path.
    ///
    /// # Errors
    /// When the device or a file fails.
    pub fn export(&self, folder: &Path) -> Result<PathBuf> {
        match (&self.pupil, &self.trainer.network.adapter) {
            (TrainedModel::New(_), _) => {
                export_llama(&self.trainer, folder).map(|()| folder.to_owned())
            }
            (TrainedModel::Tuned(tuning), Some(adapter)) => {
                let values = self.trainer.parameters.read(self.trainer.gpu())?;
                let pairs = adapter.pairs(&self.trainer.shape, &values);
                export_adapter(&adapter.settings, &self.trainer.shape, pairs, &tuning.name, folder)
            }
            (TrainedModel::Tuned(tuning), None) => export_model(&self.trainer, tuning, folder),
        }
    }

    /// Writes `metrics.jsonl`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_rows(&self, folder: &Path) -> Result<()> {
        write_metrics(folder, &self.rows)
    }

    /// Refuses to continue with a model that finds all tokens exactly equally likely: its
    /// parameters contain NaN or infinities and cannot recover.
    fn refuse_lost(&self, scores: &[Score]) -> Result<()> {
        let vocabulary = self.trainer.shape.vocab_size;
        let equal = (vocabulary as f64).ln();
        let is_equal = |score: &Score| (score.loss - equal).abs() < 1e-5;
        if self.trainer.done() < 2 || !scores.iter().rev().take(2).all(is_equal) {
            return Ok(());
        }
        let what = format!(
            "the loss of step {} is {equal:.3}, that of {vocabulary} tokens which are all equally \
             likely",
            self.trainer.done()
        );
        Err(Error::Diverged { what, learning_rate: self.settings.learning_rate })
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.trainer.done() >= self.settings.steps
    }

    /// Trains up to the next row and returns it, or returns `None` when `interrupt` is set. `tell`
    /// is told the number of steps done.
    ///
    /// # Errors
    /// When the device fails.
    pub fn advance(
        &mut self,
        interrupt: &AtomicBool,
        tell: impl Fn(u64),
    ) -> Result<Option<TextRow>> {
        let (since, before) = (Instant::now(), self.seconds);
        loop {
            let step = self.trainer.done();
            let next = (step / self.settings.eval_interval + 1) * self.settings.eval_interval;
            let next = next.min(self.settings.steps.max(step + 1));
            let count = (next - step).min(self.together);
            let begin = Instant::now();
            self.pending.extend(self.trainer.train(
                count as usize,
                &self.dataset.training,
                &mut self.order,
            )?);
            let each = begin.elapsed().as_secs_f64() / count as f64;
            self.together = ((TOGETHER / each) as u64).clamp(1, AT_ONCE as u64);
            self.seconds = before + since.elapsed().as_secs_f64();
            tell(self.trainer.done());
            if step + count == next {
                break;
            }
            if interrupt.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        let scores = std::mem::take(&mut self.pending);
        self.refuse_lost(&scores)?;
        let training = Score::mean(&scores);
        let validation = match &self.dataset.validation[..] {
            [] => None,
            places => Some(self.trainer.evaluate(places)?),
        };
        self.seconds = before + since.elapsed().as_secs_f64();
        let row = TextRow {
            step: self.trainer.done(),
            train_loss: rounded(training.loss),
            validation_loss: validation.map(|score| rounded(score.loss)),
            validation_accuracy: validation.map(|score| rounded(score.accuracy)),
            seconds: rounded(self.seconds),
        };
        self.rows.push(row.clone());
        Ok(Some(row))
    }
}
