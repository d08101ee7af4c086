//! Rows of kernel calls with their inputs, on one device.

use super::numbers::Numbers;
use crate::Result;
use crate::format::{DType, blocks};
use crate::gpu::{Allocator, Device, Element, Gpu, HostMemory, Kernel, Tensor};
use crate::kernels::{Matrix, OwnedRows, Part};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// One row of the table: a kernel call with its inputs filled.
pub struct Case {
    /// Sizes and formats, in words.
    pub what: String,
    /// The call.
    pub kernel: Arc<dyn Kernel>,
    /// Its inputs on the host.
    pub memory: HostMemory,
}

/// Rows with what fills them.
pub struct Rows {
    /// The rows.
    pub cases: Vec<Case>,
    pub(in crate::workbench) device: Device,
    pub(in crate::workbench) numbers: Numbers,
    pub(in crate::workbench) memory: HostMemory,
}

/// Rows on one device.
pub struct Table {
    /// The device that holds the tensors.
    pub gpu: Arc<Gpu>,
    rows: Rows,
}

impl Table {
    /// No rows yet.
    pub(in crate::workbench) fn new(gpu: &Arc<Gpu>) -> Self {
        Self { gpu: Arc::clone(gpu), rows: Rows::new(Device::Gpu(Arc::clone(gpu))) }
    }
}

impl Deref for Table {
    type Target = Rows;

    fn deref(&self) -> &Rows {
        &self.rows
    }
}

impl DerefMut for Table {
    fn deref_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

/// Writes the bytes where the tensor is on a device.
pub(in crate::workbench) fn put(device: &Device, tensor: &Tensor, bytes: &[u8]) {
    if let Device::Gpu(gpu) = device {
        tensor.write(gpu, 0, bytes);
    }
}

impl Rows {
    /// No rows yet.
    pub(in crate::workbench) fn new(device: Device) -> Self {
        Self { cases: vec![], device, numbers: Numbers::new(7), memory: HostMemory::default() }
    }

    /// An f32 tensor of normal-ish numbers, on both sides.
    pub(in crate::workbench) fn filled(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        let values = self.numbers.floats(shape.iter().product(), 1.0);
        self.given(label, shape, values)
    }

    /// An f32 tensor of these numbers, on both sides.
    pub(in crate::workbench) fn given(
        &mut self,
        label: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> Result<Tensor> {
        let tensor = Tensor::zeros(&self.device, label, shape, Element::F32)?;
        let mut bytes: Vec<u8> = bytemuck::cast_slice(&values).to_vec();
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        put(&self.device, &tensor, &bytes);
        self.memory.f32_mut(&tensor).copy_from_slice(&values);
        Ok(tensor)
    }

    /// The same with rows of `columns` numbers, and zeros behind them.
    pub(in crate::workbench) fn padded(
        &mut self,
        label: &str,
        shape: &[usize],
        columns: usize,
    ) -> Result<Tensor> {
        let tensor = self.filled(label, shape)?;
        let width = shape[shape.len() - 1];
        let values = self.memory.f32_mut(&tensor);
        values.chunks_mut(width).for_each(|row| row[columns..].fill(0.0));
        put(&self.device, &tensor, bytemuck::cast_slice(values));
        Ok(tensor)
    }

    pub(in crate::workbench) fn empty(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        Tensor::zeros(&self.device, label, shape, Element::F32)
    }

    pub(in crate::workbench) fn words(&mut self, label: &str, words: &[u32]) -> Result<Tensor> {
        let tensor = Tensor::uniform(&self.device, label, words.len())?;
        let mut bytes: Vec<u8> = bytemuck::cast_slice(words).to_vec();
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        put(&self.device, &tensor, &bytes);
        self.memory.u32_mut(&tensor).copy_from_slice(words);
        Ok(tensor)
    }

    /// A u32 tensor of these words, on both sides.
    pub(in crate::workbench) fn integers(&mut self, label: &str, words: &[u32]) -> Result<Tensor> {
        let tensor = Tensor::zeros(&self.device, label, &[words.len()], Element::U32)?;
        put(&self.device, &tensor, bytemuck::cast_slice(words));
        self.memory.u32_mut(&tensor).copy_from_slice(words);
        Ok(tensor)
    }

    pub(in crate::workbench) fn matrix(
        &mut self,
        dtype: DType,
        rows: usize,
        columns: usize,
    ) -> Result<Matrix> {
        let device = self.device.clone();
        self.matrix_in(&device, dtype, [rows, columns])
    }

    /// A matrix of random weights in a tensor of `allocator`.
    pub(in crate::workbench) fn matrix_in(
        &mut self,
        allocator: &dyn Allocator,
        dtype: DType,
        [rows, columns]: [usize; 2],
    ) -> Result<Matrix> {
        let values = self.numbers.floats(rows * columns, 0.3);
        let bytes = blocks::quantise(dtype, &values);
        let source = Arc::new(OwnedRows::new(dtype, columns, bytes));
        Matrix::load(allocator, &format!("{dtype} [{rows}, {columns}]"), source)
    }

    /// A matrix in parts of so many rows.
    pub(in crate::workbench) fn parts(
        &mut self,
        dtype: DType,
        shape: [usize; 2],
        part_rows: usize,
    ) -> Result<Vec<Part>> {
        let [rows, columns] = shape;
        let bytes = blocks::quantise(dtype, &self.numbers.floats(rows * columns, 0.3));
        let source = Arc::new(OwnedRows::new(dtype, columns, bytes));
        let label = format!("{dtype} [{rows}, {columns}]");
        Ok(Matrix::load_parts(&self.device, &label, source, part_rows)?.parts().to_vec())
    }

    /// Appends a row with the inputs filled since the last one.
    pub(in crate::workbench) fn case(&mut self, what: String, kernel: impl Kernel + 'static) {
        let memory = std::mem::take(&mut self.memory);
        self.cases.push(Case { what, kernel: Arc::new(kernel), memory });
    }
}
