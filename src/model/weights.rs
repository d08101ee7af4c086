//! A model's weights on the device, packed once at load.

use super::config::Config;
use crate::Result;
use crate::format::{DType, Gguf, TensorInfo, blocks};
use crate::gpu::{Place, Tensor};
use crate::kernels::{Matrix, RowSource};
use std::sync::Arc;

/// One transformer block. Names follow GGUF.
pub struct Layer {
    /// Gain before attention `[C]`.
    pub attn_norm: Tensor,
    /// Rows of queries, keys and values, stacked where they share a format: (first row, matrix [.., C]).
    pub attn_qkv: Vec<(usize, Matrix)>,
    /// [C, H * D].
    pub attn_output: Matrix,
    /// Gain before the feed-forward part `[C]`.
    pub ffn_norm: Tensor,
    /// Gate rows and then up rows, [2 F, C].
    pub ffn_gate_up: Matrix,
    /// [C, F].
    pub ffn_down: Matrix,
}

/// Configuration and weights.
pub struct Model {
    /// Shape.
    pub config: Config,
    /// Embedding table [V, C].
    pub token_embd: Matrix,
    /// Blocks.
    pub layers: Vec<Layer>,
    /// Gain before the output product `[C]`.
    pub output_norm: Tensor,
    /// Output matrix [V, C]; `None` if it is the embedding table.
    pub output: Option<Matrix>,
    /// Divisors of the rotary frequencies [D / 2], where the file has them.
    pub rope_factors: Option<Vec<f32>>,
}

impl Model {
    /// Packs all weights of `gguf` and sends them to `place`; `progress` is told the bytes of the file read so far.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, or a device that cannot hold them.
    pub fn load(place: &Place, gguf: &Arc<Gguf>, mut progress: impl FnMut(u64)) -> Result<Self> {
        let config = Config::from_gguf(gguf)?;
        let Config { width, hidden, vocabulary, .. } = config;
        let attended = config.heads * config.head;
        let key_width = config.key_heads * config.head;
        let loader = Loader { place, gguf };
        let mut done = 0;
        let mut read = |names: &[&str]| {
            done += names.iter().filter_map(|name| gguf.opt_tensor(name)).map(|info| info.bytes).sum::<u64>();
            progress(done);
        };

        let token_embd = loader.matrix("token_embd.weight", vocabulary, width)?;
        read(&["token_embd.weight"]);
        let mut layers = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            let [q, k, v] = ["attn_q", "attn_k", "attn_v"].map(name);
            let [gate, up, down] = ["ffn_gate", "ffn_up", "ffn_down"].map(name);
            let output = name("attn_output");
            layers.push(Layer {
                attn_norm: loader.vector(&name("attn_norm"), width)?,
                attn_qkv: loader.stack(
                    &format!("blk.{layer}.attn_qkv"),
                    &[(&q, attended), (&k, key_width), (&v, key_width)],
                    width,
                )?,
                attn_output: loader.matrix(&output, width, attended)?,
                ffn_norm: loader.vector(&name("ffn_norm"), width)?,
                ffn_gate_up: loader.pair(&format!("blk.{layer}.ffn_gate_up"), &gate, &up, hidden, width)?,
                ffn_down: loader.matrix(&down, width, hidden)?,
            });
            read(&[&q, &k, &v, &gate, &up, &down, &output]);
        }
        let output = match gguf.opt_tensor("output.weight") {
            Some(_) => Some(loader.matrix("output.weight", vocabulary, width)?),
            None => None,
        };
        read(&["output.weight"]);
        let rope_factors = match gguf.opt_tensor("rope_freqs.weight") {
            Some(_) => Some(loader.floats("rope_freqs.weight", config.rope_width / 2)?),
            None => None,
        };
        let output_norm = loader.vector("output_norm.weight", width)?;
        Ok(Self { config, token_embd, layers, output_norm, output, rope_factors })
    }

    /// The matrix of the logits.
    pub fn output_matrix(&self) -> &Matrix {
        self.output.as_ref().unwrap_or(&self.token_embd)
    }

    /// Bytes of all matrices on the device.
    pub fn bytes(&self) -> u64 {
        let layer = |layer: &Layer| {
            let qkv: u64 = layer.attn_qkv.iter().map(|(_, matrix)| matrix.bytes()).sum();
            qkv + layer.attn_output.bytes() + layer.ffn_gate_up.bytes() + layer.ffn_down.bytes()
        };
        let output = self.output.as_ref().map_or(0, Matrix::bytes);
        self.token_embd.bytes() + output + self.layers.iter().map(layer).sum::<u64>()
    }
}

struct Loader<'a> {
    place: &'a Place,
    gguf: &'a Arc<Gguf>,
}

impl Loader<'_> {
    fn info(&self, name: &str, shape: &[usize]) -> Result<&TensorInfo> {
        let info = self.gguf.tensor(name)?;
        if !info.shape.iter().map(|&n| n as usize).eq(shape.iter().copied()) {
            let message = format!(
                "tensor {name} has shape {:?}, but the model's configuration makes it {shape:?}",
                info.shape
            );
            return Err(self.gguf.path_error(message));
        }
        Ok(info)
    }

    fn rows(&self, name: &str, rows: usize, columns: usize) -> Result<Arc<dyn RowSource>> {
        let info = self.info(name, &[rows, columns])?;
        let row_bytes = info.dtype.bytes_for(columns as u64).ok_or_else(|| {
            self.gguf
                .path_error(format!("tensor {name}: rows of {columns} are not whole {} blocks", info.dtype))
        })?;
        Ok(Arc::new(FileRows {
            gguf: Arc::clone(self.gguf),
            info: info.clone(),
            rows,
            columns,
            row_bytes: row_bytes as usize,
        }))
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        Matrix::load(self.place, name, self.rows(name, rows, columns)?)
    }

    /// Consecutive tensors of the same format become one matrix.
    fn stack(&self, label: &str, parts: &[(&str, usize)], columns: usize) -> Result<Vec<(usize, Matrix)>> {
        let mut runs: Vec<(usize, Vec<Arc<dyn RowSource>>)> = vec![];
        let mut first = 0;
        for &(name, rows) in parts {
            let source = self.rows(name, rows, columns)?;
            match runs.last_mut() {
                Some((_, run)) if run[0].dtype() == source.dtype() => run.push(source),
                _ => runs.push((first, vec![source])),
            }
            first += rows;
        }
        runs.into_iter()
            .map(|(first, run)| Ok((first, Matrix::load(self.place, label, Arc::new(Stacked::new(run, 1)))?)))
            .collect()
    }

    /// Gate and up as one matrix, each padded with zero rows to whole tiles of 64.
    fn pair(&self, label: &str, gate: &str, up: &str, rows: usize, columns: usize) -> Result<Matrix> {
        let mut sources = [self.rows(gate, rows, columns)?, self.rows(up, rows, columns)?];
        if sources[0].dtype() != sources[1].dtype() {
            sources = sources.map(|source| Arc::new(Widened::new(&*source)) as Arc<dyn RowSource>);
        }
        Matrix::load(self.place, label, Arc::new(Stacked::new(sources.into(), 64)))
    }

    fn floats(&self, name: &str, count: usize) -> Result<Vec<f32>> {
        let info = self.info(name, &[count])?;
        let mut values = vec![0.0; count];
        blocks::dequantise(info.dtype, self.gguf.data(info), &mut values)
            .map_err(|message| self.gguf.path_error(format!("tensor {name}: {message}")))?;
        Ok(values)
    }

    /// A gain, padded with zeros to whole blocks.
    fn vector(&self, name: &str, count: usize) -> Result<Tensor> {
        let mut values = self.floats(name, count)?;
        values.resize(count.next_multiple_of(32), 0.0);
        Tensor::constant(self.place, name, &[values.len()], &values)
    }
}

/// Rows of a tensor in a mapped file.
struct FileRows {
    gguf: Arc<Gguf>,
    info: TensorInfo,
    rows: usize,
    columns: usize,
    row_bytes: usize,
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
        &self.gguf.data(&self.info)[row * self.row_bytes..][..self.row_bytes]
    }
}

/// Matrices of one format on top of one another, each padded with zero rows to a multiple of `step`.
struct Stacked {
    sources: Vec<Arc<dyn RowSource>>,
    step: usize,
    zero: Vec<u8>,
}

impl Stacked {
    fn new(sources: Vec<Arc<dyn RowSource>>, step: usize) -> Self {
        let zero = vec![0; sources[0].row(0).len()];
        Self { sources, step, zero }
    }
}

impl RowSource for Stacked {
    fn dtype(&self) -> DType {
        self.sources[0].dtype()
    }
    fn rows(&self) -> usize {
        self.sources.iter().map(|source| source.rows().next_multiple_of(self.step)).sum()
    }
    fn columns(&self) -> usize {
        self.sources[0].columns()
    }
    fn row(&self, mut row: usize) -> &[u8] {
        for source in &self.sources {
            if row < source.rows() {
                return source.row(row);
            }
            let padded = source.rows().next_multiple_of(self.step);
            if row < padded {
                return &self.zero;
            }
            row -= padded;
        }
        &self.zero
    }
}

/// A matrix turned into f32, for the rare pair of formats that differ.
struct Widened {
    columns: usize,
    bytes: Vec<u8>,
}

impl Widened {
    fn new(source: &dyn RowSource) -> Self {
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
