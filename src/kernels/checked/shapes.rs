//! Calls of real models' sizes, with weights and activations made up.

use super::cases::{Case, Cases};
use super::model_steps::ModelStep;
use crate::Result;
use crate::gpu::{Device, Gpu, Kernel};
use std::sync::Arc;

/// Makes the tensors of a call, and the call.
type Build = dyn Fn(&mut Cases) -> Result<Arc<dyn Kernel>>;

/// A call to be timed.
pub struct BenchShape {
    /// Its name, for instance "SmolLM2-135M decode ffn_down".
    pub what: String,
    /// Tokens in the cache, for the cost.
    pub context: usize,
    /// Whether its tensors take long to make up, so that tests of the list leave it out.
    pub large: bool,
    /// Whether `kaiwu autotune` takes it where it is given no model.
    pub tuned: bool,
    build: Box<Build>,
}

impl BenchShape {
    /// A call by its name, with `context` tokens in the cache for its cost; `build` makes it.
    pub fn new(
        what: impl Into<String>,
        context: usize,
        build: impl Fn(&mut Cases) -> Result<Arc<dyn Kernel>> + 'static,
    ) -> Self {
        let build = Box::new(build);
        Self { what: what.into(), context, large: false, tuned: false, build }
    }

    /// The call with its tensors on a device.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn case(&self, gpu: &Arc<Gpu>) -> Result<Case> {
        let mut cases = Cases::new(Device::Gpu(Arc::clone(gpu)));
        let kernel = (self.build)(&mut cases)?;
        Ok(cases.finish(self.what.clone(), kernel))
    }

    /// Says that its tensors take long to make up.
    pub fn large(&mut self) {
        self.large = true;
    }
}

/// Calls to be timed, in the making.
#[derive(Default)]
pub struct Shapes {
    /// The calls so far.
    pub all: Vec<BenchShape>,
}

impl Shapes {
    /// Adds a call under a name that says whose it is.
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

    /// Adds the call `label` of a step of a model.
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
