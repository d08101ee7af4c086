//! Where tensors live: on a device, in the host's memory for the references, or both.

use crate::Result;
use crate::gpu::{Device, HostMemory, Tensor};

/// A device, and the host's memory that references compute in.
pub(in crate::model) struct Memory {
    pub device: Device,
    pub host: HostMemory,
}

impl Memory {
    /// Nothing is in the host's memory yet.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), host: HostMemory::default() }
    }

    /// Writes the first words of a tensor, on the device and for the references.
    pub fn write(&mut self, tensor: &Tensor, words: &[u32]) {
        if let Device::Gpu(gpu) = &self.device {
            let mut padded = words.to_vec();
            padded.resize(words.len().next_multiple_of(4), 0);
            tensor.write(gpu, 0, bytemuck::cast_slice(&padded));
        }
        self.host.u32_mut(tensor)[..words.len()].copy_from_slice(words);
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read(&mut self, tensor: &Tensor) -> Result<Vec<f32>> {
        match &self.device {
            Device::Gpu(gpu) => tensor.read_f32(gpu),
            Device::Reference => Ok(self.host.f32(tensor).to_vec()),
        }
    }

    /// The first word of a tensor.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read_word(&mut self, tensor: &Tensor) -> Result<u32> {
        match &self.device {
            Device::Gpu(gpu) => Ok(tensor.read(gpu)?[0]),
            Device::Reference => Ok(self.host.u32(tensor)[0]),
        }
    }

    /// Waits until all that was submitted is done.
    ///
    /// # Errors
    /// When the device fails.
    pub fn wait(&self) -> Result<()> {
        match &self.device {
            Device::Gpu(gpu) => gpu.wait(),
            Device::Reference => Ok(()),
        }
    }
}
