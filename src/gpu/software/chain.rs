//! Several kernel calls as one dispatch: each workgroup runs its part of every call and waits for
//! the others in between.
//!
//! A dispatch costs a software adapter as much as a small matrix product, because it wakes threads
//! and joins them: 47 us of lavapipe in a virtual machine, 150 times a token. Calls whose
//! strategies use workgroups of eight lanes without shared memory can instead be stages of one
//! shader, with as many workgroups as the adapter has threads and `meet` (`shaders/chain.wgsl`)
//! between two stages. The text of a stage is that of the single call with its names changed.
//!
//! Layers that compute alike follow one another in one dispatch. They differ only in numbers in
//! their parameters and in their tensors. The tensors are parts of one span (`super::pool`), and
//! the row at which a layer's part starts is a parameter too.

use super::stage::Names;
use crate::Result;
use crate::gpu::adapter::adapter::{AdapterReport, is_lavapipe};
use crate::gpu::device::device::{Capabilities, Gpu};
use crate::gpu::device::pipeline::PARAMETER_STRIDE;
use crate::gpu::kernel::binding::bound;
use crate::gpu::kernel::kernel::{Access, Needs, Operand, Strategy};
use crate::gpu::kernel::recording::{Entry, Recording};
use crate::gpu::kernel::{entry, shader};
use crate::gpu::tensor::tensor::{Storage, Tensor};
use std::fmt::Write;
use std::ops::Range;

/// The most loop iterations of one workgroup in total; lavapipe ends a shader's loops after 65,535
/// together.
const ALL_TURNS: usize = 65_000;

/// The most iterations that a worker waits in one chain, if the layers leave that many, and the
/// dependent divisions in each: together 11 ms at 3 GHz. That is longer than the 4 ms for which a
/// Linux kernel lets each of two threads on one core run before it moves one.
pub(super) const WAITING_TURNS: usize = 48_000;
const DIVISIONS: u32 = 40;

/// The most threads that lavapipe uses; it has one for each core.
const MOST_THREADS: usize = 16;

/// How many workgroups run at the same time: one for each thread on lavapipe, or `wanted`. The
/// workers of a chain are workgroups that are one subgroup.
pub(in crate::gpu) fn concurrent_workgroups(
    report: &AdapterReport,
    can: &Capabilities,
    wanted: Option<u32>,
) -> u32 {
    if !(can.software && can.subgroup >= 8 && is_lavapipe(&report.driver)) {
        return 1;
    }
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
    wanted.unwrap_or_else(|| cores().min(MOST_THREADS) as u32).max(1)
}

/// The most iterations of a layer that is fused even though its workers then have less time to
/// wait.
const MOST_TURNS: usize = 50_000;

/// The most calls of a layer in a chain, enough for a Llama layer with a long cache; longer chains
/// are untested.
const MOST_STAGES: usize = 6;

/// One call and how it is split.
pub(in crate::gpu) struct Stage<'a> {
    pub entry: &'a Entry,
    pub strategy: Strategy,
}

/// Calls that are fused into one dispatch.
pub(in crate::gpu) struct Chain<'a> {
    /// The stages of the first layer.
    stages: Vec<Stage<'a>>,
    /// Each bound tensor once, with the combined access of all stages.
    tensors: Vec<(Tensor, Access)>,
    workers: u32,
    layers: usize,
    /// Loop iterations of all layers together.
    turns: usize,
}

/// The tensor that a chain binds for `tensor`, and whether it is the span that contains it.
fn handle(tensor: &Tensor) -> (&Tensor, bool) {
    tensor.span().map_or((tensor, false), |(span, _)| (span, true))
}

impl<'a> Chain<'a> {
    /// The chains that blocks of `recording` can form, with the numbers of their first calls. Empty
    /// if workgroups may not run at the same time, or if chains were found wrong.
    ///
    /// # Errors
    /// When a kernel has no strategy left.
    pub fn all(gpu: &Gpu, recording: &'a Recording) -> Result<Vec<(usize, Self)>> {
        if gpu.capabilities().concurrent_workgroups == 1 || !may_chain(gpu) {
            return Ok(vec![]);
        }
        let (mut blocks, mut all) = (recording.blocks(), vec![]);
        while let Some(block) = blocks.first() {
            let mut next = block.start;
            for chain in Self::split(gpu, recording.entries(), blocks)? {
                let first = next;
                next += chain.calls();
                all.push((first, chain));
            }
            // The blocks after the chains may form chains of another kind.
            let end = next.max(block.end);
            blocks = &blocks[blocks.partition_point(|block| block.start < end)..];
        }
        Ok(all)
    }

    /// Splits layers that follow one another into chains: as long as the device allows, and of
    /// equal length if possible, because each length is a separate shader. Splitting stops at the
    /// first layer that cannot be fused or that differs from the first.
    ///
    /// # Errors
    /// When a kernel has no strategy left.
    fn split(gpu: &Gpu, entries: &'a [Entry], layers: &[Range<usize>]) -> Result<Vec<Self>> {
        let limits = gpu.device.limits();
        let mut alike = Vec::<Self>::new();
        let mut end = layers.first().map_or(0, |layer| layer.start);
        for layer in layers {
            if layer.start != end || layer.len() > MOST_STAGES {
                break;
            }
            end = layer.end;
            let mut stages = Vec::with_capacity(layer.len());
            for entry in &entries[layer.clone()] {
                stages.push(Stage {
                    entry,
                    strategy: gpu.strategies(&*entry.kernel)?.swap_remove(0),
                });
            }
            let Some(next) = Self::of(stages, gpu.capabilities().concurrent_workgroups) else {
                break;
            };
            let is_like_first = alike.first().is_none_or(|first| first.is_like(&next));
            if !is_like_first || !next.fits(&limits) || next.turns > MOST_TURNS {
                break;
            }
            alike.push(next);
        }
        let Some(first) = alike.first() else { return Ok(vec![]) };
        let turns = alike.iter().map(|layer| layer.turns).max().unwrap_or(1).max(1);
        let blocks = limits.max_uniform_buffer_binding_size as usize
            / (first.stages.len() * PARAMETER_STRIDE);
        let most = ((ALL_TURNS - WAITING_TURNS) / turns).min(blocks).max(1);
        let equal = (1..=most).rev().find(|&length| alike.len().is_multiple_of(length));
        let length = equal.filter(|length| 2 * length > most).unwrap_or(most);
        let count = alike.len();
        let firsts = alike.into_iter().enumerate().step_by(length);
        let chains = firsts.map(|(index, chain)| {
            let layers = length.min(count - index);
            Self { layers, turns: layers * turns, ..chain }
        });
        Ok(chains.collect())
    }

    /// Whether both chains compute alike with their own tensors.
    fn is_like(&self, other: &Self) -> bool {
        let same =
            |((ours, to_ours), (theirs, to_theirs)): (&(Tensor, Access), &(Tensor, Access))| {
                ours.is(theirs) && to_ours == to_theirs
            };
        self.tensors.len() == other.tensors.len()
            && self.tensors.iter().zip(&other.tensors).all(same)
            && self.layer_signature() == other.layer_signature()
    }

    /// Whether one dispatch can bind everything that the stages need.
    fn fits(&self, limits: &wgpu::Limits) -> bool {
        let (mut textures, mut buffers, mut uniforms) = (0, 1, 1);
        for (tensor, access) in &self.tensors {
            match tensor.storage() {
                Storage::Texture(..) => textures += 1,
                Storage::Uniform(_) if *access == Access::Read => uniforms += 1,
                _ => buffers += 1,
            }
        }
        textures <= limits.max_storage_textures_per_shader_stage
            && buffers <= limits.max_storage_buffers_per_shader_stage
            && uniforms <= limits.max_uniform_buffers_per_shader_stage
            && textures + buffers + uniforms <= limits.max_bindings_per_bind_group
    }

    /// Builds a chain of `stages`. `None` if a call's workgroups are larger, share memory, use
    /// private variables, or do not report their iterations, if a call reads a texture that another
    /// one writes as a texture, or if there are too many.
    pub fn of(stages: Vec<Stage<'a>>, workers: u32) -> Option<Self> {
        if stages.len() > MOST_STAGES {
            return None;
        }
        // A worker calls a stage once for each of its workgroups, and private variables are zero
        // only the first time.
        let callable = |Stage { strategy, .. }: &Stage<'_>| {
            strategy.needs.lanes == 8
                && strategy.needs.workgroup_bytes == 0
                && !strategy.needs.private_state
        };
        if !stages.iter().all(callable) {
            return None;
        }
        let mut turns = 0;
        for Stage { entry, strategy } in &stages {
            let workgroups: usize = strategy.grid.iter().map(|&count| count as usize).product();
            // The worker's own loop takes one more iteration for each workgroup.
            let each = entry.kernel.iterations(strategy)? + 1;
            turns += workgroups.div_ceil(workers as usize) * each;
        }
        let mut tensors: Vec<(Tensor, Access)> = vec![];
        for operand in stages.iter().flat_map(|stage| bound(&*stage.entry.kernel)) {
            let Some(tensor) = operand.tensor else { continue };
            let tensor = handle(&tensor).0;
            match tensors.iter_mut().find(|(known, _)| known.is(tensor)) {
                Some((_, access)) if *access != operand.access => *access = Access::ReadWrite,
                Some(_) => {}
                None => tensors.push((tensor.clone(), operand.access)),
            }
        }
        let in_texture = |tensor: &Tensor| matches!(tensor.storage(), Storage::Texture(..));
        if tensors.iter().any(|(tensor, access)| *access == Access::ReadWrite && in_texture(tensor))
        {
            return None;
        }
        Some(Self { stages, tensors, workers, layers: 1, turns })
    }

    /// Each tensor once, with the combined access of all stages, in the order of the bindings.
    pub fn tensors(&self) -> &[(Tensor, Access)] {
        &self.tensors
    }

    /// Number of workgroups.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// Number of calls in all layers.
    pub fn calls(&self) -> usize {
        self.layers * self.stages.len()
    }

    /// Everything that the text depends on.
    pub fn signature(&self) -> String {
        format!("{} layers, {} turns, of {}", self.layers, self.turns, self.layer_signature())
    }

    /// Everything that the text of one layer depends on.
    fn layer_signature(&self) -> String {
        let mut text = format!("a chain of {}", self.workers);
        for stage in &self.stages {
            let kernel = &*stage.entry.kernel;
            let _ = write!(
                text,
                "\n{} {:?}",
                shader::signature(kernel, &stage.strategy),
                stage.strategy.grid
            );
            let tensors = bound(kernel).into_iter().filter_map(|operand| operand.tensor);
            tensors.for_each(|tensor| {
                let _ = write!(text, " {:?}", self.variable(&tensor));
            });
        }
        text
    }

    /// Whether all stages are shaders of this crate.
    pub fn is_own(&self) -> bool {
        self.stages.iter().all(|stage| shader::is_own(stage.strategy.source))
    }

    /// The labels of the calls, joined.
    pub fn label(&self) -> String {
        let labels = self
            .stages
            .iter()
            .map(|stage| stage.entry.label.as_str())
            .collect::<Vec<_>>()
            .join(" + ");
        match self.layers {
            1 => labels,
            layers => format!("{labels}, and so on, {layers} layers"),
        }
    }

    /// The number of the binding for a tensor, and whether that is a span.
    fn variable(&self, tensor: &Tensor) -> Option<(usize, bool)> {
        let (tensor, in_span) = handle(tensor);
        Some((self.tensors.iter().position(|(known, _)| known.is(tensor))?, in_span))
    }

    /// The WGSL text: binding 0 is the barrier, 1 the parameters of the stages, followed by the
    /// tensors. All stages share one block of parameters, because with nine blocks Mesa 22.3.6
    /// writes out of bounds while it creates the pipeline.
    ///
    /// # Errors
    /// When a template does not render.
    pub fn render(&self) -> Result<String> {
        let mut text = String::new();
        for (index, (tensor, access)) in self.tensors.iter().enumerate() {
            let binding = 2 + index;
            shader::declare(&mut text, binding, &format!("tensor{index}"), tensor, *access, false);
        }
        let mut calls = vec![];
        for (number, Stage { entry, strategy }) in self.stages.iter().enumerate() {
            let mut stage = String::new();
            let operands = bound(&*entry.kernel);
            let in_span =
                |operand: &&Operand| operand.tensor.as_ref().is_some_and(|tensor| handle(tensor).1);
            let rows =
                operands.iter().filter(in_span).map(|operand| shader::row_parameter(operand.name));
            shader::parameter_struct(&mut stage, &entry.kernel.parameters(), rows);
            for operand in &operands {
                let (index, in_span) = operand
                    .tensor
                    .as_ref()
                    .and_then(|tensor| self.variable(tensor))
                    .unwrap_or_default();
                shader::accessors(&mut stage, operand, &format!("tensor{index}"), false, in_span);
            }
            stage.push_str(&shader::body(&*entry.kernel, strategy)?);
            let names = Names::of(&stage);
            let _ = writeln!(text, "{}", names.numbered(&stage, number));
            let call = entry::call(&stage, strategy)?;
            calls.push((names.numbered(&call, number), strategy.grid));
        }
        text.push_str("struct Layer {\n");
        for number in 0..self.stages.len() {
            let _ =
                writeln!(text, "    @size({PARAMETER_STRIDE}) p_{number}: Parameters_{number},");
        }
        let layers = self.layers;
        let _ = writeln!(
            text,
            "}}\n@group(0) @binding(1) var<uniform> layers: array<Layer, {layers}>;"
        );
        let waiting = (ALL_TURNS - self.turns).min(WAITING_TURNS);
        let numbers = [self.workers, layers as u32, waiting as u32, DIVISIONS];
        text.push_str(&shader::chain(numbers, &calls)?);
        Ok(text)
    }
}

/// The words after a call's parameters in a chain: the rows at which its tensors start in their
/// pools.
pub(in crate::gpu) fn rows(entry: &Entry) -> Vec<u32> {
    let operands = bound(&*entry.kernel).into_iter();
    operands.filter_map(|operand| Some(operand.tensor?.span()?.1)).collect()
}

/// Whether calls may be fused: chains were not found wrong on this adapter.
fn may_chain(gpu: &Gpu) -> bool {
    let mut chains = vec![as_strategy()];
    gpu.drop_quarantined("chain", &mut chains);
    !chains.is_empty()
}

/// The strategy under which chains are quarantined.
pub fn as_strategy() -> Strategy {
    let source = include_str!("../../../shaders/chain.wgsl");
    let needs = Needs::lanes(8);
    Strategy { name: "chain", entry: "chain", source, constants: vec![], needs, grid: [1, 1, 1] }
}

/// The text of `entries` as one dispatch of `workers` workgroups, split by `strategies`; `None` if
/// they cannot be stages: see `Chain::of`.
pub fn render_chain(
    entries: &[Entry],
    strategies: Vec<Strategy>,
    workers: u32,
) -> Option<Result<String>> {
    let stages =
        entries.iter().zip(strategies).map(|(entry, strategy)| Stage { entry, strategy }).collect();
    Chain::of(stages, workers).map(|chain| chain.render())
}
