//! Texts as vectors: the hidden states after the last norm, pooled.

use super::{Runner, Want};
use crate::format::{DType, blocks};
use crate::gpu::{Element, Place, Program, Recording, Tensor};
use crate::kernels::{Matrix, OwnedRows, Product};
use crate::model::transformer::{normed, record};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// Tokens computed at once.
const ROWS: usize = 64;

/// How the hidden states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pooling {
    /// Their mean
    Mean,
    /// That of the last token, which has seen all others
    Last,
}

/// A step that ends with the hidden states, and what it is compiled to.
struct Step {
    recording: Recording,
    program: Option<Program>,
}

/// A runner that turns texts into vectors.
pub struct Embedder {
    runner: Runner,
    /// The unit matrix [C, C]. A product with it gives what the output matrix would be multiplied with: the last norm of
    /// whatever kind the model has, to the bit, without a kernel of its own.
    unit: Matrix,
    /// Hidden states of the latest step [ROWS, C].
    hidden: Tensor,
    /// By tokens and by the cache's capacity: a cache that grows is another one.
    steps: HashMap<(usize, usize), Step>,
}

impl Embedder {
    /// Computes with `runner`.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn new(runner: Runner) -> Result<Self> {
        let width = runner.model.config.width;
        let mut bytes = Vec::with_capacity(2 * width * width);
        for row in 0..width {
            let unit: Vec<f32> = (0..width).map(|column| f32::from(row == column)).collect();
            bytes.extend(blocks::quantise(DType::F16, &unit));
        }
        let rows = OwnedRows::new(DType::F16, width, bytes);
        let unit = Matrix::load(&runner.place, "unit matrix", Arc::new(rows))?;
        let hidden = Tensor::zeros(&runner.place, "hidden states", &[ROWS, width], Element::F32)?;
        Ok(Self { runner, unit, hidden, steps: HashMap::new() })
    }

    fn step(&mut self, tokens: usize) -> Result<&Step> {
        let key = (tokens, self.runner.cache.capacity);
        if !self.steps.contains_key(&key) {
            let act = self.runner.activations(tokens)?;
            let Runner { model, cache, step, chosen, logits, .. } = &self.runner;
            let mut recording = record(model, cache, &act, step, chosen, logits, tokens, Want::Nothing);
            let (config, norm) = (&model.config, &model.output_norm);
            let input = normed(&mut recording, "output_norm", config, &act, &act.x, norm, 0, tokens);
            for w in self.unit.parts() {
                let (input, y) = (input.clone(), self.hidden.clone());
                recording.push("hidden", Product { input, w: w.clone(), residual: None, y });
            }
            let program = match &self.runner.place {
                Place::Device(gpu) => Some(Program::compile(gpu, &recording)?),
                Place::Host => None,
            };
            self.steps.insert(key, Step { recording, program });
        }
        self.steps.get(&key).ok_or_else(|| Error::Model("a step went missing".into()))
    }

    /// The vector `[C]` of a text's tokens, of length 1.
    ///
    /// # Errors
    /// When there are no tokens or too many, an id is unknown, or the device fails.
    pub fn embed(&mut self, ids: &[u32], pooling: Pooling) -> Result<Vec<f32>> {
        if ids.is_empty() {
            return Err(Error::Usage("a text without tokens has no vector".into()));
        }
        self.runner.check_ids(ids)?;
        self.runner.rewind(0);
        self.runner.fits(ids.len())?;
        let width = self.runner.model.config.width;
        let mut pooled = vec![0.0; width];
        for ids in ids.chunks(ROWS) {
            let hidden = self.run(ids)?;
            if pooling == Pooling::Last {
                pooled.fill(0.0);
            }
            let first = if pooling == Pooling::Last { ids.len() - 1 } else { 0 };
            for row in hidden.chunks(width).take(ids.len()).skip(first) {
                pooled.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
            }
        }
        let length = pooled.iter().map(|x| x * x).sum::<f64>().sqrt();
        if !length.is_finite() || length == 0.0 {
            return Err(Error::Model("the hidden states are not numbers: the model is damaged".into()));
        }
        Ok(pooled.into_iter().map(|x| (x / length) as f32).collect())
    }

    /// Hidden states of the next `ids`, at most [`ROWS`].
    fn run(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        self.runner.place_step(ids)?;
        let place = self.runner.place.clone();
        let step = self.step(ids.len())?;
        let dispatches = step.recording.entries().len();
        match (&place, &step.program) {
            (Place::Device(gpu), Some(program)) => program.run(gpu),
            _ => {
                let recording = step.recording.clone();
                recording.run_reference(&mut self.runner.host);
            }
        }
        self.runner.count(ids.len(), dispatches, self.hidden.data_bytes());
        self.runner.position += ids.len();
        match &place {
            Place::Device(gpu) => self.hidden.read_f32(gpu),
            Place::Host => Ok(self.runner.host.f32(&self.hidden).to_vec()),
        }
    }
}
