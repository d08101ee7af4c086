//! Options for loading a model.

use super::loading::Loading;
use super::model::Model;
use super::model_file::ModelFile;
use crate::Result;
use crate::format::{Ignored, Quantization};
use crate::gpu::{Device, GpuOptions, Quarantine, Tuning};
use crate::kernels::CacheType;
use crate::model::Extent;
use std::path::{Path, PathBuf};

/// The device that a model is loaded onto.
pub(super) enum Place {
    /// A device that is opened for the model.
    New(Box<GpuOptions>),
    /// A device that is already open.
    Given(Device),
}

/// Options for loading a model. Begin with [`Model::options`], set what differs from the default,
/// and end with [`ModelOptions::load`], or with [`ModelOptions::open`] to look at the files first.
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

    /// Opens a model's files without loading it, to inspect them or to find out how much memory it
    /// takes.
    ///
    /// # Errors
    /// When there is no such model, it is damaged or not supported, or an option does not suit it.
    pub fn open(self, model: impl AsRef<Path>) -> Result<ModelFile> {
        ModelFile::open(model.as_ref(), self)
    }

    /// Limits the tokens of a conversation, counting prompt and answers. The default is the model's
    /// own context.
    pub fn context(mut self, tokens: usize) -> Self {
        self.context = Some(tokens);
        self
    }

    /// Sets the type in which keys and values are stored; the default is f16.
    pub fn cache(mut self, cache: CacheType) -> Self {
        self.cache = cache;
        self
    }

    /// Limits how many tokens of a prompt are computed in one step; the default is 256. Fewer take
    /// less memory and more time.
    pub fn chunk(mut self, tokens: usize) -> Self {
        self.chunk = Some(tokens);
        self
    }

    /// Converts the matrices to this type while loading.
    pub fn quantize(mut self, quantization: Quantization) -> Self {
        self.quantization = Some(quantization);
        self
    }

    /// Adds a LoRA adapter times `scale`: a folder of PEFT or mlx-lm, its safetensors file, or a
    /// GGUF file. Can be called several times.
    pub fn lora(mut self, adapter: impl Into<PathBuf>, scale: f32) -> Self {
        self.lora.push((adapter.into(), scale));
        self
    }

    /// Loads no output matrix: the model can then embed texts, but not generate or score them.
    pub fn embeddings_only(mut self) -> Self {
        self.extent = Extent::WithoutOutput;
        self
    }

    /// Ignores unknown fields and tensors that would otherwise be refused; answers may then be
    /// wrong.
    pub fn ignoring(mut self, ignored: Ignored) -> Self {
        self.ignored = ignored;
        self
    }

    /// Calls `progress` repeatedly while the model is loaded.
    pub fn on_progress(mut self, progress: impl FnMut(Loading) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Selects the adapter with this number or backend, or the first whose name, driver or PCI
    /// address contains this text.
    pub fn adapter(self, wanted: impl Into<String>) -> Self {
        let wanted = wanted.into();
        self.with_gpu(|gpu| gpu.adapter = Some(wanted))
    }

    /// Limits the device memory to this many bytes; a model that needs more is refused.
    pub fn memory(self, bytes: u64) -> Self {
        self.with_gpu(|gpu| gpu.memory_bytes = Some(bytes))
    }

    /// Makes each token's bits independent of how the prompt is divided into chunks and of what the
    /// cache already holds; slower.
    pub fn deterministic(self, deterministic: bool) -> Self {
        self.with_gpu(|gpu| gpu.deterministic = deterministic)
    }

    /// Opens the device exactly with these options, instead of those of the other methods.
    pub fn gpu(mut self, options: GpuOptions) -> Self {
        self.place = Place::New(Box::new(options));
        self
    }

    /// Uses a device that is already open, such as another model's ([`Model::device`]). Options
    /// about opening a device then have no effect.
    pub fn device(mut self, device: Device) -> Self {
        self.place = Place::Given(device);
        self
    }

    /// Computes on the CPU with the reference implementations of the kernels, which is slow.
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
