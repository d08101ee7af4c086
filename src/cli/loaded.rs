//! What most commands begin with: a model file, its tokenizer, a device, and the weights on it.

use super::arguments::DeviceArguments;
use super::progress::Progress;
use crate::Result;
use crate::format::Gguf;
use crate::gpu::{Gpu, Place};
use crate::model::{Model, Runner};
use crate::text::Tokenizer;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Loaded {
    pub gguf: Arc<Gguf>,
    pub tokenizer: Arc<Tokenizer>,
    pub place: Place,
    pub model: Arc<Model>,
    /// Seconds from opening the file to the last weight on the device.
    pub seconds: f64,
}

impl Loaded {
    /// Opens `path` and brings its weights to the device, or to the references.
    pub(super) fn open(device: &DeviceArguments, path: &Path, reference: bool) -> Result<Self> {
        let start = Instant::now();
        // The file first: a wrong path should not cost the start of a device.
        let gguf = Arc::new(Gguf::open(path)?);
        let tokenizer = Arc::new(Tokenizer::from_gguf(&gguf)?);
        let place = match reference {
            true => Place::Host,
            false => Place::Device(Gpu::open(&device.options())?),
        };
        let model = load(&place, &gguf)?;
        Ok(Self { gguf, tokenizer, place, model, seconds: start.elapsed().as_secs_f64() })
    }

    /// A conversation with room for `expected` tokens to begin with.
    pub(super) fn runner(&self, context: Option<usize>, expected: usize) -> Result<Runner> {
        Runner::new(&self.place, &self.model, context, expected)
    }

    pub(super) fn adapter(&self) -> String {
        adapter(&self.place)
    }
}

/// Brings the weights to `place` with a progress bar.
pub(super) fn load(place: &Place, gguf: &Arc<Gguf>) -> Result<Arc<Model>> {
    let total = gguf.tensors().iter().map(|tensor| tensor.bytes).sum();
    let mut progress = Progress::bytes("loading", total);
    let model = Arc::new(Model::load(place, gguf, |done| progress.set(done))?);
    if let Place::Device(gpu) = place {
        gpu.wait()?;
    }
    Ok(model)
}

/// The name of what computes.
pub(super) fn adapter(place: &Place) -> String {
    match place {
        Place::Device(gpu) => gpu.report().name.clone(),
        Place::Host => "CPU references".into(),
    }
}
