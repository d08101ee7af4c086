//! A small language model learns a text.

use super::checkpoint::Checkpoint;
use super::metrics::{read_metrics, write_metrics};
use super::order::Order;
use super::text_settings::TextSettings;
use super::trainer::{Score, Trainer};
use crate::gpu::Gpu;
use crate::text::LearnedTokenizer;
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
    /// Steps done.
    pub step: u64,
    /// Mean loss of the steps since the last row, nats a token.
    pub train_loss: f64,
    /// Mean loss over the end of the text, which is not learned from.
    pub validation_loss: f64,
    /// Share of its tokens that were the likeliest.
    pub validation_accuracy: f64,
    /// Seconds of training so far, evaluations included.
    pub seconds: f64,
}

/// What a checkpoint remembers beside tensors.
#[derive(Serialize, Deserialize)]
struct State {
    settings: TextSettings,
    text: u64,
    seconds: f64,
    /// Scores since the last row, of which f32 go through JSON unchanged.
    pending: Vec<[f32; 3]>,
}

/// Steps between two looks at the interrupt.
const TOGETHER: u64 = 4;

/// Most sequences of an evaluation, taken evenly from the end of the text.
const EVALUATED: usize = 64;

/// A run.
pub struct TextRun {
    /// What it does.
    pub settings: TextSettings,
    /// The model.
    pub trainer: Trainer,
    /// Rows so far.
    pub rows: Vec<TextRow>,
    /// The tokenizer, learned from the same text.
    pub tokenizer: LearnedTokenizer,
    /// Tokens of the text.
    pub tokens: usize,
    training: Vec<u32>,
    validation: Vec<u32>,
    order: Order,
    pending: Vec<Score>,
    seconds: f64,
    text: u64,
}

/// To a billionth: as few digits as JSON readers agree on to the last bit.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// A number that tells texts apart (FNV-1a, 64 bits).
fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn checkpoint(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}

impl TextRun {
    /// A run at step 0.
    ///
    /// # Errors
    /// When the settings are impossible, the text is too short, or the device cannot hold it.
    pub fn new(gpu: &Arc<Gpu>, settings: &TextSettings, text: &str) -> Result<Self> {
        settings.check()?;
        let tokenizer = LearnedTokenizer::new(text, settings.vocabulary)?;
        Self::with_tokenizer(gpu, settings, text, tokenizer)
    }

    fn with_tokenizer(
        gpu: &Arc<Gpu>,
        settings: &TextSettings,
        text: &str,
        tokenizer: LearnedTokenizer,
    ) -> Result<Self> {
        settings.check()?;
        let words = tokenizer.encode(text)?;
        let context = settings.context;
        let split = ((words.len() as f64 * (1.0 - settings.validation)) as usize).min(words.len());
        if split <= 2 * context || words.len() - split <= context {
            return Err(Error::Model(format!(
                "the text has {} tokens; learning and evaluation need at least {} and {}",
                words.len(),
                2 * context + 1,
                context + 1
            )));
        }
        let trainer = Trainer::new(gpu, &settings.shape(tokenizer.len()), &settings.training(), &words)?;
        // Sequences begin half a context apart, so that what begins one stands in the middle of another.
        let last = split - context;
        let training: Vec<u32> = (0..last).step_by(context.div_ceil(2)).map(|start| start as u32).collect();
        let all = trainer.windows(split..words.len());
        let validation = all.iter().step_by(all.len().div_ceil(EVALUATED).max(1)).copied().collect();
        Ok(Self {
            order: Order::new(training.len(), settings.seed),
            settings: settings.clone(),
            trainer,
            rows: vec![],
            tokenizer,
            tokens: words.len(),
            training,
            validation,
            pending: vec![],
            seconds: 0.0,
            text: fingerprint(text),
        })
    }

    /// Whether a folder holds a run that can be resumed.
    pub fn is_in(folder: &Path) -> bool {
        checkpoint(folder).exists()
    }

    /// The run of a folder, where its checkpoint left it, on the text that it began with.
    ///
    /// # Errors
    /// When there is none, it is damaged, or the text is another.
    pub fn resume(gpu: &Arc<Gpu>, folder: &Path, text: &str) -> Result<Self> {
        let path = checkpoint(folder);
        let state = Checkpoint::<State>::peek(&path)?.state;
        if state.text != fingerprint(text) {
            return Err(Error::format(
                &path,
                "it is of another text; give the files it began with, in that order",
            ));
        }
        let tokenizer = LearnedTokenizer::read(&folder.join("tokenizer.json"))?;
        let mut run = Self::with_tokenizer(gpu, &state.settings, text, tokenizer)?;
        let step = Checkpoint::<State>::read(&path, &mut run.trainer)?.step;
        (run.seconds, run.pending) = (state.seconds, state.pending.into_iter().map(Score::from).collect());
        run.rows = read_metrics(folder, |row: &TextRow| row.step <= step)?;
        Ok(run)
    }

    /// Writes checkpoint, tokenizer and rows.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        self.tokenizer.write(&folder.join("tokenizer.json"))?;
        self.write_rows(folder)?;
        let state = State {
            settings: self.settings.clone(),
            text: self.text,
            seconds: self.seconds,
            pending: self.pending.iter().copied().map(Into::into).collect(),
        };
        Checkpoint::write(&checkpoint(folder), &self.trainer, state)
    }

    /// Writes `metrics.jsonl`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_rows(&self, folder: &Path) -> Result<()> {
        write_metrics(folder, &self.rows)
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.trainer.done() >= self.settings.steps
    }

    /// Trains up to the next row and gives it, or up to `interrupt` and gives nothing. `tell` hears of the steps done.
    ///
    /// # Errors
    /// When the device fails.
    pub fn advance(&mut self, interrupt: &AtomicBool, tell: impl Fn(u64)) -> Result<Option<TextRow>> {
        let (since, before) = (Instant::now(), self.seconds);
        loop {
            let step = self.trainer.done();
            let next = (step / self.settings.every + 1) * self.settings.every;
            let next = next.min(self.settings.steps.max(step + 1));
            let count = (next - step).min(TOGETHER);
            self.pending.extend(self.trainer.train(count as usize, &self.training, &mut self.order)?);
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
        let validation = self.trainer.evaluate(&self.validation)?;
        self.seconds = before + since.elapsed().as_secs_f64();
        let row = TextRow {
            step: self.trainer.done(),
            train_loss: rounded(training.loss),
            validation_loss: rounded(validation.loss),
            validation_accuracy: rounded(validation.accuracy),
            seconds: rounded(self.seconds),
        };
        self.rows.push(row.clone());
        Ok(Some(row))
    }
}
