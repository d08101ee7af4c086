//! A program in which blocks of calls are one dispatch each.

use super::program::{Block, Parameters, Program, Step};
use crate::Result;
use crate::gpu::device::device::Gpu;
use crate::gpu::device::pipeline::{self, PARAMETER_STRIDE};
use crate::gpu::kernel::binding;
use crate::gpu::kernel::recording::Recording;
use crate::gpu::software::barrier::GridBarrier;
use crate::gpu::software::chain::{self, Chain};

/// A program with chains of calls, and the barrier of their workers.
pub(in crate::gpu) struct Fused {
    pub program: Program,
    pub barrier: GridBarrier,
}

impl Fused {
    /// Compiles `recording` with its blocks as chains; `None` if this device can fuse no block.
    ///
    /// # Errors
    /// When a kernel or a chain does not compile; the message names it.
    pub fn compile(gpu: &Gpu, recording: &Recording) -> Result<Option<Self>> {
        let chains = Chain::all(gpu, recording)?;
        if chains.is_empty() {
            return Ok(None);
        }
        let entries = recording.entries();
        let parameters = Parameters::upload(gpu, entries, chain::rows);
        let barrier = GridBarrier::new(gpu);
        let (mut steps, mut index) = (vec![], 0);
        for (first, chain) in chains {
            for index in index..first {
                steps.push(Step::of_first_strategy(gpu, &entries[index], parameters.of(index))?);
            }
            let block = parameters.block(first, chain.calls() * PARAMETER_STRIDE);
            steps.push(step(gpu, &chain, &barrier, block)?);
            index = first + chain.calls();
        }
        for index in index..entries.len() {
            steps.push(Step::of_first_strategy(gpu, &entries[index], parameters.of(index))?);
        }
        gpu.check()?;
        Ok(Some(Self { program: Program { steps }, barrier }))
    }
}

/// A chain's calls as one step, with the uniform block of all their parameters.
fn step(gpu: &Gpu, chain: &Chain<'_>, barrier: &GridBarrier, parameters: Block) -> Result<Step> {
    let tensors = chain.tensors();
    let mut kinds = vec![pipeline::storage_buffer(false), pipeline::uniform_buffer()];
    kinds.extend(tensors.iter().map(|(tensor, access)| binding::binding_type(tensor, *access)));
    let label = chain.label();
    let pipeline =
        pipeline::of(gpu, &label, "chain", &chain.signature(), &kinds, chain.is_own(), || {
            chain.render()
        })?;
    let mut resources = vec![barrier.buffer.as_entire_binding(), parameters.binding()];
    resources.extend(tensors.iter().map(|(tensor, _)| binding::resource(tensor, &label)));
    let bindings = vec![(0, pipeline::bind_group(gpu, &pipeline.layout, resources, &label))];
    Ok(Step {
        label,
        strategy: "chain",
        pipeline,
        bindings,
        grid: [chain.workers(), 1, 1],
        parameters: Some(parameters),
        immediates: vec![],
    })
}
