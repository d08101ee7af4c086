//! Turns the tensors of a file or folder into packed weights, in the order and the shapes that the
//! kernels expect.

use super::architecture::{Norm, Pairs};
use super::config::Config;
use super::rows::{FileRows, Paired, Slice, Stacked, Widened, transposed, unpaired};
use super::weights::{Ffn, Gain, Layer, Projection};
use crate::error::Remedy;
use crate::format::{Quantization, Source, TensorInfo, blocks, quantize};
use crate::gpu::{Allocator, Tensor};
use crate::kernels::{Matrix, OwnedRows, RowSource, TILE};
use crate::{Error, Result};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

pub(super) struct Loader<'a> {
    /// Where the tensors are allocated.
    pub(super) allocator: &'a dyn Allocator,
    pub(super) source: &'a Source,
    pub(super) config: &'a Config,
    quantization: Option<Quantization>,
    /// Names of the tensors that were read.
    used: Mutex<HashSet<String>>,
    /// Matrices that are allocated but not filled yet.
    reserved: Mutex<Vec<Matrix>>,
}

/// A matrix before it is packed.
pub(super) type Rows = Arc<dyn RowSource>;

impl<'a> Loader<'a> {
    pub(super) fn new(
        allocator: &'a dyn Allocator,
        source: &'a Source,
        config: &'a Config,
        quantization: Option<Quantization>,
    ) -> Self {
        Self {
            allocator,
            source,
            config,
            quantization,
            used: Mutex::default(),
            reserved: Mutex::default(),
        }
    }

    /// Allocates a matrix, whose parts are whole multiples of `step` rows.
    pub(super) fn reserve(&self, label: &str, rows: Rows, step: usize) -> Result<Matrix> {
        let matrix = Matrix::reserve(self.allocator, label, rows, step)?;
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner).push(matrix.clone());
        Ok(matrix)
    }

    /// The matrices that are still to be filled.
    pub(super) fn into_reserved(self) -> Vec<Matrix> {
        self.reserved.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a file with tensors that nothing has read, because an unknown tensor would change
    /// the result. An unused output matrix is accepted.
    pub(super) fn all_used(&self) -> Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // The configuration has already read the frequency divisors, and decided which matrix is
        // the output matrix.
        let known = |name: &str| {
            used.contains(name)
                || name.starts_with("rope_")
                || name == "output.weight"
                || self.source.ignored().has_tensor(name)
        };
        match self.source.tensors().iter().find(|tensor| !known(&tensor.name)) {
            None => Ok(()),
            Some(tensor) => {
                let message = format!(
                    "tensor {:?} is not part of the architecture {:?} as this version knows it, \
                     and may change the result",
                    tensor.name, self.config.architecture.name
                );
                let remedy = Remedy::IgnoreTensor(tensor.name.clone());
                Err(self.source.unsupported(message).with_remedy(remedy))
            }
        }
    }

    /// Bytes of the tensors whose names begin with `start`.
    pub(super) fn bytes(&self, start: &str) -> u64 {
        let those = self.source.tensors().iter().filter(|tensor| tensor.name.starts_with(start));
        those.map(|tensor| tensor.bytes).sum()
    }

    /// Loads all layers on as many threads as there are cores, because converting weights to
    /// another type takes a while.
    pub(super) fn layers(&self, mut read: impl FnMut(u64)) -> Result<Vec<Layer>> {
        let count = self.config.n_layers;
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(count);
        let next = AtomicUsize::new(0);
        let mut layers: Vec<Option<Layer>> = (0..count).map(|_| None).collect();
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..threads {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        // The receiver stops at the first error; the remaining layers are then not
                        // needed.
                        if index >= count || sender.send((index, self.layer(index))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (index, layer) in receiver {
                layers[index] = Some(layer?);
                read(self.bytes(&format!("blk.{index}.")));
            }
            Ok(())
        })?;
        let missing = || Error::Internal("a loading thread ended early");
        layers.into_iter().map(|layer| layer.ok_or_else(missing)).collect()
    }

    fn layer(&self, index: usize) -> Result<Layer> {
        let Config { architecture, hidden_size, head_dim, qkv_bias, output_bias, .. } =
            *self.config;
        let attended = self.config.n_heads * head_dim;
        let name = |part: &str| format!("blk.{index}.{part}");
        let weight = |part: &str| format!("blk.{index}.{part}.weight");
        let post = |part: &str| {
            if architecture.post_norms {
                self.gain(&name(part), hidden_size).map(Some)
            } else {
                Ok(None)
            }
        };
        Ok(Layer {
            attn_norm: self.gain(&name("attn_norm"), hidden_size)?,
            attn_qkv: Projection {
                matrices: self.stack(&name("attn_qkv"), self.query_key_value_rows(index)?)?,
                bias: if qkv_bias { Some(self.query_key_value_bias(index)?) } else { None },
                addition: None,
            },
            head_norms: if architecture.head_norms {
                Some([self.head_gain(index, "attn_q_norm")?, self.head_gain(index, "attn_k_norm")?])
            } else {
                None
            },
            attn_output: Projection::new(
                self.matrix(&weight("attn_output"), hidden_size, attended)?,
                if output_bias { Some(self.attention_output_bias(index)?) } else { None },
            ),
            post_attention_norm: post("post_attention_norm")?,
            ffn_norm: self.gain(&name("ffn_norm"), hidden_size)?,
            ffn: match self.config.experts_of(index) {
                None => Ffn::Dense(self.dense(index)?),
                Some(experts) => Ffn::Mixture(self.mixture(index, experts)?),
            },
            post_ffw_norm: post("post_ffw_norm")?,
        })
    }

    pub(super) fn bias(&self, name: &str, count: usize, there: bool) -> Result<Option<Tensor>> {
        if there {
            self.floats(&format!("{name}.bias"), count).and_then(|b| self.vector(name, b)).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Rows of queries and keys, with numbers that are rotated together as neighbours, and of
    /// values.
    pub(super) fn query_key_value_rows(&self, index: usize) -> Result<Vec<Rows>> {
        let Config { architecture, hidden_size, head_dim, n_heads, n_kv_heads, .. } = *self.config;
        let (query, key) = (n_heads * head_dim, n_kv_heads * head_dim);
        let weight = |part: &str| format!("blk.{index}.{part}.weight");
        let [q, k, v] = if !architecture.fused {
            [
                self.rows(&weight("attn_q"), query, hidden_size)?,
                self.rows(&weight("attn_k"), key, hidden_size)?,
                self.rows(&weight("attn_v"), key, hidden_size)?,
            ]
        } else {
            let all = self.rows(&weight("attn_qkv"), query + 2 * key, hidden_size)?;
            let rows = [0..query, query..query + key, query + key..query + 2 * key];
            rows.map(|rows| Arc::new(Slice { source: Arc::clone(&all), rows }) as Rows)
        };
        let pairs = self.pairs();
        let rotated = self.rotated(index);
        let paired =
            |source| Arc::new(Paired { source, pairs, head: head_dim, width: rotated }) as Rows;
        Ok(vec![paired(q), paired(k), v])
    }

    /// The gain that normalises each head of queries or keys [D].
    fn head_gain(&self, index: usize, part: &str) -> Result<Tensor> {
        let name = format!("blk.{index}.{part}.weight");
        let mut gain = self.offset(self.floats(&name, self.config.head_dim)?);
        self.pair_up(index, &mut gain);
        self.vector(&name, gain)
    }

    /// The order in which the source stores the numbers of a head.
    fn pairs(&self) -> Pairs {
        match self.source {
            Source::Gguf(_) => self.config.architecture.gguf_pairs,
            Source::Folder(_) => Pairs::Halves,
        }
    }

    /// How many numbers of a head layer `index` rotates.
    fn rotated(&self, index: usize) -> usize {
        self.config.ropes[self.config.layer_types[index].rope].width
    }

    /// Puts the numbers of a head into the order of packed rows.
    pub(super) fn pair_up(&self, index: usize, head: &mut [f32]) {
        let stored = head.to_vec();
        for (at, number) in head.iter_mut().enumerate() {
            *number = stored[unpaired(self.pairs(), at, self.rotated(index))];
        }
    }

    fn info(&self, name: &str, shape: &[usize]) -> Result<&TensorInfo> {
        let info = self.source.tensor(name)?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        // Axes of length one do not affect the order, and some files have one more or fewer of
        // them.
        let stored = info.shape.iter().map(|&n| n as usize).filter(|&n| n != 1);
        if !stored.eq(shape.iter().copied().filter(|&n| n != 1)) {
            let message = format!(
                "tensor {name} has shape {:?}, but the model's configuration makes it {shape:?}",
                info.shape
            );
            return Err(self.source.path_error(message));
        }
        Ok(info)
    }

    /// A matrix of the file. Its rows are outputs, even if the file stores it transposed.
    pub(super) fn rows(&self, name: &str, rows: usize, columns: usize) -> Result<Rows> {
        let is_transposed = self.config.architecture.transposed
            && matches!(self.source, Source::Folder(_))
            && name.starts_with("blk.");
        let stored = if is_transposed { [columns, rows] } else { [rows, columns] };
        self.rows_of(name, &stored, [rows, columns], is_transposed)
    }

    /// A tensor of shape `stored`, as the rows of a matrix.
    pub(super) fn rows_of(
        &self,
        name: &str,
        stored: &[usize],
        [rows, columns]: [usize; 2],
        is_transposed: bool,
    ) -> Result<Rows> {
        let info = self.info(name, stored)?;
        let row_bytes = info.dtype.bytes_for(columns as u64).ok_or_else(|| {
            self.source.path_error(format!(
                "tensor {name}: rows of {columns} are not whole {} blocks",
                info.dtype
            ))
        })?;
        let info = TensorInfo { shape: vec![rows as u64, columns as u64], ..info.clone() };
        let output = quantize::output(self.source.tensors());
        let dtype = self.quantization.map_or(info.dtype, |to| to.for_tensor(&info, name == output));
        if is_transposed || dtype != info.dtype {
            let data = self.source.data(&info);
            let turned = is_transposed.then(|| transposed(info.dtype, data, rows, columns));
            let mut bytes = turned.unwrap_or_default();
            if dtype != info.dtype {
                bytes =
                    quantize::convert(info.dtype, if is_transposed { &bytes } else { data }, dtype)
                        .map_err(|message| self.source.tensor_error(name, message))?;
            }
            self.source.release(&info);
            return Ok(Arc::new(OwnedRows::new(dtype, columns, bytes)));
        }
        Ok(Arc::new(FileRows {
            source: self.source.clone(),
            info,
            rows,
            columns,
            row_bytes: row_bytes as usize,
        }))
    }

    pub(super) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        self.reserve(name, self.rows(name, rows, columns)?, TILE)
    }

    /// Concatenates consecutive matrices of the same format by rows.
    fn stack(&self, label: &str, parts: Vec<Rows>) -> Result<Vec<(usize, Matrix)>> {
        let mut runs: Vec<(usize, Vec<Rows>)> = vec![];
        let mut first = 0;
        for source in parts {
            let rows = source.rows();
            match runs.last_mut() {
                Some((_, run)) if run[0].dtype() == source.dtype() => run.push(source),
                _ => runs.push((first, vec![source])),
            }
            first += rows;
        }
        runs.into_iter()
            .map(|(first, run)| {
                Ok((first, self.reserve(label, Arc::new(Stacked::new(run, 1)), TILE)?))
            })
            .collect()
    }

    /// Gate and up as one matrix, each padded with zero rows to whole tiles of 64.
    pub(super) fn pair(&self, label: &str, mut sources: [Rows; 2]) -> Result<Matrix> {
        if sources[0].dtype() != sources[1].dtype() {
            sources = sources.map(|source| Arc::new(Widened::new(&*source)) as Rows);
        }
        self.reserve(label, Arc::new(Stacked::new(sources.into(), TILE)), TILE)
    }

    pub(super) fn floats(&self, name: &str, count: usize) -> Result<Vec<f32>> {
        let info = self.info(name, &[count])?;
        self.dequantised(info, count)
    }

    fn dequantised(&self, info: &TensorInfo, count: usize) -> Result<Vec<f32>> {
        let mut values = vec![0.0; count];
        blocks::dequantise(info.dtype, self.source.data(info), &mut values)
            .map_err(|message| self.source.tensor_error(&info.name, message))?;
        Ok(values)
    }

    /// Adds the family's offset to gains, so that they are what x is multiplied by.
    fn offset(&self, mut gains: Vec<f32>) -> Vec<f32> {
        if matches!(self.source, Source::Folder(_)) {
            gains.iter_mut().for_each(|gain| *gain += self.config.architecture.gain_offset);
        }
        gains
    }

    /// A vector on the device, padded with zeros to whole blocks.
    pub(super) fn vector(&self, label: &str, mut values: Vec<f32>) -> Result<Tensor> {
        values.resize(values.len().next_multiple_of(32), 0.0);
        Tensor::constant(self.allocator, label, &[values.len()], &values)
    }

    /// The gain of a norm, and its bias if it has one.
    pub(super) fn gain(&self, name: &str, count: usize) -> Result<Gain> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        Ok(Gain {
            gain: self.vector(&weight, self.offset(self.floats(&weight, count)?))?,
            bias: match self.config.architecture.norm {
                Norm::Rms => None,
                Norm::Layer => Some(self.vector(&bias, self.floats(&bias, count)?)?),
            },
        })
    }

    /// A matrix as f32 [rows, columns padded to whole blocks].
    pub(super) fn table(&self, name: &str, rows: usize, columns: usize) -> Result<Tensor> {
        let info = self.info(name, &[rows, columns])?;
        let stored = self.dequantised(info, rows * columns)?;
        let width = columns.next_multiple_of(32);
        let mut values = Vec::with_capacity(rows * width);
        for row in stored.chunks(columns) {
            values.extend_from_slice(row);
            values.resize(values.len() + width - columns, 0.0);
        }
        Tensor::constant(self.allocator, name, &[rows, width], &values)
    }
}
