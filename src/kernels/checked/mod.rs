//! Test cases and benchmark shapes of kernels. On the cases, which have awkward sizes, each
//! strategy is compared with the reference; the shapes have the sizes of real models and are timed.
//! Both are in the kernel's own file, or in `<name>/cases.rs` if they are long.

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

/// A kernel with test cases and benchmark shapes.
pub trait Checked: Kernel + Sized + 'static {
    /// Adds calls of awkward sizes: work for a single lane, for more than a workgroup, and for a
    /// fraction of one. Every strategy runs them and is compared with the reference, with the
    /// tensors in buffers and in textures.
    ///
    /// # Errors
    /// When the device cannot hold the tensors.
    fn cases(cases: &mut Cases) -> Result<()>;

    /// Adds calls whose shader texts differ from those of the cases, because of a weight format or
    /// an omitted operand. Their shaders are translated and validated but not run, so there may be
    /// many.
    /// # Errors
    /// When the device cannot hold the tensors.
    fn variants(_: &mut Cases) -> Result<()> {
        Ok(())
    }

    /// Adds calls with the sizes of real models, to be timed; at least one must be small.
    fn shapes(shapes: &mut Shapes);
}

/// A kernel's name with its [`Checked`] functions.
#[derive(Clone, Copy)]
pub struct Listed {
    /// The name that [`Kernel::name`] returns.
    pub name: &'static str,
    /// [`Checked::cases`].
    pub cases: fn(&mut Cases) -> Result<()>,
    /// [`Checked::variants`].
    pub variants: fn(&mut Cases) -> Result<()>,
    /// [`Checked::shapes`].
    pub shapes: fn(&mut Shapes),
}

impl Listed {
    /// The entry for kernel `K`, whose [`Kernel::name`] is `name`.
    pub const fn new<K: Checked>(name: &'static str) -> Self {
        Self { name, cases: K::cases, variants: K::variants, shapes: K::shapes }
    }
}
