//! The trait of kernel calls: named operands, parameters, strategies, a cost, and a plain-loop
//! reference.

use super::gradients::Gradients;
use crate::gpu::device::device::Capabilities;
use crate::gpu::tensor::host::HostMemory;
use crate::gpu::tensor::tensor::Tensor;
use crate::{Error, Result};

/// How a kernel touches an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads only; any number of kernels may share it.
    Read,
    /// Writes only.
    Write,
    /// Reads and writes. Allowed for buffers only, because many adapters cannot bind a texture so.
    ReadWrite,
}

/// A tensor under the name that the shader uses: `load_<name>(i)` and `store_<name>(i, v)`, where i
/// counts texels of 16 bytes.
#[derive(Clone)]
pub struct Operand {
    /// Name in the shader.
    pub name: &'static str,
    /// The tensor; `None` for an omitted operand, whose loads give zeros. The shader can test
    /// `has_<name>`.
    pub tensor: Option<Tensor>,
    /// How the kernel accesses the tensor.
    pub access: Access,
    /// Whether a texel is eight half-precision numbers. Strategies that need f16 read them directly
    /// if the tensor is in a buffer.
    pub halves: bool,
}

impl Operand {
    /// An operand that is read.
    pub fn read(name: &'static str, tensor: &Tensor) -> Self {
        Self { name, tensor: Some(tensor.clone()), access: Access::Read, halves: false }
    }

    /// An operand that is read; `halves` says whether a texel is eight half-precision numbers.
    pub fn read_halves(name: &'static str, tensor: &Tensor, halves: bool) -> Self {
        Self { halves, ..Self::read(name, tensor) }
    }

    /// An operand that is read if it is present.
    pub fn optional(name: &'static str, tensor: Option<&Tensor>) -> Self {
        Self { name, tensor: tensor.cloned(), access: Access::Read, halves: false }
    }

    /// An operand that is written.
    pub fn write(name: &'static str, tensor: &Tensor) -> Self {
        Self { name, tensor: Some(tensor.clone()), access: Access::Write, halves: false }
    }

    /// An operand that is read and written.
    pub fn read_write(name: &'static str, tensor: &Tensor) -> Self {
        Self { name, tensor: Some(tensor.clone()), access: Access::ReadWrite, halves: false }
    }
}

/// A number that differs between calls of one pipeline, read in the shader as `p.<name>`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parameter {
    /// An unsigned integer.
    U32(&'static str, u32),
    /// A float.
    F32(&'static str, f32),
}

/// A number, switch or word that the shader's text depends on: each value makes another pipeline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// A count, such as rows for each lane.
    Count(u32),
    /// A switch.
    Switch(bool),
    /// A word, such as the name of a block format.
    Word(&'static str),
}

/// What a strategy requires of an adapter. Storage buffers are not listed, because they follow from
/// the operands: at most eight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Lanes in a workgroup.
    pub lanes: u32,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: u32,
    /// The smallest subgroup size that the strategy works with; 0 if it uses no subgroups.
    pub subgroup: u32,
    /// Whether it needs half-precision arithmetic.
    pub f16: bool,
    /// Whether it uses private module variables, which must start as zeros in each workgroup. In a
    /// fused dispatch a worker runs several workgroups, so such a strategy cannot be fused.
    pub private_state: bool,
}

impl Needs {
    /// Workgroups of `lanes` lanes that share no memory.
    pub const fn lanes(lanes: u32) -> Self {
        Self { lanes, workgroup_bytes: 0, subgroup: 0, f16: false, private_state: false }
    }

    /// Adds `bytes` bytes of workgroup memory to these needs.
    pub const fn workgroup_bytes(self, bytes: u32) -> Self {
        Self { workgroup_bytes: bytes, ..self }
    }

    /// Adds half-precision arithmetic to these needs; the rendered shader then starts with `enable
    /// f16;`.
    pub const fn f16(self) -> Self {
        Self { f16: true, ..self }
    }

    /// Adds private module variables to these needs.
    pub const fn private_state(self) -> Self {
        Self { private_state: true, ..self }
    }

    /// Adds subgroups of at least `lanes` lanes to these needs.
    pub const fn subgroup(self, lanes: u32) -> Self {
        Self { subgroup: lanes, ..self }
    }
}

/// One way to split a kernel's work into workgroups and lanes.
#[derive(Debug, Clone)]
pub struct Strategy {
    /// The displayed name, unique among all strategies.
    pub name: &'static str,
    /// Name of the shader file and of its entry function. The names of the function's parameters
    /// say which values it needs: `workgroup`, `lane`, … (`src/gpu/kernel/entry.rs`).
    pub entry: &'static str,
    /// The text of the shader file.
    pub source: &'static str,
    /// Values that the text depends on.
    pub constants: Vec<(&'static str, Constant)>,
    /// What the strategy requires of the adapter.
    pub needs: Needs,
    /// Workgroups along x, y and z.
    pub grid: [u32; 3],
}

impl Strategy {
    /// This strategy as `name` with f16 required, so that operands with halves are read directly.
    pub fn of_halves(self, name: &'static str) -> Self {
        Self { name, needs: self.needs.f16(), ..self }
    }
}

impl Capabilities {
    /// Whether a strategy with these needs runs on this adapter.
    pub fn allows(&self, needs: &Needs) -> bool {
        self.subgroup >= needs.subgroup
            && self.f16 >= needs.f16
            && self.max_lanes >= needs.lanes
            && self.max_workgroup_bytes >= needs.workgroup_bytes
    }

    /// The strategies that run on this adapter, in order of preference. A software adapter prefers
    /// `for_lanes`, whose lanes work independently; a GPU prefers `for_gpus`, whose lanes share
    /// workgroup memory. Each list starts with its best guess and ends with a strategy that needs
    /// only WebGPU's default limits.
    pub fn allowed(&self, for_lanes: Vec<Strategy>, for_gpus: Vec<Strategy>) -> Vec<Strategy> {
        let (first, then) =
            if self.software { (for_lanes, for_gpus) } else { (for_gpus, for_lanes) };
        first.into_iter().chain(then).filter(|strategy| self.allows(&strategy.needs)).collect()
    }
}

/// The most workgroups along one axis of a grid that every adapter can dispatch (W3C, WebGPU,
/// section 3.6.2).
pub(in crate::gpu) const MOST_WORKGROUPS: u32 = 65_535;

/// Workgroups along the first axis of a folded grid; shaders receive it as FOLD.
pub const FOLD: u32 = 1 << 15;

/// Splits `workgroups` over two axes, because their number may exceed the limit of one. A shader
/// counts them as x + FOLD * y; those past the end, in the last row y, do nothing.
pub fn folded(workgroups: usize) -> [u32; 2] {
    let fold = FOLD as usize;
    [workgroups.min(fold) as u32, workgroups.div_ceil(fold) as u32]
}

/// The minimal memory traffic and arithmetic of a call, independent of the strategy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes read from device memory, counting each operand once.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Floating-point operations; a multiply-add counts as two.
    pub operations: u64,
}

/// The bytes that a strategy reads in addition to its kernel's [`Cost`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surplus {
    /// Bytes from memory that are read but not needed, such as the rest of a block.
    pub memory: u64,
    /// Bytes read again by other workgroups. Caches serve these, because the data is small or was
    /// read just before.
    pub again: u64,
}

impl std::ops::Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            written: self.written + other.written,
            operations: self.operations + other.operations,
        }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), std::ops::Add::add)
    }
}

/// How far a value may differ: it is right within `absolute + relative * |expected|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Allowed difference in the unit of the value.
    pub absolute: f32,
    /// Allowed difference as a fraction of the expected value.
    pub relative: f32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { absolute: 1e-4, relative: 1e-4 }
    }
}

impl Tolerance {
    /// Whether `found` is right. Equal infinities and equal bit patterns are right; any other NaN
    /// is wrong.
    pub fn accepts(&self, expected: f32, found: f32) -> bool {
        expected == found
            || (expected - found).abs() <= self.absolute + self.relative * expected.abs()
    }
}

/// A kernel call: a plain struct of operands, with everything needed to run it.
pub trait Kernel: Send + Sync {
    /// The kernel's name, used for files, labels, tests, benchmarks and profiles.
    fn name(&self) -> &'static str;

    /// The operands, in binding order.
    fn operands(&self) -> Vec<Operand>;

    /// The parameters, in the order of the uniform block.
    fn parameters(&self) -> Vec<Parameter>;

    /// The strategies that this adapter allows ([`Capabilities::allowed`]), the best guess first.
    /// The last one needs only WebGPU's default limits.
    fn strategies(&self, capabilities: &Capabilities) -> Vec<Strategy>;

    /// Variants of the strategies with other sizes, for the tuner to try. Their results are as
    /// accurate; the caller drops those that the adapter does not allow.
    fn sizes(&self, _: &Capabilities) -> Vec<Strategy> {
        vec![]
    }

    /// Describes the shape that the choice of the fastest strategy may depend on. Calls with equal
    /// descriptions share a tuning result.
    fn shape(&self) -> String {
        let shapes = self
            .operands()
            .into_iter()
            .filter_map(|operand| Some(format!("{} {:?}", operand.name, operand.tensor?.shape())));
        shapes.collect::<Vec<_>>().join(", ")
    }

    /// Bytes and operations with `context` tokens in the cache (only attention depends on
    /// `context`).
    fn cost(&self, context: usize) -> Cost;

    /// Bytes that any implementation must move with `context` tokens in the cache: the weights as
    /// stored in their file, and the cache. Activations do not count, because they could stay on
    /// the chip.
    fn necessary(&self, _context: usize) -> u64 {
        0
    }

    /// The bytes that `strategy` reads in addition to [`Kernel::cost`].
    fn surplus(&self, _strategy: &Strategy, _context: usize) -> Surplus {
        Surplus::default()
    }

    /// The largest total number of loop iterations of one workgroup of `strategy`, at any position
    /// in the context; `None` if unknown.
    fn iterations(&self, _strategy: &Strategy) -> Option<usize> {
        None
    }

    /// Computes the result in plain loops, with the parameters that the device gets.
    fn reference(&self, memory: &mut HostMemory);

    /// Adds the calls that compute the gradients of the inputs from those of the outputs, for a
    /// recording that is walked in reverse: see [`Gradients`].
    ///
    /// # Errors
    /// When the kernel has no derivative, or there is no memory for the gradients.
    fn backward(&self, _: &mut Gradients) -> Result<()> {
        Err(Error::Kernel { kernel: self.name().into(), message: "it has no derivative".into() })
    }

    /// How far a device's result may differ from the reference.
    fn tolerance(&self) -> Tolerance {
        Tolerance::default()
    }
}
