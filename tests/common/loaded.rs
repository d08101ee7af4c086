//! The default model on the device.

use kaiwu::format::Gguf;
use kaiwu::gpu::{Device, Gpu, GpuOptions};
use kaiwu::model::{Runner, Weights};
use kaiwu::text::Tokenizer;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// The default model with its reference results.
pub struct Fixture {
    pub gguf: Arc<Gguf>,
    pub tokenizer: Arc<Tokenizer>,
    pub gpu: Arc<Gpu>,
    pub model: Arc<Weights>,
    pub golden: Value,
}

impl Fixture {
    /// A runner with room for 256 tokens to begin with.
    pub fn runner(&self) -> Runner {
        Runner::new(&Device::Gpu(self.gpu.clone()), &self.model, None, 256).unwrap()
    }

    pub fn prompts(&self) -> impl Iterator<Item = &Value> {
        self.golden["prompts"].as_array().unwrap().iter()
    }
}

/// The model on the device, loaded once for all tests.
pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let gpu = Gpu::open(&GpuOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        let gguf = Arc::new(Gguf::open(&super::default_model()).unwrap());
        let model = Arc::new(Weights::load(&Device::Gpu(gpu.clone()), &gguf, |_| ()).unwrap());
        let tokenizer = Arc::new(Tokenizer::from_gguf(&gguf).unwrap());
        let golden = super::golden("SmolLM2-135M-Instruct.Q4_1.json");
        Fixture { gguf, tokenizer, gpu, model, golden }
    })
}
