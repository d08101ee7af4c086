//! What a kernel is: named operands, parameters, strategies, a cost, and a plain-loop reference.

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
    /// Both. Buffers only: a texture cannot be bound so everywhere.
    ReadWrite,
}

/// A tensor under the name the shader uses: `load_<name>(i)`, `store_<name>(i, v)`, i counting
/// texels.
#[derive(Clone)]
pub struct Operand {
    /// Name in the shader.
    pub name: &'static str,
    /// The tensor; `None` for an operand left out, whose loads give zeros (the shader can ask by
    /// `has_<name>`).
    pub tensor: Option<Tensor>,
    /// Access.
    pub access: Access,
    /// Its texels are eight halves, and strategies that need f16 read them as such where they are
    /// in a buffer.
    pub halves: bool,
}

impl Operand {
    /// An operand that is read.
    pub fn read(name: &'static str, tensor: &Tensor) -> Self {
        Self { name, tensor: Some(tensor.clone()), access: Access::Read, halves: false }
    }

    /// An operand that is read, and whether its texels are eight halves.
    pub fn read_halves(name: &'static str, tensor: &Tensor, halves: bool) -> Self {
        Self { halves, ..Self::read(name, tensor) }
    }

    /// An operand that is read if it is there.
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

/// A number, switch or word that the shader's text depends on: each value is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// A count, such as rows a lane.
    Count(u32),
    /// A switch.
    Switch(bool),
    /// A word, such as the name of a block format.
    Word(&'static str),
}

/// What a strategy needs of an adapter. Storage buffers are not here: they follow from the
/// operands, eight at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Lanes of its workgroup.
    pub lanes: u32,
    /// Workgroup memory, bytes.
    pub workgroup_bytes: u32,
    /// The smallest subgroup it is right with; 0 where it uses none.
    pub subgroup: u32,
    /// Half-precision arithmetic.
    pub f16: bool,
    /// Private variables of the module, which begin as zeros in each workgroup. A fused dispatch
    /// has a worker do several workgroups, and leaves such a strategy out.
    pub private_state: bool,
}

impl Needs {
    /// Workgroups of `lanes` lanes that share nothing.
    pub const fn lanes(lanes: u32) -> Self {
        Self { lanes, workgroup_bytes: 0, subgroup: 0, f16: false, private_state: false }
    }

    /// These needs, and `bytes` of workgroup memory.
    pub const fn workgroup_bytes(self, bytes: u32) -> Self {
        Self { workgroup_bytes: bytes, ..self }
    }

    /// These needs, and half-precision arithmetic; the shader's text then begins with the line that
    /// asks for it.
    pub const fn f16(self) -> Self {
        Self { f16: true, ..self }
    }

    /// These needs, and private variables of the module.
    pub const fn private_state(self) -> Self {
        Self { private_state: true, ..self }
    }

    /// These needs, and subgroups of `lanes` lanes or more.
    pub const fn subgroup(self, lanes: u32) -> Self {
        Self { subgroup: lanes, ..self }
    }
}

/// One way to split a kernel's work.
#[derive(Debug, Clone)]
pub struct Strategy {
    /// The name people see, unique among all strategies.
    pub name: &'static str,
    /// Name of the shader file and of its entry function, whose parameters say by their names what
    /// an invocation wants to know: `workgroup`, `lane`, … (`src/gpu/kernel/entry.rs`).
    pub entry: &'static str,
    /// The shader's text.
    pub source: &'static str,
    /// Values the text depends on.
    pub constants: Vec<(&'static str, Constant)>,
    /// What it needs of the adapter.
    pub needs: Needs,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
}

impl Strategy {
    /// This strategy under another name, needing f16: the operands that are halves are then read as
    /// such.
    pub fn of_halves(self, name: &'static str) -> Self {
        Self { name, needs: self.needs.f16(), ..self }
    }
}

impl Capabilities {
    /// Whether a strategy of these needs runs here.
    pub fn allows(&self, needs: &Needs) -> bool {
        self.subgroup >= needs.subgroup
            && self.f16 >= needs.f16
            && self.max_lanes >= needs.lanes
            && self.max_workgroup_bytes >= needs.workgroup_bytes
    }

    /// The strategies that run here in order of preference: on a software adapter those `for_lanes`
    /// come first, which keep lanes apart, on a GPU those `for_gpus`, which share a workgroup's
    /// memory. Each list has its best guess first, and as its last one that needs nothing beyond
    /// WebGPU's default limits.
    pub fn allowed(&self, for_lanes: Vec<Strategy>, for_gpus: Vec<Strategy>) -> Vec<Strategy> {
        let (first, then) =
            if self.software { (for_lanes, for_gpus) } else { (for_gpus, for_lanes) };
        first.into_iter().chain(then).filter(|strategy| self.allows(&strategy.needs)).collect()
    }
}

/// Most workgroups along one axis of a grid that every adapter dispatches (W3C, WebGPU, section
/// 3.6.2).
pub(in crate::gpu) const MOST_WORKGROUPS: u32 = 65_535;

/// Workgroups that a folded grid has along its first axis: what shaders take as FOLD.
pub const FOLD: u32 = 1 << 15;

/// `workgroups` along two axes, for they may be more than one axis takes. A shader counts them as x
/// + FOLD * y, and those of the last, ragged y have nothing to do.
pub fn folded(workgroups: usize) -> [u32; 2] {
    let fold = FOLD as usize;
    [workgroups.min(fold) as u32, workgroups.div_ceil(fold) as u32]
}

/// What a call must move and compute, whoever computes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes read from device memory, each operand once.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Floating-point operations; a multiply-add is two.
    pub operations: u64,
}

/// What a strategy reads beyond its kernel's [`Cost`], bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surplus {
    /// From memory: what is not asked for, such as the rest of a block.
    pub memory: u64,
    /// Again, by several workgroups each for itself: a cache answers, for it is small or was read
    /// just before.
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

/// The one rule: a value is right within `absolute + relative * |expected|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// In the value's own unit.
    pub absolute: f32,
    /// Share of the expected value.
    pub relative: f32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { absolute: 1e-4, relative: 1e-4 }
    }
}

impl Tolerance {
    /// Whether `found` is right. Two equal infinities or bit patterns are; a NaN never is.
    pub fn accepts(&self, expected: f32, found: f32) -> bool {
        expected == found
            || (expected - found).abs() <= self.absolute + self.relative * expected.abs()
    }
}

/// A kernel call: a plain struct of operands that knows how to run itself.
pub trait Kernel: Send + Sync {
    /// The name used for files, labels, tests, benches and profiles alike.
    fn name(&self) -> &'static str;

    /// The operands, in binding order.
    fn operands(&self) -> Vec<Operand>;

    /// The parameters, in the order of the uniform block.
    fn parameters(&self) -> Vec<Parameter>;

    /// The strategies this adapter allows ([`Capabilities::allowed`]), the best guess first. The
    /// last one needs nothing beyond WebGPU's default limits.
    fn strategies(&self, capabilities: &Capabilities) -> Vec<Strategy>;

    /// The strategies in other sizes than those [`Kernel::strategies`] gives them, for the tuner to
    /// try; as right as these. What the adapter does not allow is left out by the caller.
    fn sizes(&self, _: &Capabilities) -> Vec<Strategy> {
        vec![]
    }

    /// What the fastest strategy may depend on, in words. Calls of equal shapes share what was
    /// tuned.
    fn shape(&self) -> String {
        let shapes = self
            .operands()
            .into_iter()
            .filter_map(|operand| Some(format!("{} {:?}", operand.name, operand.tensor?.shape())));
        shapes.collect::<Vec<_>>().join(", ")
    }

    /// Bytes and operations with `context` tokens in the cache (only attention depends on it).
    fn cost(&self, context: usize) -> Cost;

    /// Bytes that any implementation must move with `context` tokens in the cache: weights as their
    /// file stores them, and the cache. Activations do not count, for they could stay on the chip.
    fn necessary(&self, _context: usize) -> u64 {
        0
    }

    /// What `strategy` reads beyond [`Kernel::cost`].
    fn surplus(&self, _strategy: &Strategy, _context: usize) -> Surplus {
        Surplus::default()
    }

    /// Most iterations that the loops of one workgroup of `strategy` take together, wherever in the
    /// context a step is; `None` where that is not known.
    fn iterations(&self, _strategy: &Strategy) -> Option<usize> {
        None
    }

    /// The computation in plain loops over the same parameters.
    fn reference(&self, memory: &mut HostMemory);

    /// Adds the calls that give the gradients of the inputs, from those of the outputs, to a
    /// recording that is walked in reverse: see [`Gradients`].
    ///
    /// # Errors
    /// When there is no derivative, or no memory for it.
    fn backward(&self, _: &mut Gradients) -> Result<()> {
        Err(Error::Kernel { kernel: self.name().into(), message: "it has no derivative".into() })
    }

    /// How far a device may stray from the reference.
    fn tolerance(&self) -> Tolerance {
        Tolerance::default()
    }
}
