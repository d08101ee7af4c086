//! Builds calls of kernels together with their inputs.

use super::numbers::Numbers;
use crate::Result;
use crate::format::{DType, blocks};
use crate::gpu::{Access, Allocator, Device, Element, HostMemory, Kernel, Tensor};
use crate::kernels::{CacheType, GRANULE, LayerCache, Matrix, OwnedRows, Part, Side};
use std::sync::Arc;

/// A call of a kernel with its inputs filled.
pub struct Case {
    /// A description of the sizes and formats.
    pub what: String,
    /// The kernel call.
    pub kernel: Arc<dyn Kernel>,
    /// The call's inputs in host memory.
    pub memory: HostMemory,
}

/// The seed for every kernel's made-up numbers, so that one kernel's cases do not affect another's.
const SEED: u64 = 7;

/// Collects cases and creates their tensors. Each tensor is filled on the device and in the memory
/// that the reference reads.
pub struct Cases {
    all: Vec<Case>,
    device: Device,
    numbers: Numbers,
    memory: HostMemory,
}

impl Cases {
    /// An empty collection on `device`.
    pub fn new(device: Device) -> Self {
        let (numbers, memory) = (Numbers::new(SEED), HostMemory::default());
        Self { all: vec![], device, numbers, memory }
    }

    /// Restarts the sequence of made-up numbers, for the next kernel.
    pub fn restart_numbers(&mut self) {
        self.numbers = Numbers::new(SEED);
    }

    /// The cases added so far.
    pub fn into_cases(self) -> Vec<Case> {
        self.all
    }

    /// Adds a call under a name that describes its sizes, with the inputs filled since the last
    /// call.
    pub fn add(&mut self, what: impl Into<String>, kernel: impl Kernel + 'static) {
        let case = self.finish(what.into(), Arc::new(kernel));
        self.all.push(case);
    }

    /// Makes a case of a call and the inputs filled since the last one.
    pub(super) fn finish(&mut self, what: String, kernel: Arc<dyn Kernel>) -> Case {
        Case { what, kernel, memory: std::mem::take(&mut self.memory) }
    }

    /// Made-up numbers with a standard deviation of about `deviation`.
    pub fn numbers(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        self.numbers.floats(count, deviation)
    }

    /// Fills an existing tensor with `bytes`, padded with zeros to whole texels.
    pub fn put(&mut self, tensor: &Tensor, bytes: &[u8]) {
        if let Device::Gpu(gpu) = &self.device {
            let mut whole = bytes.to_vec();
            whole.resize(bytes.len().next_multiple_of(16), 0);
            tensor.write(gpu, 0, &whole);
        }
        self.memory.set(tensor, bytemuck::pod_collect_to_vec(bytes));
    }

    /// An f32 tensor of made-up numbers of standard deviation 1.
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    pub fn filled(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        let values = self.numbers(shape.iter().product(), 1.0);
        self.given(label, shape, values)
    }

    /// Like [`Self::filled`] if `there`, else `None`, for an optional operand.
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    pub fn filled_if(
        &mut self,
        wanted: bool,
        label: &str,
        shape: &[usize],
    ) -> Result<Option<Tensor>> {
        wanted.then(|| self.filled(label, shape)).transpose()
    }

    /// An f32 tensor with the given values.
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    pub fn given(&mut self, label: &str, shape: &[usize], values: Vec<f32>) -> Result<Tensor> {
        let tensor = Tensor::zeros(&self.device, label, shape, Element::F32)?;
        self.put(&tensor, bytemuck::cast_slice(&values));
        Ok(tensor)
    }

    /// An f32 tensor whose rows have `columns` made-up numbers, followed by zeros.
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    pub fn padded(&mut self, label: &str, shape: &[usize], columns: usize) -> Result<Tensor> {
        let mut values = self.numbers(shape.iter().product(), 1.0);
        values.chunks_mut(shape[shape.len() - 1]).for_each(|row| row[columns..].fill(0.0));
        self.given(label, shape, values)
    }

    /// An f32 tensor of zeros, for results.
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    pub fn empty(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        Tensor::zeros(&self.device, label, shape, Element::F32)
    }

    /// A uniform tensor with the given words.
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    pub fn words(&mut self, label: &str, words: &[u32]) -> Result<Tensor> {
        let tensor = Tensor::uniform(&self.device, label, words.len())?;
        self.put(&tensor, bytemuck::cast_slice(words));
        Ok(tensor)
    }

    /// A u32 tensor with the given words.
    ///
    /// # Errors
    /// When the device cannot hold the tensor.
    pub fn integers(&mut self, label: &str, words: &[u32]) -> Result<Tensor> {
        let tensor = Tensor::zeros(&self.device, label, &[words.len()], Element::U32)?;
        self.put(&tensor, bytemuck::cast_slice(words));
        Ok(tensor)
    }

    /// A made-up weight matrix, or its first part if it exceeds the limit of one binding.
    ///
    /// # Errors
    /// When the device cannot hold the matrix.
    pub fn matrix(&mut self, dtype: DType, rows: usize, columns: usize) -> Result<Part> {
        let device = self.device.clone();
        self.matrix_in(&device, dtype, [rows, columns])
    }

    /// Like [`Cases::matrix`], in a tensor from `allocator`.
    ///
    /// # Errors
    /// When the device cannot hold the matrix.
    pub fn matrix_in(
        &mut self,
        allocator: &dyn Allocator,
        dtype: DType,
        shape: [usize; 2],
    ) -> Result<Part> {
        let (label, source) = self.weights(dtype, shape);
        Ok(Matrix::load(allocator, &label, source)?.parts()[0].clone())
    }

    /// A made-up weight matrix in parts of `part_rows` rows.
    ///
    /// # Errors
    /// When the device cannot hold the matrix.
    pub fn parts(
        &mut self,
        dtype: DType,
        shape: [usize; 2],
        part_rows: usize,
    ) -> Result<Vec<Part>> {
        let (label, source) = self.weights(dtype, shape);
        Ok(Matrix::load_parts(&self.device, &label, source, part_rows)?.parts().to_vec())
    }

    fn weights(&mut self, dtype: DType, [rows, columns]: [usize; 2]) -> (String, Arc<OwnedRows>) {
        let bytes = blocks::quantise(dtype, &self.numbers(rows * columns, 0.3));
        let source = Arc::new(OwnedRows::new(dtype, columns, bytes));
        (format!("{dtype} [{rows}, {columns}]"), source)
    }

    /// A layer's cache of size [positions, key heads, head width], filled with made-up numbers.
    ///
    /// # Errors
    /// When the device cannot hold the cache.
    pub fn cache(
        &mut self,
        kind: CacheType,
        [positions, key_heads, head]: [usize; 3],
        ring: bool,
    ) -> Result<LayerCache> {
        let device = self.device.clone();
        self.cache_in(&device, kind, [positions, key_heads, head], ring)
    }

    /// Like [`Cases::cache`], in tensors from `allocator`.
    ///
    /// # Errors
    /// When the device cannot hold the cache.
    pub fn cache_in(
        &mut self,
        allocator: &dyn Allocator,
        kind: CacheType,
        [positions, key_heads, head]: [usize; 3],
        ring: bool,
    ) -> Result<LayerCache> {
        let positions = positions.next_multiple_of(GRANULE);
        let cache = LayerCache::new(allocator, "cache", kind, [positions, key_heads, head], ring)?;
        for (side, tensor) in [(Side::Keys, &cache.keys), (Side::Values, &cache.values)] {
            let mut words = self.memory.u32(tensor).to_vec();
            for position in 0..positions {
                for key_head in 0..key_heads {
                    let numbers = self.numbers.floats(head, 1.0);
                    cache.set_head(side, &mut words, position, key_head, &numbers);
                }
            }
            self.put(tensor, bytemuck::cast_slice(&words));
        }
        Ok(cache)
    }

    /// Fills the outputs of `kernel` with the results of its reference.
    pub fn compute(&mut self, kernel: &impl Kernel) {
        kernel.reference(&mut self.memory);
        for operand in kernel.operands() {
            if let (Some(tensor), Access::Write) = (operand.tensor, operand.access) {
                let words = self.memory.u32(&tensor).to_vec();
                self.put(&tensor, bytemuck::cast_slice(&words));
            }
        }
    }
}
