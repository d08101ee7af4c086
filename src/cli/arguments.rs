//! Options that several commands share.

use crate::format::Quantization;
use crate::gpu::{GpuOptions, Quarantine, StorageKind, Tuning};
use crate::hub::{Hub, ModelName};
use crate::kernels::CacheType;
use crate::sample::SamplerSettings;
use crate::{Error, Result};
use clap::Args;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Which device, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Device")]
pub(super) struct DeviceArguments {
    /// Take the first adapter whose name, backend or driver contains this
    #[arg(long, global = true, value_name = "SUBSTRING", env = "KAIWU_ADAPTER", hide_env_values = true)]
    pub adapter: Option<String>,
    /// Where tensors live on the device [default: what the adapter reads faster]
    #[arg(long, global = true, value_name = "KIND")]
    pub storage: Option<StorageKind>,
    /// Pretend that the adapter has no subgroups
    #[arg(long, global = true)]
    pub no_subgroups: bool,
    /// Give each token the same bits, however the prompt is cut into chunks and whatever the cache holds; slower
    #[arg(long, global = true)]
    pub deterministic: bool,
    /// Take at most so many MiB of the device's memory; a model and context that need more are refused
    #[arg(long, global = true, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    pub memory: Option<u64>,
    /// Workgroups that walk through a layer's kernels together on a software adapter; 1 makes each kernel a dispatch of its
    /// own [default: one a core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,
    /// Keep the bounds and loop checks in the shaders; slower
    #[arg(long, global = true)]
    pub checked: bool,
    /// Leave out what `kaiwu tune` measured on this adapter
    #[arg(long, global = true)]
    pub no_tuning: bool,
    /// Use strategies too that `kaiwu doctor` found wrong on this adapter
    #[arg(long, global = true, env = "KAIWU_IGNORE_QUARANTINE", hide_env_values = true,
        value_parser = clap::builder::FalseyValueParser::new())]
    pub ignore_quarantine: bool,
}

impl DeviceArguments {
    pub(super) fn options(&self) -> GpuOptions {
        GpuOptions {
            adapter: self.adapter.clone().filter(|wanted| !wanted.is_empty()),
            storage: self.storage,
            without_subgroups: self.no_subgroups,
            deterministic: self.deterministic,
            memory_bytes: self.memory.map(|mib| mib << 20),
            workers: self.workers,
            unchecked: !self.checked,
            quarantine: Quarantine::default_path().filter(|_| !self.ignore_quarantine),
            tuning: Tuning::default_path().filter(|_| !self.no_tuning),
            ..GpuOptions::default()
        }
    }
}

/// Which model.
#[derive(Debug, Args)]
pub(super) struct ModelArgument {
    /// Model: a GGUF file, a Hugging Face folder, or the owner/name of one that `kaiwu pull` fetched [default: the one that `make model` fetches]
    #[arg(short, long, value_name = "PATH", env = "KAIWU_MODEL", hide_env_values = true)]
    pub model: Option<PathBuf>,
}

/// How keys and values are stored.
#[derive(Debug, Args)]
pub(super) struct CacheArgument {
    /// Store keys and values in this type; f16 holds numbers up to 65504 and q8_0 up to 127 times that, f32 all
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    pub cache: CacheType,
}

/// Which model, and how it is loaded.
#[derive(Debug, Args)]
pub(super) struct WeightsArguments {
    #[command(flatten)]
    pub model: ModelArgument,
    #[command(flatten)]
    pub loading: LoadingArguments,
}

/// What a model's matrices become, and how keys and values are stored.
#[derive(Debug, Args)]
pub(super) struct LoadingArguments {
    /// Turn the matrices into this type while loading; `kaiwu convert` keeps the result in a file
    #[arg(long, value_name = "TYPE")]
    pub quantize: Option<Quantization>,
    #[command(flatten)]
    pub cache: CacheArgument,
    /// Add a LoRA adapter, times SCALE where given: a folder of PEFT's or mlx-lm's, its safetensors, or a GGUF file; repeatable
    #[arg(long, value_name = "PATH[:SCALE]", value_parser = parse_lora)]
    pub lora: Vec<(PathBuf, f32)>,
}

/// A path, or a path and a number behind the last colon.
fn parse_lora(text: &str) -> std::result::Result<(PathBuf, f32), String> {
    let whole = Path::new(text);
    let Some((path, scale)) = text.rsplit_once(':').filter(|_| !whole.exists()) else {
        return Ok((whole.to_owned(), 1.0));
    };
    match scale.parse::<f32>() {
        Ok(scale) if scale.is_finite() && !path.is_empty() => Ok((path.into(), scale)),
        Ok(_) => Err(format!("{scale} is no scale; expected PATH or PATH:SCALE, such as adapter:0.5")),
        // A colon of the path's own.
        Err(_) => Ok((whole.to_owned(), 1.0)),
    }
}

impl ModelArgument {
    pub(super) fn path(&self) -> Result<PathBuf> {
        model_path(self.model.as_deref())
    }
}

const DEFAULT_MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// The model file asked for, or the default one: in `models/` here, or among the user's data.
pub(super) fn model_path(asked: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = asked.filter(|path| !path.as_os_str().is_empty()) {
        // A name is a relative path too: what is there counts first.
        let name = path.to_str().filter(|_| !path.exists()).and_then(ModelName::parse);
        return name.map_or_else(|| Ok(path.to_owned()), |name| Hub::from_env().cached(&name));
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    let places: Vec<PathBuf> = [Some(PathBuf::from("models")), data.map(|data| data.join("kaiwu/models"))]
        .into_iter()
        .flatten()
        .map(|folder| folder.join(DEFAULT_MODEL))
        .collect();
    if let Some(found) = places.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
    Err(Error::Usage(format!(
        "no model: neither -m PATH nor KAIWU_MODEL is given, and there is no {}; run `make model` in the project to \
         fetch the default one",
        places.join(" or ")
    )))
}

/// A text argument; `-` stands for standard input.
pub(super) fn text_or_stdin(text: &str) -> Result<String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut bytes = vec![];
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(Error::io("read", "standard input"))?;
    String::from_utf8(bytes).map_err(|error| {
        Error::Usage(format!("standard input is not UTF-8 (byte {})", error.utf8_error().valid_up_to()))
    })
}

/// How ids are chosen.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(super) struct SamplingArguments {
    /// Divides the logits; 0 takes the likeliest token always [default: 0]
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Keep the K likeliest tokens; 0 keeps all [default: 0]
    #[arg(long, value_name = "K")]
    top_k: Option<u32>,
    /// Keep the likeliest tokens whose probabilities reach P together [default: 1]
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// Drop tokens less likely than this share of the likeliest one [default: 0]
    #[arg(long, value_name = "P")]
    min_p: Option<f32>,
    /// Divides the logits of tokens seen among the latest 64; 1 is off [default: 1]
    #[arg(long, value_name = "R")]
    repetition_penalty: Option<f32>,
    /// Subtracted for each time a token was seen among the latest 64 [default: 0]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,
    /// Subtracted if a token was seen among the latest 64 [default: 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    presence_penalty: Option<f32>,
    /// Added to the logit of a token, -inf bans it; repeatable
    #[arg(long, value_name = "ID=VALUE", value_parser = parse_bias)]
    logit_bias: Vec<(u32, f32)>,
    /// Fixes the random draws [default: a random seed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

fn parse_bias(text: &str) -> std::result::Result<(u32, f32), String> {
    let (id, value) = text.split_once('=').ok_or("expected ID=VALUE, such as 42=-5.5")?;
    let id = id.trim().parse().map_err(|_| format!("{id:?} is not a token id"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} is not a number"))?;
    Ok((id, value))
}

impl SamplingArguments {
    pub(super) fn settings(&self) -> SamplerSettings {
        let plain = SamplerSettings::default();
        SamplerSettings {
            temperature: self.temperature.unwrap_or(plain.temperature),
            top_k: self.top_k.unwrap_or(plain.top_k),
            top_p: self.top_p.unwrap_or(plain.top_p),
            min_p: self.min_p.unwrap_or(plain.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(plain.repetition_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(plain.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(plain.presence_penalty),
            logit_bias: self.logit_bias.clone(),
            // 53 bits, so that JSON readers get the seed as it is.
            seed: self.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 11),
            ..plain
        }
    }

    /// Whether nothing was said of how ids are chosen, but for the seed and single tokens.
    pub(super) fn leave_it_to_the_model(&self) -> bool {
        let Self { temperature, top_p, min_p, repetition_penalty, .. } = self;
        let penalties = [repetition_penalty, &self.frequency_penalty, &self.presence_penalty];
        let given = [temperature, top_p, min_p].into_iter().chain(penalties).any(Option::is_some);
        !given && self.top_k.is_none()
    }
}

/// A number above 0, for the device, which computes in f32.
pub(super) fn positive(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it must be a number above 0")?;
    let on_device = number as f32;
    (on_device > 0.0 && on_device.is_finite()).then_some(number).ok_or("it must be a number above 0".into())
}

/// A number that is 0 or more.
pub(super) fn not_negative(text: &str) -> std::result::Result<f32, String> {
    let number = text.parse().ok().filter(|&number: &f32| number >= 0.0 && number.is_finite());
    number.ok_or("it must be a number, 0 or more".into())
}

/// A share that leaves something for the rest.
pub(super) fn share(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|&number: &f64| number > 0.0 && number < 1.0);
    number.ok_or("it must be a number above 0 and below 1".into())
}
