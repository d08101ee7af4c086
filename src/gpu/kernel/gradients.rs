//! The gradient of a recording: it is walked in reverse, and each kernel adds the calls of its
//! derivative.
//!
//! No call adds in place. Where a tensor has several readers, each contribution to its gradient is
//! a new tensor whose call reads the sum so far as the operand `base`. So no call reads and writes
//! the same tensor, and storage textures can be used.

use super::recording::Recording;
use crate::gpu::kernel::kernel::{Access, Kernel};
use crate::gpu::tensor::tensor::{Device, Element, Tensor};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Holds the gradients that each kernel's [`Kernel::backward`] reads and writes.
pub struct Gradients {
    device: Device,
    label: String,
    /// Ids of the tensors that depend on a parameter; only these have gradients.
    reached: HashSet<u64>,
    of: HashMap<u64, Tensor>,
    /// How many gradients use the memory of each temporary tensor; at 0 it is reused.
    holders: HashMap<u64, usize>,
    spare: Vec<Tensor>,
    /// Free tensors, not yet reusable by the [`Kernel::backward`] that is running.
    released: Vec<Tensor>,
    recording: Recording,
}

/// Where one contribution to a gradient is written.
pub struct Target {
    /// The tensor to write: the gradient from this call on.
    pub to: Tensor,
    /// The sum so far, to be added to the contribution; `None` for the first one.
    pub base: Option<Tensor>,
}

impl Gradients {
    /// Walks `recording` in reverse to `parameters`. `seeds` are pairs of a tensor that it wrote
    /// and the gradient with respect to it. If `before` is given, its calls come first, this walk
    /// adds to its parameters' gradients, and its memory is reused: afterwards only the gradients
    /// of this walk can be read. No tensor may be written twice.
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

    /// The gradient accumulated for `tensor` so far, if any.
    pub fn get(&self, tensor: &Tensor) -> Option<Tensor> {
        self.of.get(&tensor.id()).filter(|_| self.reached.contains(&tensor.id())).cloned()
    }

    /// Whether `tensor` depends on a parameter, so that it has a gradient.
    pub fn wants(&self, tensor: &Tensor) -> bool {
        self.reached.contains(&tensor.id())
    }

    /// Where the next contribution to the gradient of `tensor` goes; `None` if it has no gradient.
    ///
    /// # Errors
    /// When the device cannot hold the gradient.
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

    /// Uses `gradient` itself as the gradient of `tensor` if there is no other contribution yet;
    /// returns whether it did.
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

    /// Drops the gradient of a tensor whose writer has been processed, so that its memory can be
    /// reused. A seed's memory comes from the caller and is not reused.
    fn release(&mut self, id: u64) {
        let Some(gradient) = self.of.remove(&id) else { return };
        let Some(holders) = self.holders.get_mut(&gradient.id()) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.holders.remove(&gradient.id());
            self.released.push(gradient);
        }
    }

    /// A tensor of `shape` that no call of the running [`Kernel::backward`] uses yet.
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    fn temporary(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        match self.spare.iter().position(|spare| spare.shape() == shape) {
            Some(index) => Ok(self.spare.swap_remove(index)),
            None => Tensor::zeros(&self.device, label, shape, Element::F32),
        }
    }

    /// A tensor of `shape` for intermediate values between the calls of one [`Kernel::backward`].
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    pub fn scratch(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.temporary(label, shape)?;
        self.released.push(tensor.clone());
        Ok(tensor)
    }

    /// Appends a call, with the label of the call whose derivative it is part of.
    pub fn push(&mut self, kernel: impl Kernel + 'static) {
        self.recording.push(format!("d {}", self.label), kernel);
    }

    /// The calls so far, in order.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}
