//! Options that several commands share.

use crate::Result;
use crate::cli::support::choice::choice;
use crate::cli::support::failure::usage;
use crate::format::{Ignored, Quantization, Source};
use crate::gpu::{GpuOptions, Quarantine, StorageKind, Tuning};
use crate::kernels::CacheType;
use crate::session::locate;
use clap::Args;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which device, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Device")]
pub(in crate::cli) struct DeviceArguments {
    /// Use this adapter: a number or backend of `kaiwu devices`, or part of a name, driver or PCI
    /// address
    #[arg(
        long,
        global = true,
        value_name = "ADAPTER",
        env = "KAIWU_ADAPTER",
        hide_env_values = true
    )]
    pub adapter: Option<String>,
    /// Storage of tensors on the device [default: whichever the adapter reads faster]
    #[arg(long, global = true, value_name = "KIND", value_parser = choice::<StorageKind>())]
    pub storage: Option<StorageKind>,
    /// Pretend that the adapter has no subgroups
    #[arg(long, global = true)]
    pub no_subgroups: bool,
    /// Compute the same bits for a token whatever the chunks of the prompt and the size of the
    /// cache; slower
    #[arg(long, global = true)]
    pub deterministic: bool,
    /// Use at most this much of the device's memory, MiB; a model and context that need more are
    /// refused
    #[arg(long, global = true, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    pub memory: Option<u64>,
    /// On a software adapter, fuse the kernels of a layer into one dispatch of N workgroups; 1 does
    /// not fuse [default: one a core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,
    /// Compile the shaders with bounds and loop checks; slower
    #[arg(long, global = true)]
    pub checked: bool,
    /// Ignore what `kaiwu autotune` saved for this adapter
    #[arg(long, global = true)]
    pub no_tuning: bool,
    /// Also use strategies that `kaiwu doctor` found wrong on this adapter
    #[arg(long, global = true, env = "KAIWU_IGNORE_QUARANTINE", hide_env_values = true,
        value_parser = clap::builder::FalseyValueParser::new())]
    pub ignore_quarantine: bool,
}

impl DeviceArguments {
    pub(in crate::cli) fn options(&self) -> GpuOptions {
        GpuOptions {
            adapter: self.adapter.clone().filter(|wanted| !wanted.is_empty()),
            storage: self.storage,
            without_subgroups: self.no_subgroups,
            deterministic: self.deterministic,
            memory_bytes: self.memory.map(|mib| mib << 20),
            workers: self.workers,
            checked: self.checked,
            quarantine: Quarantine::default_path().filter(|_| !self.ignore_quarantine),
            tuning: Tuning::default_path().filter(|_| !self.no_tuning),
            ..GpuOptions::default()
        }
    }
}

/// Which model.
#[derive(Debug, Args)]
pub(in crate::cli) struct ModelArgument {
    /// Model: a GGUF file, a Hugging Face folder, or an owner/name[@revision] that `kaiwu pull`
    /// fetched [default: the one that `make model` fetches]
    #[arg(short, long, value_name = "PATH", env = "KAIWU_MODEL", hide_env_values = true)]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub ignoring: IgnoringArguments,
}

/// What is let pass in a model's files.
#[derive(Debug, Args)]
pub(in crate::cli) struct IgnoringArguments {
    /// Ignore a field of config.json or a key of the GGUF file that is refused as unknown; answers
    /// may be wrong; repeatable
    #[arg(long, value_name = "FIELD")]
    ignore_config: Vec<String>,
    /// Ignore tensors that are refused as unknown, by part of their names; answers may be wrong;
    /// repeatable
    #[arg(long, value_name = "PART", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    ignore_tensor: Vec<String>,
}

impl IgnoringArguments {
    pub(in crate::cli) fn ignored(&self) -> Ignored {
        Ignored { fields: self.ignore_config.clone(), tensors: self.ignore_tensor.clone() }
    }
}

/// How keys and values are stored.
#[derive(Debug, Args)]
pub(in crate::cli) struct CacheArgument {
    /// Type of cached keys and values; f16 holds numbers up to 65504, q8_0 up to 127 times that
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = choice::<CacheType>())]
    pub cache: CacheType,
}

/// Which model, and how it is loaded.
#[derive(Debug, Args)]
pub(in crate::cli) struct WeightsArguments {
    #[command(flatten)]
    pub model: ModelArgument,
    #[command(flatten)]
    pub loading: LoadingArguments,
}

/// What a model's matrices become, and how keys and values are stored.
#[derive(Debug, Args)]
pub(in crate::cli) struct LoadingArguments {
    /// Quantise the matrices to this type while loading; `kaiwu convert` does it once, into a file
    #[arg(long, value_name = "TYPE", value_parser = choice::<Quantization>())]
    pub quantize: Option<Quantization>,
    #[command(flatten)]
    pub cache: CacheArgument,
    /// Add a LoRA adapter, scaled by SCALE if given: a folder of PEFT or mlx-lm, its safetensors, or
    /// a GGUF file; repeatable
    #[arg(long, value_name = "PATH[:SCALE]", value_parser = parse_lora)]
    pub lora: Vec<(PathBuf, f32)>,
}

/// A path, or a path and a number behind the last colon.
pub(in crate::cli) fn parse_lora(text: &str) -> std::result::Result<(PathBuf, f32), String> {
    let whole = Path::new(text);
    let Some((path, scale)) = text.rsplit_once(':').filter(|_| !may_be_there(whole)) else {
        return Ok((whole.to_owned(), 1.0));
    };
    match scale.parse::<f32>() {
        Ok(scale) if scale.is_finite() && !path.is_empty() => Ok((path.into(), scale)),
        Ok(_) => {
            Err(format!("{scale} is no scale; expected PATH or PATH:SCALE, such as adapter:0.5"))
        }
        // A colon of the path's own.
        Err(_) => Ok((whole.to_owned(), 1.0)),
    }
}

/// Whether there is something at this path, as far as can be told: opening it says what is wrong if
/// it cannot.
fn may_be_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

impl ModelArgument {
    pub(in crate::cli) fn path(&self) -> Result<PathBuf> {
        model_path(self.model.as_deref())
    }

    /// Opens it.
    pub(in crate::cli) fn open(&self) -> Result<Source> {
        Source::open_ignoring(&self.path()?, &self.ignoring.ignored())
    }
}

const DEFAULT_MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
/// A small model that anyone may fetch.
const EXAMPLE_MODEL: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";

/// The model file asked for, or the default one: in `models/` here, or among the user's data.
pub(in crate::cli) fn model_path(asked: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = asked.filter(|path| !path.as_os_str().is_empty()) {
        return locate(path);
    }
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    let places: Vec<PathBuf> =
        [Some(PathBuf::from("models")), data.map(|data| data.join("kaiwu/models"))]
            .into_iter()
            .flatten()
            .map(|folder| folder.join(DEFAULT_MODEL))
            .collect();
    if let Some(found) = places.iter().find(|path| may_be_there(path)) {
        return Ok(found.clone());
    }
    let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
    Err(usage(format!(
        "no model: neither -m PATH nor KAIWU_MODEL is given, and there is no {}; fetch one with \
         `kaiwu pull {EXAMPLE_MODEL}` and name it with -m, or run `make model` in the project",
        places.join(" or ")
    )))
}

/// Most tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Limit {
    /// So many.
    Tokens(u32),
    /// As many as the context holds.
    Context,
}

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text.parse::<i64>() {
            Ok(-1) => Ok(Self::Context),
            Ok(tokens @ 1..) => Ok(Self::Tokens(tokens.try_into().unwrap_or(u32::MAX))),
            _ => {
                Err("it must be a number of tokens above 0, or -1 for as many as the context holds")
            }
        }
    }
}

impl Limit {
    /// The number, if there is one.
    pub(in crate::cli) fn most(self) -> Option<usize> {
        match self {
            Self::Tokens(tokens) => Some(tokens as usize),
            Self::Context => None,
        }
    }

    /// Tokens to make room for at first; the cache grows with an answer.
    pub(in crate::cli) fn expected(self) -> usize {
        self.most().unwrap_or(usize::MAX).min(1024)
    }
}

/// A number above 0, for the device, which computes in f32.
pub(in crate::cli) fn positive(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it must be a number above 0")?;
    let on_device = number as f32;
    (on_device > 0.0 && on_device.is_finite())
        .then_some(number)
        .ok_or("it must be a number above 0".into())
}

/// A number that is 0 or more.
pub(in crate::cli) fn not_negative(text: &str) -> std::result::Result<f32, String> {
    let number = text.parse().ok().filter(|&number: &f32| number >= 0.0 && number.is_finite());
    number.ok_or("it must be a number, 0 or more".into())
}

/// A share that leaves something for the rest.
pub(in crate::cli) fn share(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|&number: &f64| number > 0.0 && number < 1.0);
    number.ok_or("it must be a number above 0 and below 1".into())
}
