//! The recordings of a training step, and the memory that they need.

use super::optimiser::Optimizer;
use crate::Result;
use crate::gpu::{Device, Element, Gpu, Gradients, Recording, Tensor, TensorSpec};
use crate::kernels::{IncrementStep, SampleBatch};
use crate::train::model::forward::{Batch, Workspace, record};
use crate::train::model::network::Network;
use crate::train::model::parameters::Parameters;
use crate::train::settings::Settings;
use crate::train::trainer::AT_ONCE;
use std::collections::HashMap;

/// The recordings of a step and of an evaluation, and the tensors that the host writes or reads.
pub(in crate::train) struct Step {
    /// Forward passes, their gradients, and the optimiser.
    pub recording: Recording,
    /// A forward pass without gradients.
    pub evaluation: Recording,
    pub optimiser: Optimizer,
    /// Token ids of all training data.
    pub data: Tensor,
    /// Loss, accuracy and count of each forward pass of a step.
    pub totals: Vec<Tensor>,
    pub clock: Tensor,
    pub draw_clock: Tensor,
    pub schedule: Tensor,
    pub starts: Tensor,
    /// The weight of each forward pass in the loss of its step.
    pub shares: Tensor,
}

impl Step {
    /// Records a step of `network`, over data of `words` token ids.
    ///
    /// # Errors
    /// When the settings are impossible, or the device cannot hold it.
    pub fn record(
        device: &Device,
        network: &Network,
        settings: &Settings,
        words: usize,
    ) -> Result<Self> {
        settings.check(&network.shape)?;
        let (shape, parameters) = (&network.shape, network.trained());
        let data = TensorSpec::new("data", &[words.next_multiple_of(4).max(4)], Element::U32)
            .read_only()
            .make(device)?;
        let Settings { batch: size, accumulate, loss_positions, .. } = *settings;
        let fours = |count: usize| [count.next_multiple_of(4)];
        let starts = TensorSpec::new("starts", &fours(AT_ONCE * accumulate * size), Element::U32)
            .read_only()
            .make(device)?;
        let shares = TensorSpec::new("shares", &fours(AT_ONCE * accumulate), Element::F32)
            .read_only()
            .make(device)?;
        let clock = Tensor::uniform(device, "clock", 4)?;
        let draw_clock = Tensor::uniform(device, "draw clock", 4)?;
        let schedule = Tensor::uniform(device, "schedule", 4 * AT_ONCE)?;
        let ids = Tensor::uniform(device, "ids", size * shape.context)?;
        let targets = Tensor::uniform(device, "targets", size * loss_positions)?;

        let mut space = Workspace::new(device);
        let draw = SampleBatch {
            data: data.clone(),
            starts: starts.clone(),
            clock: draw_clock.clone(),
            ids: ids.clone(),
            targets: targets.clone(),
            words,
            batch: size,
        };
        let totals = |_| Tensor::uniform(device, "totals", 4);
        let totals: Vec<Tensor> = (0..accumulate).map(totals).collect::<Result<_>>()?;
        let (mut recording, mut evaluation) = (Recording::default(), Recording::default());
        // Each forward pass adds its gradient to the sum of those before it.
        let mut sum = None;
        for total in &totals {
            let (ids, targets, totals) = (ids.clone(), targets.clone(), total.clone());
            let clock = Some(draw_clock.clone());
            let batch =
                Batch { ids, targets, totals, clock, size, tokens: shape.context, loss_positions };
            let forward = record(network, &mut space, &batch)?;
            if evaluation.entries().is_empty() {
                evaluation.push("sample_batch", draw.clone());
                evaluation.extend(&forward);
                evaluation.push("increment_step", IncrementStep { clock: draw_clock.clone() });
            }
            let seeds = [(total.clone(), shares.clone())];
            let backward = Gradients::of(device, &forward, parameters.tensors(), &seeds, sum)?;
            recording.push("sample_batch", draw.clone());
            recording.extend(&forward);
            recording.extend(backward.recording());
            recording.push("increment_step", IncrementStep { clock: draw_clock.clone() });
            sum = Some(backward);
        }
        let pair = |tensor: &Tensor| Some((tensor.clone(), sum.as_ref()?.get(tensor)?));
        let sums: Vec<_> = parameters.tensors().iter().filter_map(pair).collect();
        let optimiser = Optimizer::new(
            device,
            parameters,
            settings.optimizer,
            settings.weight_decay,
            settings.max_grad_norm,
        )?;
        optimiser.record(device, &mut recording, parameters, &sums, &clock, &schedule)?;
        recording.push("increment_step", IncrementStep { clock: clock.clone() });
        Ok(Self {
            recording,
            evaluation,
            optimiser,
            data,
            totals,
            clock,
            draw_clock,
            schedule,
            starts,
            shares,
        })
    }

    /// Bytes on `gpu` of all tensors in the recordings, including the network and `parameters`. The
    /// step may be recorded for that device or for the reference device.
    pub fn bytes(&self, gpu: &Gpu, parameters: &Parameters) -> u64 {
        let mut all = HashMap::new();
        for entry in self.recording.entries().iter().chain(self.evaluation.entries()) {
            let operands = entry.kernel.operands();
            let tensors = operands.iter().filter_map(|operand| operand.tensor.as_ref());
            all.extend(tensors.map(|tensor| (tensor.id(), tensor.bytes())));
        }
        if gpu.updates_in_place() {
            self.optimiser.copies(parameters).for_each(|(next, _)| {
                all.remove(&next.id());
            });
        }
        all.values().sum()
    }
}
