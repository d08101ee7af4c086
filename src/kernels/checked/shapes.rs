//! Calls with the sizes of real models, with made-up weights and activations.

use super::cases::{Case, Cases};
use super::model_steps::ModelStep;
use crate::Result;
use crate::gpu::{Device, Gpu, Kernel};
use std::sync::Arc;

/// Creates the tensors of a call, and the call.
type Build = dyn Fn(&mut Cases) -> Result<Arc<dyn Kernel>>;

/// A call to be timed.
pub struct BenchShape {
    /// The name of the call, such as "SmolLM2-135M decode ffn_down".
    pub what: String,
    /// Tokens in the cache, which the cost depends on.
    pub context: usize,
    /// Whether its tensors take long to make up, so that tests of the list skip it.
    pub large: bool,
    /// Whether `kaiwu autotune` includes the call when no model is given.
    pub tuned: bool,
    build: Box<Build>,
}

impl BenchShape {
    /// A call by its name, with `context` tokens in the cache for its cost; `build` creates it.
    pub fn new(
        what: impl Into<String>,
        context: usize,
        build: impl Fn(&mut Cases) -> Result<Arc<dyn Kernel>> + 'static,
    ) -> Self {
        let build = Box::new(build);
        Self { what: what.into(), context, large: false, tuned: false, build }
    }

    /// Creates the call with its tensors on a device.
    ///
    /// # Errors
    /// When the device cannot hold the tensors.
    pub fn case(&self, gpu: &Arc<Gpu>) -> Result<Case> {
        let mut cases = Cases::new(Device::Gpu(Arc::clone(gpu)));
        let kernel = (self.build)(&mut cases)?;
        Ok(cases.finish(self.what.clone(), kernel))
    }

    /// Marks the call as one whose tensors take long to make up.
    pub fn large(&mut self) {
        self.large = true;
    }
}

/// Collects calls to be timed.
#[derive(Default)]
pub struct Shapes {
    /// The calls added so far.
    pub all: Vec<BenchShape>,
}

impl Shapes {
    /// Adds a call under a name that says which model it belongs to.
    pub fn add<K: Kernel + 'static>(
        &mut self,
        what: impl Into<String>,
        build: impl Fn(&mut Cases) -> Result<K> + 'static,
    ) -> &mut BenchShape {
        let build =
            move |cases: &mut Cases| -> Result<Arc<dyn Kernel>> { Ok(Arc::new(build(cases)?)) };
        let index = self.all.len();
        self.all.push(BenchShape::new(what, 0, build));
        &mut self.all[index]
    }

    /// Adds the call `label` of a model's step.
    pub(in crate::kernels) fn add_of_model<K: Kernel + 'static>(
        &mut self,
        step: &'static ModelStep,
        label: &str,
        build: impl Fn(&mut Cases, &ModelStep) -> Result<K> + 'static,
    ) -> &mut BenchShape {
        let shape = self.add(step.call(label), move |cases| build(cases, step));
        (shape.context, shape.tuned, shape.large) = (step.position, true, step.is_large());
        shape
    }
}
