//! Going on with a model that is there: which one, how, and what is chosen where nobody says.

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

/// Which model is trained on, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Its file or folder.
    pub model: PathBuf,
    /// What it was called by who asked for it: adapters name their base so.
    #[serde(default)]
    pub name: String,
    /// What of its files is let pass.
    #[serde(default)]
    pub ignored: Ignored,
    /// What is trained beside its weights; without, all of them are trained.
    pub lora: Option<LoraSettings>,
}

/// Settings that somebody asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingOverrides {
    /// Optimizer steps.
    pub steps: Option<u64>,
    /// Highest learning rate.
    pub learning_rate: Option<f64>,
    /// Sequences of a step.
    pub batch: Option<usize>,
    /// Tokens of a sequence.
    pub context: Option<usize>,
    /// Share of the data that is kept for evaluation.
    pub validation: Option<f64>,
    /// Steps between two rows.
    pub eval_interval: Option<u64>,
    /// Fixes start and order.
    pub seed: Option<u64>,
    /// Leave out examples that are longer than the context.
    pub skip_long: bool,
}

impl TrainingOverrides {
    /// The settings with what was asked for.
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

/// Times that each example, or each part of a text, is seen.
const EXAMPLE_PASSES: usize = 8;
const TEXT_PASSES: usize = 2;

/// Bytes of logits that one forward pass may make: more sequences are taken one part after another.
const LOGITS: usize = 64 << 20;

/// A model ready to be trained on.
pub(super) struct Tuned {
    pub settings: TextSettings,
    pub network: Network,
    pub dataset: Dataset,
}

impl Tuning {
    /// Opens the model and chooses settings: a few passes over the data; no decay and nothing kept
    /// for evaluation where examples are learned by heart.
    pub(super) fn begin(
        &self,
        gpu: &Arc<Gpu>,
        overrides: &TrainingOverrides,
        data: &Data,
    ) -> Result<Tuned> {
        let source = Source::open_ignoring(&self.model, &self.ignored)?;
        let config = Config::from_source(&source)?;
        // What cannot be trained should show before its tokenizer is asked for.
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

    /// The same with settings from a checkpoint.
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

    /// The network, if there is room for it and its training.
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

/// Parts the sequences of a step into forward passes whose logits the device can hold.
fn part(settings: &mut TextSettings, dataset: &Dataset) {
    let fits = |batch: usize| 4 * batch * dataset.kept * settings.vocab_size <= LOGITS;
    let all = settings.batch;
    if settings.batch == 0 {
        return;
    }
    let part = (1..=all).rev().find(|&part| all.is_multiple_of(part) && fits(part)).unwrap_or(1);
    (settings.batch, settings.accumulate) = (part, all / part);
}
