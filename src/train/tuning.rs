//! Fine-tuning of an existing model: which model, how, and the default settings.

use crate::Result;
use crate::format::{Ignored, Source};
use crate::gpu::Gpu;
use crate::model::Config;
use crate::text::{ChatTemplate, Tokenizer};
use crate::train::data::data::Data;
use crate::train::data::dataset::{Dataset, Lengths};
use crate::train::model::config::{MOST_CONTEXT, Shape};
use crate::train::model::low_rank::LoraSettings;
use crate::train::model::network::Network;
use crate::train::text_settings::TextSettings;
use crate::train::trainer::Trainer;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// The model to fine-tune, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Path of its file or folder.
    pub model: PathBuf,
    /// The name by which the user asked for the model; adapters store it as their base model.
    #[serde(default)]
    pub name: String,
    /// Unknown fields and tensors of its files that are ignored.
    #[serde(default)]
    pub ignored: Ignored,
    /// The LoRA adapter to train; `None` trains all weights.
    pub lora: Option<LoraSettings>,
}

/// Settings that the user gave explicitly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingOverrides {
    /// Number of optimiser steps.
    pub steps: Option<u64>,
    /// Highest learning rate.
    pub learning_rate: Option<f64>,
    /// Number of sequences in a step.
    pub batch: Option<usize>,
    /// Number of tokens in a sequence.
    pub context: Option<usize>,
    /// Fraction of the data that is used for evaluation.
    pub validation: Option<f64>,
    /// Number of steps between two rows of metrics.
    pub eval_interval: Option<u64>,
    /// Determines the initial values and the order of sequences.
    pub seed: Option<u64>,
    /// Whether examples that are longer than the context are left out.
    pub skip_long: bool,
}

impl TrainingOverrides {
    /// `settings`, replaced by those that the user gave.
    pub fn applied(&self, settings: &TextSettings) -> TextSettings {
        TextSettings {
            steps: self.steps.unwrap_or(settings.steps),
            learning_rate: self.learning_rate.unwrap_or(settings.learning_rate),
            batch: self.batch.unwrap_or(settings.batch),
            context: self.context.unwrap_or(settings.context),
            validation: self.validation.unwrap_or(settings.validation),
            eval_interval: self.eval_interval.unwrap_or(settings.eval_interval),
            seed: self.seed.unwrap_or(settings.seed),
            skip_long: self.skip_long || settings.skip_long,
            ..settings.clone()
        }
    }
}

/// Default number of passes over examples.
const EXAMPLE_PASSES: usize = 8;
/// Default number of passes over plain text.
const TEXT_PASSES: usize = 2;

/// Largest size of one forward pass's logits in bytes; a step of more sequences is divided into
/// several passes.
const LOGITS: usize = 64 << 20;

/// A model that is ready to be fine-tuned.
pub(super) struct Tuned {
    pub settings: TextSettings,
    pub network: Network,
    pub dataset: Dataset,
}

impl Tuning {
    /// Opens the model and chooses settings: a few passes over the data; examples are learned
    /// without weight decay and without evaluation data.
    pub(super) fn begin(
        &self,
        gpu: &Arc<Gpu>,
        overrides: &TrainingOverrides,
        data: &Data,
    ) -> Result<Tuned> {
        let source = Source::open_ignoring(&self.model, &self.ignored)?;
        let config = Config::from_source(&source)?;
        // A model that cannot be trained is refused before its tokenizer is needed.
        Shape::of(&config, true, 1)?;
        let chosen = TextSettings {
            vocab_size: config.vocab_size,
            n_layers: config.n_layers,
            hidden_size: config.hidden_size,
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            intermediate_size: config.intermediate_size,
            batch: 8,
            learning_rate: if self.lora.is_some() { 2e-3 } else { 1e-4 },
            weight_decay: 0.0,
            validation: if data.examples().is_some() { 0.0 } else { 0.05 },
            ..TextSettings::default()
        };
        let mut settings = overrides.applied(&chosen);
        let dataset = dataset_of(&source, &settings, overrides.context, data)?;
        settings.context = dataset.context;
        let passes = if data.examples().is_some() { EXAMPLE_PASSES } else { TEXT_PASSES };
        let steps = (passes * dataset.training.len()).div_ceil(settings.batch.max(1)).max(1) as u64;
        settings.steps = overrides.steps.unwrap_or(steps);
        settings.warmup = (settings.steps / 10).min(20);
        settings.eval_interval = overrides.eval_interval.unwrap_or((settings.steps / 20).max(1));
        part(&mut settings, &dataset);
        settings.check()?;
        let network = self.load(gpu, &source, &settings, &dataset)?;
        Ok(Tuned { settings, network, dataset })
    }

    /// Opens the model of a resumed run, with the settings from its checkpoint.
    pub(super) fn again(
        &self,
        gpu: &Arc<Gpu>,
        settings: &TextSettings,
        data: &Data,
    ) -> Result<Tuned> {
        let source = Source::open_ignoring(&self.model, &self.ignored)?;
        let dataset = dataset_of(&source, settings, Some(settings.context), data)?;
        let network = self.load(gpu, &source, settings, &dataset)?;
        Ok(Tuned { settings: settings.clone(), network, dataset })
    }

    /// Loads the network, if there is memory for it and its training.
    fn load(
        &self,
        gpu: &Arc<Gpu>,
        source: &Source,
        settings: &TextSettings,
        dataset: &Dataset,
    ) -> Result<Network> {
        let (shape, lora) = (Network::shape_of(source, dataset.context)?, self.lora.as_ref());
        Trainer::refuse_beyond(
            gpu,
            &shape,
            lora,
            &settings.training(dataset.kept),
            dataset.words.len(),
        )?;
        Network::loaded(gpu, source, dataset.context, lora, settings.seed)
    }
}

fn dataset_of(
    source: &Source,
    settings: &TextSettings,
    context: Option<usize>,
    data: &Data,
) -> Result<Dataset> {
    settings.check()?;
    let tokenizer = Tokenizer::from_source(source)?;
    if data.examples().is_none() {
        return Dataset::text(
            tokenizer.encode(data.text(), true)?,
            settings.context,
            settings.validation,
        );
    }
    let template = ChatTemplate::from_source(source, &tokenizer)?;
    let longest = Config::from_source(source)?.max_context.min(MOST_CONTEXT);
    let lengths = Lengths { context, longest, skip_long: settings.skip_long };
    Dataset::examples(data, &tokenizer, template.as_ref(), lengths, settings.validation)
}

/// Divides the sequences of a step into forward passes whose logits fit on the device.
fn part(settings: &mut TextSettings, dataset: &Dataset) {
    let fits = |batch: usize| 4 * batch * dataset.kept * settings.vocab_size <= LOGITS;
    let all = settings.batch;
    if settings.batch == 0 {
        return;
    }
    let part = (1..=all).rev().find(|&part| all.is_multiple_of(part) && fits(part)).unwrap_or(1);
    (settings.batch, settings.accumulate) = (part, all / part);
}
