//! The gradient of a recording: walked in reverse, each kernel adds the calls of its own
//! derivative.
//!
//! Nothing is added in place. Where a tensor had several readers, the gradient of each is a new
//! tensor that takes the sum so far as an operand, `base`; so no call reads and writes one tensor,
//! and storage textures serve.

use super::recording::Recording;
use crate::gpu::kernel::kernel::{Access, Kernel};
use crate::gpu::tensor::tensor::{Device, Element, Tensor};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Where a kernel's [`Kernel::backward`] finds and leaves gradients.
pub struct Gradients {
    device: Device,
    label: String,
    /// Tensors that a parameter reaches: only these have gradients.
    reached: HashSet<u64>,
    of: HashMap<u64, Tensor>,
    /// Whose gradient each tensor of ours is, counted: one that is free is used again.
    holders: HashMap<u64, usize>,
    spare: Vec<Tensor>,
    /// Free, except for the calls of the [`Kernel::backward`] that runs.
    released: Vec<Tensor>,
    recording: Recording,
}

/// Where one share of a gradient goes.
pub struct Target {
    /// To be written: the gradient from here on.
    pub to: Tensor,
    /// The sum so far, to be added; none for the first share.
    pub base: Option<Tensor>,
}

impl Gradients {
    /// Walks `recording` in reverse from `seeds`, pairs of a tensor it wrote and the gradient with
    /// respect to it, to `parameters`. After `before`, whose calls come first, its parameters'
    /// gradients are what this walk adds to, and its memory is used again: of the two, only this
    /// one's gradients can be read. No tensor may be written twice.
    ///
    /// # Errors
    /// When a kernel on the way has no derivative, or the device cannot hold the gradients.
    pub fn of(
        device: &Device,
        recording: &Recording,
        parameters: &[Tensor],
        seeds: &[(Tensor, Tensor)],
        before: Option<Self>,
    ) -> Result<Self> {
        let mut reached: HashSet<u64> = parameters.iter().map(Tensor::id).collect();
        let mut written: HashSet<u64> = HashSet::new();
        for entry in recording.entries() {
            let operands = entry.kernel.operands();
            let touched = |access| {
                let all = operands.iter().filter(move |operand| operand.access == access);
                all.filter_map(|operand| operand.tensor.as_ref()).map(Tensor::id)
            };
            let twice = operands.iter().filter(|operand| operand.access == Access::Write);
            let mut twice = twice.filter_map(|operand| operand.tensor.as_ref());
            if let Some(tensor) = twice.find(|tensor| !written.insert(tensor.id())) {
                let message = format!(
                    "{}: {} was written before, and its value is lost",
                    entry.label,
                    tensor.label()
                );
                return Err(Error::Kernel { kernel: entry.kernel.name().into(), message });
            }
            if touched(Access::Read).any(|id| reached.contains(&id)) {
                reached.extend(touched(Access::Write));
            }
        }
        let mut gradients = Self {
            device: device.clone(),
            label: String::new(),
            reached,
            of: HashMap::new(),
            holders: HashMap::new(),
            spare: vec![],
            released: vec![],
            recording: Recording::default(),
        };
        if let Some(Self { of, holders, spare, .. }) = before {
            (gradients.of, gradients.holders, gradients.spare) = (of, holders, spare);
        }
        gradients.of.extend(seeds.iter().map(|(tensor, gradient)| (tensor.id(), gradient.clone())));
        for entry in recording.entries().iter().rev() {
            let operands = entry.kernel.operands();
            let outputs = operands.iter().filter(|operand| operand.access == Access::Write);
            let outputs: Vec<_> = outputs.filter_map(|operand| operand.tensor.clone()).collect();
            if outputs.iter().any(|tensor| gradients.get(tensor).is_some()) {
                gradients.label.clone_from(&entry.label);
                entry.kernel.backward(&mut gradients)?;
            }
            for tensor in outputs {
                gradients.release(tensor.id());
            }
            gradients.spare.append(&mut gradients.released);
        }
        Ok(gradients)
    }

    /// The gradient that has flowed into `tensor`, if any.
    pub fn get(&self, tensor: &Tensor) -> Option<Tensor> {
        self.of.get(&tensor.id()).filter(|_| self.reached.contains(&tensor.id())).cloned()
    }

    /// Whether a parameter reaches `tensor`, so that it has a gradient.
    pub fn wants(&self, tensor: &Tensor) -> bool {
        self.reached.contains(&tensor.id())
    }

    /// Where the next share of the gradient of `tensor` goes; `None` if it is not wanted.
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn target(&mut self, tensor: &Tensor) -> Result<Option<Target>> {
        if !self.reached.contains(&tensor.id()) {
            return Ok(None);
        }
        let to = self.temporary(&format!("d {}", tensor.label()), tensor.shape())?;
        let base = self.of.get(&tensor.id()).cloned();
        self.release(tensor.id());
        self.hold(tensor, &to);
        Ok(Some(Target { to, base }))
    }

    /// Lets `gradient` itself be the gradient of `tensor`, where nothing else has flowed into it;
    /// tells whether it did.
    pub fn pass(&mut self, tensor: &Tensor, gradient: &Tensor) -> bool {
        let first = self.reached.contains(&tensor.id()) && !self.of.contains_key(&tensor.id());
        if first {
            self.hold(tensor, gradient);
        }
        first
    }

    fn hold(&mut self, tensor: &Tensor, gradient: &Tensor) {
        *self.holders.entry(gradient.id()).or_default() += 1;
        self.of.insert(tensor.id(), gradient.clone());
    }

    /// Forgets the gradient of a tensor whose writer is done; its memory may serve again. Memory
    /// from outside, a seed's, never does.
    fn release(&mut self, id: u64) {
        let Some(gradient) = self.of.remove(&id) else { return };
        let Some(holders) = self.holders.get_mut(&gradient.id()) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.holders.remove(&gradient.id());
            self.released.push(gradient);
        }
    }

    /// Memory of `shape` that no call of the running [`Kernel::backward`] uses yet.
    ///
    /// # Errors
    /// When the device cannot hold it.
    fn temporary(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        match self.spare.iter().position(|spare| spare.shape() == shape) {
            Some(index) => Ok(self.spare.swap_remove(index)),
            None => Tensor::zeros(&self.device, label, shape, Element::F32),
        }
    }

    /// Memory of `shape` for what the calls of one [`Kernel::backward`] hand one another.
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn scratch(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.temporary(label, shape)?;
        self.released.push(tensor.clone());
        Ok(tensor)
    }

    /// Appends a call under the label of the call whose derivative it is.
    pub fn push(&mut self, kernel: impl Kernel + 'static) {
        self.recording.push(format!("d {}", self.label), kernel);
    }

    /// The calls, in order.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}
