//! Several kernel calls as one dispatch: each workgroup walks through all of them and waits for the
//! others in between.
//!
//! A dispatch costs a software adapter as much as a small product, for it wakes threads and joins
//! them: 47 us of lavapipe in a virtual machine, 150 times a token. Calls whose strategies keep to
//! workgroups of eight lanes without shared memory can be stages of one shader instead, with as
//! many workgroups as the adapter has threads, and `meet` (`shaders/chain.wgsl`) between two
//! stages. The stages' texts are those of single calls, under other names.
//!
//! Layers that do the same follow one another in one dispatch. What differs between them are
//! numbers in their parameters and tensors, and these are parts of one span (`super::pool`), so
//! that a layer's begin at a row that is a parameter too.

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

/// Turns of loops that one workgroup may take in all: drivers end a shader's loops after so many
/// together (lavapipe: 65,535).
const ALL_TURNS: usize = 65_000;

/// Turns that a worker waits in one chain, if the layers leave so many, and divisions in each, one
/// after the other: together 11 ms at 3 GHz. Where two threads begin on one core, a Linux kernel
/// lets each run for four before it moves one.
pub(super) const WAITING_TURNS: usize = 48_000;
const DIVISIONS: u32 = 40;

/// Threads that lavapipe has at most; it has one a core.
const MOST_THREADS: usize = 16;

/// How many workgroups run at the same time: one a thread on lavapipe, or `wanted`. Workers of a
/// chain are workgroups that are one subgroup.
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

/// Turns of a layer that is worth a chain though its workers may not wait for so long.
const MOST_TURNS: usize = 50_000;

/// Most calls of a chain: a Llama's layer with a long cache. Longer ones have not been looked at
/// with valgrind since stages have one block of parameters.
const MOST_STAGES: usize = 6;

/// One call and how it is split.
pub(in crate::gpu) struct Stage<'a> {
    pub entry: &'a Entry,
    pub strategy: Strategy,
}

/// Calls that become one dispatch.
pub(in crate::gpu) struct Chain<'a> {
    /// The stages of the first layer.
    stages: Vec<Stage<'a>>,
    /// What is bound, each once, with what all stages together do to it.
    tensors: Vec<(Tensor, Access)>,
    workers: u32,
    layers: usize,
    /// Turns of all layers together.
    turns: usize,
}

/// What a chain binds for a tensor, and whether that is a span that the tensor is a part of.
fn handle(tensor: &Tensor) -> (&Tensor, bool) {
    tensor.span().map_or((tensor, false), |(span, _)| (span, true))
}

impl<'a> Chain<'a> {
    /// The chains that blocks of `recording` can be, with the numbers of their first calls; none
    /// where workgroups may not run at the same time, or where chains were found wrong.
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
            // What is behind the chains may be some of another kind.
            let end = next.max(block.end);
            blocks = &blocks[blocks.partition_point(|block| block.start < end)..];
        }
        Ok(all)
    }

    /// Layers that follow one another as chains: the longest that the device allows, of equal
    /// length if they can be, for each length is a text of its own. The first layer that cannot be
    /// a chain, or is unlike the first, ends them.
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

    /// Whether both do the same with what is bound for either.
    fn is_like(&self, other: &Self) -> bool {
        let same =
            |((ours, to_ours), (theirs, to_theirs)): (&(Tensor, Access), &(Tensor, Access))| {
                ours.is(theirs) && to_ours == to_theirs
            };
        self.tensors.len() == other.tensors.len()
            && self.tensors.iter().zip(&other.tensors).all(same)
            && self.layer_signature() == other.layer_signature()
    }

    /// Whether all that its stages bind can be bound at once.
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

    /// `None` where some call's workgroups are larger, share memory, keep numbers in private
    /// variables, or do not say how many iterations they take, where one call reads a texture that
    /// another one writes as such, or where there are too many.
    pub fn of(stages: Vec<Stage<'a>>, workers: u32) -> Option<Self> {
        if stages.len() > MOST_STAGES {
            return None;
        }
        // A stage is called for one share after the other, and private variables are zero for the
        // first one only.
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
            // The worker's own loop takes one for each workgroup, too.
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

    /// Each tensor once, with what all stages together do to it, in the order of the bindings.
    pub fn tensors(&self) -> &[(Tensor, Access)] {
        &self.tensors
    }

    /// Workgroups.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// Calls of all layers.
    pub fn calls(&self) -> usize {
        self.layers * self.stages.len()
    }

    /// What the text depends on.
    pub fn signature(&self) -> String {
        format!("{} layers, {} turns, of {}", self.layers, self.turns, self.layer_signature())
    }

    /// What the text of a layer depends on.
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

    /// The calls' labels.
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

    /// The number of what is bound for a tensor, and whether that is a span.
    fn variable(&self, tensor: &Tensor) -> Option<(usize, bool)> {
        let (tensor, in_span) = handle(tensor);
        Some((self.tensors.iter().position(|(known, _)| known.is(tensor))?, in_span))
    }

    /// The WGSL text: binding 0 is the meeting, 1 has the stages' parameters, then come the
    /// tensors. One block of parameters and not one a stage: with nine, Mesa 22.3.6 writes beyond
    /// its memory while it makes the pipeline.
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

/// What stands behind a call's parameters in a chain: the rows at which its tensors begin in their
/// pools.
pub(in crate::gpu) fn rows(entry: &Entry) -> Vec<u32> {
    let operands = bound(&*entry.kernel).into_iter();
    operands.filter_map(|operand| Some(operand.tensor?.span()?.1)).collect()
}

/// Whether calls may be one dispatch: they were not found wrong here.
fn may_chain(gpu: &Gpu) -> bool {
    let mut chains = vec![as_strategy()];
    gpu.drop_quarantined("chain", &mut chains);
    !chains.is_empty()
}

/// Chains as a strategy of their own, by which they are quarantined.
pub fn as_strategy() -> Strategy {
    let source = include_str!("../../../shaders/chain.wgsl");
    let needs = Needs::lanes(8);
    Strategy { name: "chain", entry: "chain", source, constants: vec![], needs, grid: [1, 1, 1] }
}

/// The text of `entries`, split as `strategies` say, as one dispatch of `workers` workgroups;
/// `None` where they cannot be stages: see `Chain::of`.
pub fn render_chain(
    entries: &[Entry],
    strategies: Vec<Strategy>,
    workers: u32,
) -> Option<Result<String>> {
    let stages =
        entries.iter().zip(strategies).map(|(entry, strategy)| Stage { entry, strategy }).collect();
    Chain::of(stages, workers).map(|chain| chain.render())
}
