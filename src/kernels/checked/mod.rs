//! What a kernel is held to: calls of awkward sizes, on which each of its strategies is compared
//! with the reference, and calls of real models' sizes, on which they are timed. Both are in the
//! kernel's own file, or in `<name>/cases.rs` where they are long.

mod cases;
pub(in crate::kernels) mod grok;
mod model_steps;
mod numbers;
mod shapes;

pub use cases::{Case, Cases};
pub(in crate::kernels) use model_steps::{MODEL_STEPS, ModelStep, PROMPT, VOCAB_SIZE};
pub use numbers::Numbers;
pub use shapes::{BenchShape, Shapes};

use crate::Result;
use crate::gpu::Kernel;

/// A kernel with the calls that it is checked and timed on.
pub trait Checked: Kernel + Sized + 'static {
    /// Adds calls of awkward sizes: one lane's worth, more than a workgroup's, no whole workgroups.
    /// Every strategy computes them and is compared with the reference, with the tensors in buffers
    /// and in textures.
    ///
    /// # Errors
    /// When the device cannot hold their tensors.
    fn cases(cases: &mut Cases) -> Result<()>;

    /// Adds calls whose shaders have texts that no case has, because of a weight format or an
    /// operand that is left out. Their shaders are translated and validated, never run, so that
    /// there may be many.
    ///
    /// # Errors
    /// When the device cannot hold their tensors.
    fn variants(_: &mut Cases) -> Result<()> {
        Ok(())
    }

    /// Adds calls as real models make them, to be timed; at least one that is not large.
    fn shapes(shapes: &mut Shapes);
}

/// A kernel by its name, with the functions of [`Checked`].
#[derive(Clone, Copy)]
pub struct Listed {
    /// The name that the kernel gives itself.
    pub name: &'static str,
    /// [`Checked::cases`].
    pub cases: fn(&mut Cases) -> Result<()>,
    /// [`Checked::variants`].
    pub variants: fn(&mut Cases) -> Result<()>,
    /// [`Checked::shapes`].
    pub shapes: fn(&mut Shapes),
}

impl Listed {
    /// The kernel `K`, which calls itself `name`.
    pub const fn new<K: Checked>(name: &'static str) -> Self {
        Self { name, cases: K::cases, variants: K::variants, shapes: K::shapes }
    }
}
