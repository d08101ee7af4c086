//! A weight matrix on the device: packed, and split by rows if it exceeds the limit of one binding.

use crate::format::quant::{Planes, pack_row};
use crate::format::{DType, blocks};
use crate::gpu::{Allocator, Element, Gpu, Parameter, Tensor, TensorSpec};
use crate::{Error, Result};
use std::sync::Arc;

/// Rows in sixteen slots: parts of a matrix are multiples of this.
pub const TILE: usize = 64;
/// Texels packed in one step.
const PIECE_TEXELS: usize = 1 << 14;

/// A source of a matrix's rows: a mapped file, or several stacked on one another.
pub trait RowSource: Send + Sync {
    /// Format of the rows.
    fn dtype(&self) -> DType;
    /// Number of rows.
    fn rows(&self) -> usize;
    /// Number of weights in a row.
    fn columns(&self) -> usize;
    /// The bytes of row `row` as stored in the file.
    fn row(&self, row: usize) -> &[u8];
    /// Tells the source that the rows are on the device and will not be read soon.
    fn release(&self) {}
}

/// Rows in host memory, for tests and small matrices.
pub struct OwnedRows {
    dtype: DType,
    columns: usize,
    bytes: Vec<u8>,
}

impl OwnedRows {
    /// Takes `bytes` as whole rows of `columns` weights.
    #[track_caller]
    pub fn new(dtype: DType, columns: usize, bytes: Vec<u8>) -> Self {
        let row = dtype.bytes_for(columns as u64).expect("columns are whole blocks") as usize;
        assert_eq!(bytes.len() % row, 0, "bytes are not whole rows");
        Self { dtype, columns, bytes }
    }

    fn row_bytes(&self) -> usize {
        self.columns / self.dtype.block_len() * self.dtype.block_bytes()
    }
}

impl RowSource for OwnedRows {
    fn dtype(&self) -> DType {
        self.dtype
    }
    fn rows(&self) -> usize {
        self.bytes.len() / self.row_bytes()
    }
    fn columns(&self) -> usize {
        self.columns
    }
    fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.row_bytes()..][..self.row_bytes()]
    }
}

/// Rows `first..first + rows` of a matrix in one tensor.
#[derive(Clone)]
pub struct Part {
    /// The packed texels.
    pub tensor: Tensor,
    /// Positions of the planes in the tensor.
    pub planes: Planes,
    /// Index of the first row.
    pub first: usize,
    source: Arc<dyn RowSource>,
}

/// A packed weight matrix [rows, columns].
#[derive(Clone)]
pub struct Matrix {
    source: Arc<dyn RowSource>,
    parts: Vec<Part>,
}

impl Matrix {
    /// Packs `source` into tensors from `allocator`.
    ///
    /// # Errors
    /// When the device cannot hold the matrix.
    pub fn load(
        allocator: &dyn Allocator,
        label: &str,
        source: Arc<dyn RowSource>,
    ) -> Result<Self> {
        Self::reserve(allocator, label, source, TILE)?.filled(allocator)
    }

    /// Packs `source` into parts of `part_rows` rows each, a multiple of 64, even if they would fit
    /// together.
    ///
    /// # Errors
    /// When the device cannot hold the matrix.
    pub fn load_parts(
        allocator: &dyn Allocator,
        label: &str,
        source: Arc<dyn RowSource>,
        part_rows: usize,
    ) -> Result<Self> {
        Self::reserve_parts(allocator, label, source, part_rows)?.filled(allocator)
    }

    /// Allocates tensors for `source` from `allocator`, to be filled later. Parts are multiples of
    /// `step` rows, a multiple of 64, such as the rows of an expert.
    ///
    /// # Errors
    /// When the device cannot hold the matrix.
    pub fn reserve(
        allocator: &dyn Allocator,
        label: &str,
        source: Arc<dyn RowSource>,
        step: usize,
    ) -> Result<Self> {
        let (rows, columns) = (source.rows(), source.columns());
        let format = source.dtype().format();
        let most =
            allocator.gpu().map_or(u64::MAX, |gpu| gpu.capabilities().max_tensor_bytes() / 16);
        // Parts are equal except for the last one.
        let steps_that_fit = most / Planes::new(format, step, columns).texels as u64;
        if steps_that_fit == 0 {
            return Err(Error::Device(format!(
                "{label}: {step} rows of {columns} weights exceed a binding"
            )));
        }
        let steps = rows.div_ceil(step);
        let count = (steps as u64).div_ceil(steps_that_fit).max(1) as usize;
        Self::reserve_parts(allocator, label, source, steps.div_ceil(count) * step)
    }

    fn reserve_parts(
        allocator: &dyn Allocator,
        label: &str,
        source: Arc<dyn RowSource>,
        part_rows: usize,
    ) -> Result<Self> {
        let (rows, columns) = (source.rows(), source.columns());
        let format = source.dtype().format();
        let mut parts = vec![];
        for first in (0..rows).step_by(part_rows) {
            let planes = Planes::new(format, part_rows.min(rows - first), columns);
            let tensor = TensorSpec::new(label, &[planes.texels, 4], Element::U32)
                .read_only()
                .make(allocator)?;
            parts.push(Part { tensor, planes, first, source: Arc::clone(&source) });
        }
        Ok(Self { source, parts })
    }

    fn filled(self, allocator: &dyn Allocator) -> Result<Self> {
        if let Some(gpu) = allocator.gpu() {
            self.fill(gpu)?;
        }
        Ok(self)
    }

    /// Packs the rows and uploads them into the allocated tensors.
    ///
    /// # Errors
    /// When the device fails.
    pub fn fill(&self, gpu: &Gpu) -> Result<()> {
        let (format, columns) = (self.dtype().format(), self.columns());
        // In pieces, so that neither the heap nor staging memory ever holds a large matrix.
        let piece_rows = (PIECE_TEXELS / Planes::new(format, TILE, columns).texels).max(1) * TILE;
        let mut words = vec![];
        for part in &self.parts {
            let rows = part.rows();
            for start in (0..rows).step_by(piece_rows) {
                let piece = Planes::new(format, piece_rows.min(rows - start), columns);
                words.clear();
                words.resize(piece.texels * 4, 0);
                for row in 0..piece_rows.min(rows - start) {
                    let bytes = self.source.row(part.first + start + row);
                    pack_row(format, &piece, row, bytes, &mut words);
                }
                for (at, texels) in piece.placed(&part.planes, start / TILE) {
                    let words = &words[4 * texels.start..4 * texels.end];
                    part.tensor.write(gpu, at as u64, bytemuck::cast_slice(words));
                }
                gpu.flush()?;
                self.source.release();
            }
        }
        Ok(())
    }

    /// Bytes of the rows as stored in the source.
    pub fn source_bytes(&self) -> u64 {
        self.parts.first().map_or(0, |part| part.row_bytes() * self.rows() as u64)
    }

    /// Format of the weights.
    pub fn dtype(&self) -> DType {
        self.source.dtype()
    }

    /// Number of rows, the outputs of a product.
    pub fn rows(&self) -> usize {
        self.source.rows()
    }

    /// Number of columns, the inputs of a product.
    pub fn columns(&self) -> usize {
        self.source.columns()
    }

    /// The parts, in the order of their rows.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.tensor.bytes()).sum()
    }
}

impl Part {
    /// Format of the weights.
    pub fn dtype(&self) -> DType {
        self.source.dtype()
    }

    /// Number of weights in a row.
    pub fn columns(&self) -> usize {
        self.source.columns()
    }

    /// Number of rows in this part.
    pub fn rows(&self) -> usize {
        (self.source.rows() - self.first).min(self.planes.rows4 * 4)
    }

    /// Number of rows in the whole matrix.
    pub fn all_rows(&self) -> usize {
        self.source.rows()
    }

    /// Bytes of a row as stored in the source.
    pub fn row_bytes(&self) -> u64 {
        self.dtype().bytes_for(self.columns() as u64).unwrap_or(0)
    }

    /// Row `row` of this part as floats, read from the source and not from the packed texels.
    pub fn row_f32(&self, row: usize, out: &mut [f32]) {
        blocks::dequantise(self.dtype(), self.source.row(self.first + row), out)
            .expect("row sources give whole rows");
    }

    /// The name under which shaders include the file that unpacks the format.
    pub fn format(&self) -> &'static str {
        self.dtype().format().wgsl.name
    }

    /// The parameters that `shaders/lib/matrix.wgsl` needs in a kernel that computes `rows4` groups
    /// of four rows.
    pub fn parameters(&self, rows4: usize) -> Vec<Parameter> {
        let Planes { blocks, high, scales, supers, .. } = self.planes;
        [
            ("rows4", rows4),
            ("blocks", blocks),
            ("high", high),
            ("scales", scales),
            ("supers", supers),
        ]
        .map(|(name, value)| Parameter::U32(name, value as u32))
        .into()
    }
}
