//! A model's weights on the device, packed once at load.

use super::architecture::Pairs;
use super::config::Config;
use super::rows::{FileRows, Paired, Stacked, Widened};
use crate::format::{Quantization, Source, TensorInfo, blocks, quantize};
use crate::gpu::{Place, Tensor};
use crate::kernels::{Matrix, OwnedRows, RowSource};
use crate::{Error, Result};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

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
}

impl Model {
    /// Packs all weights of `source` and sends them to `place`; `progress` is told the bytes of the file read so far.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, one that nothing uses, or a device that cannot hold them.
    pub fn load(place: &Place, source: impl Into<Source>, progress: impl FnMut(u64)) -> Result<Self> {
        Self::load_as(place, source, None, progress)
    }

    /// As [`Model::load`], with the matrices turned into another type on the way.
    ///
    /// # Errors
    /// As there, and where a weight is no number.
    pub fn load_as(
        place: &Place,
        source: impl Into<Source>,
        quantization: Option<Quantization>,
        mut progress: impl FnMut(u64),
    ) -> Result<Self> {
        let source = &source.into();
        let config = Config::from_source(source)?;
        let Config { width, vocabulary, .. } = config;
        let loader = Loader { place, source, quantization, used: Mutex::default() };
        let mut done = 0;
        let mut read = |bytes| {
            done += bytes;
            progress(done);
        };

        let token_embd = loader.matrix("token_embd.weight", vocabulary, width)?;
        read(loader.bytes(&["token_embd.weight"]));
        let tied = config.tied.unwrap_or_else(|| source.opt_tensor("output.weight").is_none());
        let output = match tied {
            false => Some(loader.matrix("output.weight", vocabulary, width)?),
            true => None,
        };
        read(loader.bytes(&["output.weight"]));
        let layers = loader.layers(&config, read)?;
        let output_norm = loader.vector("output_norm.weight", width)?;
        loader.all_used(&config)?;
        Ok(Self { config, token_embd, layers, output_norm, output })
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
    source: &'a Source,
    quantization: Option<Quantization>,
    /// Names of the tensors that were asked for.
    used: Mutex<HashSet<String>>,
}

impl Loader<'_> {
    /// A tensor that the forward pass does not know would change the result.
    fn all_used(&self, config: &Config) -> Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // The configuration has read the divisors of the frequencies; a tied output may be stored all the same.
        let known = |name: &str| {
            used.contains(name)
                || name.starts_with("rope_")
                || (config.tied == Some(true) && name == "output.weight")
        };
        match self.source.tensors().iter().find(|tensor| !known(&tensor.name)) {
            None => Ok(()),
            Some(tensor) => Err(self.source.path_error(format!(
                "tensor {:?} is not part of the architecture {:?} as this version knows it, and may change the result",
                tensor.name, config.architecture.name
            ))),
        }
    }

    /// Bytes of those of these tensors that the file has.
    fn bytes(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.source.opt_tensor(name)).map(|info| info.bytes).sum()
    }

    /// All layers, packed on as many threads as there are cores.
    fn layers(&self, config: &Config, mut read: impl FnMut(u64)) -> Result<Vec<Layer>> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(config.layers);
        let next = AtomicUsize::new(0);
        let mut layers: Vec<Option<Layer>> = (0..config.layers).map(|_| None).collect();
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..threads {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        // The receiver leaves at the first error; what remains is not needed then.
                        if index >= config.layers || sender.send((index, self.layer(config, index))).is_err()
                        {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (index, layer) in receiver {
                let (layer, bytes) = layer?;
                layers[index] = Some(layer);
                read(bytes);
            }
            Ok(())
        })?;
        let missing = || Error::Model("a loading thread ended early".into());
        layers.into_iter().map(|layer| layer.ok_or_else(missing)).collect()
    }

    /// Layer `index` and its bytes in the file.
    fn layer(&self, config: &Config, index: usize) -> Result<(Layer, u64)> {
        let Config { width, hidden, .. } = *config;
        let (attended, key_width) = (config.heads * config.head, config.key_heads * config.head);
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let [q, k, v] = ["attn_q", "attn_k", "attn_v"].map(name);
        let [gate, up, down] = ["ffn_gate", "ffn_up", "ffn_down"].map(name);
        let output = name("attn_output");
        let stacked = [
            self.paired(config, index, self.rows(&q, attended, width)?),
            self.paired(config, index, self.rows(&k, key_width, width)?),
            self.rows(&v, key_width, width)?,
        ];
        let layer = Layer {
            attn_norm: self.vector(&name("attn_norm"), width)?,
            attn_qkv: self.stack(&format!("blk.{index}.attn_qkv"), stacked.into())?,
            attn_output: self.matrix(&output, width, attended)?,
            ffn_norm: self.vector(&name("ffn_norm"), width)?,
            ffn_gate_up: self.pair(&format!("blk.{index}.ffn_gate_up"), &gate, &up, hidden, width)?,
            ffn_down: self.matrix(&down, width, hidden)?,
        };
        Ok((layer, self.bytes(&[&q, &k, &v, &gate, &up, &down, &output])))
    }

    fn info(&self, name: &str, shape: &[usize]) -> Result<&TensorInfo> {
        let info = self.source.tensor(name)?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        if !info.shape.iter().map(|&n| n as usize).eq(shape.iter().copied()) {
            let message = format!(
                "tensor {name} has shape {:?}, but the model's configuration makes it {shape:?}",
                info.shape
            );
            return Err(self.source.path_error(message));
        }
        Ok(info)
    }

    fn rows(&self, name: &str, rows: usize, columns: usize) -> Result<Arc<dyn RowSource>> {
        let info = self.info(name, &[rows, columns])?;
        let row_bytes = info.dtype.bytes_for(columns as u64).ok_or_else(|| {
            self.source
                .path_error(format!("tensor {name}: rows of {columns} are not whole {} blocks", info.dtype))
        })?;
        let output = quantize::output(self.source.tensors());
        let dtype = self.quantization.map_or(info.dtype, |to| to.for_tensor(info, name == output));
        if dtype != info.dtype {
            let bytes = quantize::convert(info.dtype, self.source.data(info), dtype)
                .map_err(|message| self.source.path_error(format!("tensor {name}: {message}")))?;
            self.source.release(info);
            return Ok(Arc::new(OwnedRows::new(dtype, columns, bytes)));
        }
        Ok(Arc::new(FileRows {
            source: self.source.clone(),
            info: info.clone(),
            rows: 0..rows,
            columns,
            row_bytes: row_bytes as usize,
        }))
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        Matrix::load(self.place, name, self.rows(name, rows, columns)?)
    }

    /// Queries or keys of layer `index` with the numbers that are rotated together as neighbours.
    fn paired(&self, config: &Config, index: usize, source: Arc<dyn RowSource>) -> Arc<dyn RowSource> {
        let pairs = match self.source {
            Source::Gguf(_) => config.architecture.gguf_pairs,
            Source::Folder(_) => Pairs::Halves,
        };
        let width = config.ropes[config.layer_types[index].rope].width;
        match pairs {
            Pairs::Neighbours => source,
            Pairs::Halves => Arc::new(Paired { source, pairs, head: config.head, width }),
        }
    }

    /// Consecutive matrices of the same format become one.
    fn stack(&self, label: &str, parts: Vec<Arc<dyn RowSource>>) -> Result<Vec<(usize, Matrix)>> {
        let mut runs: Vec<(usize, Vec<Arc<dyn RowSource>>)> = vec![];
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
        blocks::dequantise(info.dtype, self.source.data(info), &mut values)
            .map_err(|message| self.source.path_error(format!("tensor {name}: {message}")))?;
        Ok(values)
    }

    /// A gain, padded with zeros to whole blocks.
    fn vector(&self, name: &str, count: usize) -> Result<Tensor> {
        let mut values = self.floats(name, count)?;
        values.resize(count.next_multiple_of(32), 0.0);
        Tensor::constant(self.place, name, &[values.len()], &values)
    }
}
