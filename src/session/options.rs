//! How a model is loaded.

use super::loading::Loading;
use super::model::Model;
use super::model_file::ModelFile;
use crate::Result;
use crate::format::{Ignored, Quantization};
use crate::gpu::{Device, GpuOptions, Quarantine, Tuning};
use crate::kernels::CacheType;
use crate::model::Extent;
use std::path::{Path, PathBuf};

/// Where a model is to compute.
pub(super) enum Place {
    /// On a device that is opened for it.
    New(Box<GpuOptions>),
    /// On this one.
    Given(Device),
}

/// How a model is loaded. Begin with [`Model::options`], say what differs from the default, and end
/// with [`ModelOptions::load`], or with [`ModelOptions::open`] to look at the files first.
///
/// ```
/// use kaiwu::{CacheType, Model};
///
/// let model = Model::options()
///     .context(128)
///     .cache(CacheType::Q8_0)
///     .memory(1 << 30)
///     .on_progress(|loading| eprintln!("{} of {} bytes", loading.done, loading.total))
///     .load("tests/data/tiny/llama-f32")?;
/// assert_eq!(model.context(), 128);
/// # Ok::<(), kaiwu::Error>(())
/// ```
#[must_use = "nothing is loaded before `load` or `open`"]
pub struct ModelOptions {
    pub(super) place: Place,
    pub(super) context: Option<usize>,
    pub(super) cache: CacheType,
    pub(super) chunk: Option<usize>,
    pub(super) quantization: Option<Quantization>,
    pub(super) lora: Vec<(PathBuf, f32)>,
    pub(super) ignored: Ignored,
    pub(super) extent: Extent,
    pub(super) progress: Option<Box<dyn FnMut(Loading) + Send>>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        let gpu = GpuOptions {
            quarantine: Quarantine::default_path(),
            tuning: Tuning::default_path(),
            ..GpuOptions::default()
        };
        Self {
            place: Place::New(Box::new(gpu)),
            context: None,
            cache: CacheType::F16,
            chunk: None,
            quantization: None,
            lora: vec![],
            ignored: Ignored::default(),
            extent: Extent::Whole,
            progress: None,
        }
    }
}

impl ModelOptions {
    /// Loads the model: a GGUF file, a Hugging Face folder, or the `owner/name` of one in the
    /// hub's cache.
    ///
    /// # Errors
    /// When there is no such model, it is damaged or not supported, an option does not suit it, no
    /// device can be opened, or the model does not fit its memory.
    pub fn load(self, model: impl AsRef<Path>) -> Result<Model> {
        self.open(model)?.load()
    }

    /// Opens a model's files without loading it, to look at them or to learn what it would take.
    ///
    /// # Errors
    /// When there is no such model, it is damaged or not supported, or an option does not suit it.
    pub fn open(self, model: impl AsRef<Path>) -> Result<ModelFile> {
        ModelFile::open(model.as_ref(), self)
    }

    /// Most tokens of a conversation, prompt and answer together; the model's own context where it
    /// is not given.
    pub fn context(mut self, tokens: usize) -> Self {
        self.context = Some(tokens);
        self
    }

    /// How keys and values are stored: f16 unless given.
    pub fn cache(mut self, cache: CacheType) -> Self {
        self.cache = cache;
        self
    }

    /// Most tokens of a prompt computed at once, 256 unless given: fewer take less memory and more
    /// time.
    pub fn chunk(mut self, tokens: usize) -> Self {
        self.chunk = Some(tokens);
        self
    }

    /// Turns the matrices into this type while loading.
    pub fn quantize(mut self, quantization: Quantization) -> Self {
        self.quantization = Some(quantization);
        self
    }

    /// Adds a LoRA adapter times `scale`: a folder of PEFT's or mlx-lm's, its safetensors file, or
    /// a GGUF file. May be given several times.
    pub fn lora(mut self, adapter: impl Into<PathBuf>, scale: f32) -> Self {
        self.lora.push((adapter.into(), scale));
        self
    }

    /// Loads no output matrix: the model then embeds texts, and generates and scores none.
    pub fn embeddings_only(mut self) -> Self {
        self.extent = Extent::WithoutOutput;
        self
    }

    /// Lets fields and tensors pass that are refused otherwise; answers may be wrong then.
    pub fn ignoring(mut self, ignored: Ignored) -> Self {
        self.ignored = ignored;
        self
    }

    /// Hears how far loading is.
    pub fn on_progress(mut self, progress: impl FnMut(Loading) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Takes the graphics adapter of this number or backend, or the first whose name, driver or PCI
    /// address contains this.
    pub fn adapter(self, wanted: impl Into<String>) -> Self {
        let wanted = wanted.into();
        self.with_gpu(|gpu| gpu.adapter = Some(wanted))
    }

    /// Takes at most so many bytes of the device's memory; what needs more is refused.
    pub fn memory(self, bytes: u64) -> Self {
        self.with_gpu(|gpu| gpu.memory_bytes = Some(bytes))
    }

    /// Gives each token the same bits, however a prompt is cut into chunks and whatever the cache
    /// holds already; slower.
    pub fn deterministic(self, deterministic: bool) -> Self {
        self.with_gpu(|gpu| gpu.deterministic = deterministic)
    }

    /// Opens the device exactly so, instead of with the options above.
    pub fn gpu(mut self, options: GpuOptions) -> Self {
        self.place = Place::New(Box::new(options));
        self
    }

    /// Computes on a device that is open already, such as another model's
    /// ([`Model::device`]). The options of the device itself then have no effect.
    pub fn device(mut self, device: Device) -> Self {
        self.place = Place::Given(device);
        self
    }

    /// Computes with the plain loops that kernels are checked against, on the CPU and slowly.
    pub fn reference(self) -> Self {
        self.device(Device::Reference)
    }

    fn with_gpu(mut self, change: impl FnOnce(&mut GpuOptions)) -> Self {
        if let Place::New(options) = &mut self.place {
            change(options);
        }
        self
    }
}
