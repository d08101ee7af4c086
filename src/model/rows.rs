//! Sources of matrix rows for packing: from a file, stacked, reordered, or converted.

use super::architecture::Pairs;
use crate::format::{DType, Source, TensorInfo, blocks};
use crate::kernels::{OwnedRows, RowSource};
use std::ops::Range;
use std::sync::Arc;

/// Rows of a tensor in a mapped file.
pub(super) struct FileRows {
    pub source: Source,
    pub info: TensorInfo,
    pub rows: usize,
    pub columns: usize,
    pub row_bytes: usize,
}

impl RowSource for FileRows {
    fn dtype(&self) -> DType {
        self.info.dtype
    }
    fn rows(&self) -> usize {
        self.rows
    }
    fn columns(&self) -> usize {
        self.columns
    }
    fn row(&self, row: usize) -> &[u8] {
        &self.source.data(&self.info)[row * self.row_bytes..][..self.row_bytes]
    }
    fn release(&self) {
        self.source.release(&self.info);
    }
}

/// Matrices of one format stacked by rows, each padded with zero rows to a multiple of `step`.
pub(super) struct Stacked {
    sources: Vec<Arc<dyn RowSource>>,
    /// Index of the first row of each matrix, and the total number of rows.
    starts: Vec<usize>,
    zero: Vec<u8>,
}

impl Stacked {
    pub(super) fn new(sources: Vec<Arc<dyn RowSource>>, step: usize) -> Self {
        let zero = vec![0; sources[0].row(0).len()];
        let mut starts = vec![0];
        for source in &sources {
            starts.push(starts[starts.len() - 1] + source.rows().next_multiple_of(step));
        }
        Self { sources, starts, zero }
    }
}

impl RowSource for Stacked {
    fn dtype(&self) -> DType {
        self.sources[0].dtype()
    }
    fn rows(&self) -> usize {
        self.starts[self.sources.len()]
    }
    fn columns(&self) -> usize {
        self.sources[0].columns()
    }
    fn row(&self, row: usize) -> &[u8] {
        let at = self.starts.partition_point(|&start| start <= row) - 1;
        match self.sources.get(at).filter(|source| row - self.starts[at] < source.rows()) {
            Some(source) => source.row(row - self.starts[at]),
            None => &self.zero,
        }
    }
    fn release(&self) {
        self.sources.iter().for_each(|source| source.release());
    }
}

/// A matrix converted to f32, for the rare pair of stacked matrices whose formats differ.
pub(super) struct Widened {
    columns: usize,
    bytes: Vec<u8>,
}

impl Widened {
    pub(super) fn new(source: &dyn RowSource) -> Self {
        let columns = source.columns();
        let mut values = vec![0.0; columns];
        let mut bytes = Vec::with_capacity(4 * columns * source.rows());
        for row in 0..source.rows() {
            // Row sources give whole rows, so this cannot fail.
            let _ = blocks::dequantise(source.dtype(), source.row(row), &mut values);
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        Self { columns, bytes }
    }
}

impl RowSource for Widened {
    fn dtype(&self) -> DType {
        DType::F32
    }
    fn rows(&self) -> usize {
        self.bytes.len() / (4 * self.columns)
    }
    fn columns(&self) -> usize {
        self.columns
    }
    fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row * 4 * self.columns..][..4 * self.columns]
    }
}

/// The index in the file of number `at` of a packed head, whose rotated pairs are neighbours. The
/// file orders pairs as `pairs` says; `width` numbers are rotated, and the others follow them
/// unchanged.
pub(super) fn unpaired(pairs: Pairs, at: usize, width: usize) -> usize {
    match pairs {
        Pairs::Halves if at < width => at / 2 + at % 2 * (width / 2),
        _ => at,
    }
}

/// Rows of heads, reordered so that numbers that are rotated together are neighbours.
pub(super) struct Paired {
    pub source: Arc<dyn RowSource>,
    pub pairs: Pairs,
    /// Number of rows of a head.
    pub head: usize,
    /// Number of rows of a head that are rotated.
    pub width: usize,
}

impl RowSource for Paired {
    fn dtype(&self) -> DType {
        self.source.dtype()
    }
    fn rows(&self) -> usize {
        self.source.rows()
    }
    fn columns(&self) -> usize {
        self.source.columns()
    }
    fn row(&self, row: usize) -> &[u8] {
        let first = row - row % self.head;
        self.source.row(first + unpaired(self.pairs, row % self.head, self.width))
    }
    fn release(&self) {
        self.source.release();
    }
}

/// The rows of a matrix that the file stores transposed, as [columns, rows], converted to f32.
pub(super) fn transposed(dtype: DType, stored: &[u8], rows: usize, columns: usize) -> Vec<u8> {
    let each = dtype.block_bytes();
    let mut bytes = Vec::with_capacity(stored.len());
    for row in 0..rows {
        for column in 0..columns {
            bytes.extend_from_slice(&stored[(column * rows + row) * each..][..each]);
        }
    }
    bytes
}

/// A matrix whose rows are extended to `columns` with zero weights. A block of zero bits is zero in
/// every format.
pub(super) fn lengthened(source: &dyn RowSource, columns: usize) -> OwnedRows {
    let dtype = source.dtype();
    let added = (columns - source.columns()) / dtype.block_len() * dtype.block_bytes();
    let mut bytes = vec![];
    for row in 0..source.rows() {
        bytes.extend_from_slice(source.row(row));
        bytes.resize(bytes.len() + added, 0);
    }
    OwnedRows::new(dtype, columns, bytes)
}

/// A range of the rows of a matrix.
pub(super) struct Slice {
    pub source: Arc<dyn RowSource>,
    pub rows: Range<usize>,
}

impl RowSource for Slice {
    fn dtype(&self) -> DType {
        self.source.dtype()
    }
    fn rows(&self) -> usize {
        self.rows.len()
    }
    fn columns(&self) -> usize {
        self.source.columns()
    }
    fn row(&self, row: usize) -> &[u8] {
        self.source.row(self.rows.start + row)
    }
    fn release(&self) {
        self.source.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_neighbours() {
        let order = |pairs, width| (0..8).map(|at| unpaired(pairs, at, width)).collect::<Vec<_>>();
        assert_eq!(order(Pairs::Neighbours, 8), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(order(Pairs::Halves, 8), [0, 4, 1, 5, 2, 6, 3, 7]);
        assert_eq!(order(Pairs::Halves, 4), [0, 2, 1, 3, 4, 5, 6, 7]);
        assert_eq!(order(Pairs::Halves, 0), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
