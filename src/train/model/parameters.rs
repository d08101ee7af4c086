//! The parameters of a model in training: named f32 tensors, their initial values, and how they are
//! read and written.

use super::config::{Feedforward, NormKind, Positions, Shape};
use crate::gpu::{Device, Element, Gpu, Tensor};
use crate::sample::Rng;
use crate::{Error, Result};

/// The distribution of a parameter's initial values.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Start {
    /// All numbers have this value.
    Constant(f32),
    /// Normal with mean zero and this standard deviation.
    Normal(f32),
    /// Uniform between minus and plus this value.
    Uniform(f32),
}

/// Named tensors in a fixed order.
#[derive(Clone)]
pub struct Parameters {
    names: Vec<String>,
    tensors: Vec<Tensor>,
}

/// Name, shape and initial distribution of every parameter.
fn listed(shape: &Shape) -> Vec<(String, Vec<usize>, Start)> {
    let Shape { n_layers, hidden_size, intermediate_size, .. } = *shape;
    let rows = shape.padded_vocabulary();
    let keys = shape.n_kv_heads * shape.head();
    // The initialisation of linear layers in PyTorch (He et al. 2015, arXiv:1502.01852, with a
    // slope of the square root of five).
    let linear = |columns: usize| Start::Uniform(1.0 / (columns as f32).sqrt());
    let embedding = Start::Normal(shape.embedding_deviation);
    let mut all = vec![("token_embd".to_string(), vec![rows, hidden_size], embedding)];
    if shape.positions == Positions::Learned {
        all.push(("position_embd".into(), vec![shape.context, hidden_size], embedding));
    }
    let norm = |all: &mut Vec<_>, name: String| {
        if shape.norm == NormKind::LayerNorm && shape.norm_bias {
            all.push((format!("{name}.bias"), vec![hidden_size], Start::Constant(0.0)));
        }
        all.push((name, vec![hidden_size], Start::Constant(1.0)));
    };
    for layer in 0..n_layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        norm(&mut all, name("attn_norm"));
        all.push((name("attn_q"), vec![hidden_size, hidden_size], linear(hidden_size)));
        all.push((name("attn_kv"), vec![2 * keys, hidden_size], linear(hidden_size)));
        all.push((name("attn_output"), vec![hidden_size, hidden_size], linear(hidden_size)));
        norm(&mut all, name("ffn_norm"));
        let gated = if shape.feedforward == Feedforward::Swiglu { 2 } else { 1 };
        all.push((
            name("ffn_up"),
            vec![gated * intermediate_size, hidden_size],
            linear(hidden_size),
        ));
        all.push((
            name("ffn_down"),
            vec![hidden_size, intermediate_size],
            linear(intermediate_size),
        ));
    }
    norm(&mut all, "output_norm".into());
    if !shape.tie_word_embeddings {
        all.push(("output".into(), vec![rows, hidden_size], linear(hidden_size)));
    }
    all
}

impl Parameters {
    /// The parameters of `shape`, all zero.
    ///
    /// # Errors
    /// When the shape is impossible or the device cannot hold them.
    pub fn zeros(device: &Device, shape: &Shape) -> Result<Self> {
        shape.check()?;
        Self::named(
            device,
            listed(shape).into_iter().map(|(name, shape, _)| (name, shape)).collect(),
        )
    }

    /// Parameters of these names and shapes, all zero.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub(in crate::train) fn named(device: &Device, all: Vec<(String, Vec<usize>)>) -> Result<Self> {
        let (mut names, mut tensors) = (vec![], vec![]);
        for (name, shape) in all {
            tensors.push(Tensor::zeros(device, &name, &shape, Element::F32)?);
            names.push(name);
        }
        Ok(Self { names, tensors })
    }

    /// Initial values of all parameters, drawn from `seed` in their order.
    pub fn start(shape: &Shape, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = Rng::new(seed);
        let draw = |(_, shape, start): (String, Vec<usize>, Start)| {
            let count = shape.iter().product();
            match start {
                Start::Constant(value) => vec![value; count],
                Start::Uniform(bound) => {
                    (0..count).map(|_| (2.0 * rng.uniform() - 1.0) as f32 * bound).collect()
                }
                Start::Normal(deviation) => {
                    (0..count).map(|_| normal(&mut rng) as f32 * deviation).collect()
                }
            }
        };
        listed(shape).into_iter().map(draw).collect()
    }

    /// New tensors with the names and shapes of these parameters, all zero: for instance for
    /// moments.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn like(&self, device: &Device) -> Result<Self> {
        let zeros =
            |tensor: &Tensor| Tensor::zeros(device, tensor.label(), tensor.shape(), Element::F32);
        let tensors = self.tensors.iter().map(zeros).collect::<Result<_>>()?;
        Ok(Self { names: self.names.clone(), tensors })
    }

    /// The tensors to which a kernel that reads all of these parameters may write their next
    /// values: see [`Tensor::successor`].
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub(in crate::train) fn successors(&self, device: &Device) -> Result<Self> {
        let tensors = self.tensors.iter().map(|tensor| tensor.successor(device));
        Ok(Self { names: self.names.clone(), tensors: tensors.collect::<Result<_>>()? })
    }

    /// Writes the numbers of all tensors.
    ///
    /// # Errors
    /// When `values` does not match the number and sizes of the tensors.
    pub fn write(&self, gpu: &Gpu, values: &[Vec<f32>]) -> Result<()> {
        if values.len() != self.tensors.len() {
            return Err(Error::input(format!(
                "{} parameters, expected {}",
                values.len(),
                self.tensors.len()
            )));
        }
        for ((name, tensor), values) in self.iter().zip(values) {
            if values.len() != tensor.len() {
                let message =
                    format!("{name} has {} numbers, expected {:?}", values.len(), tensor.shape());
                return Err(Error::input(message));
            }
            // The last axis of every parameter is a multiple of four.
            tensor.write(gpu, 0, bytemuck::cast_slice(values));
        }
        gpu.flush()
    }

    /// Reads the numbers of all tensors.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<Vec<f32>>> {
        self.tensors.iter().map(|tensor| tensor.read_f32(gpu)).collect()
    }

    /// Name and tensor of each parameter.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// The tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor with this name, which must exist.
    #[track_caller]
    pub fn get(&self, name: &str) -> &Tensor {
        self.find(name).unwrap_or_else(|| panic!("no parameter {name}"))
    }

    /// The tensor with this name, if there is one.
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.iter().find(|(known, _)| *known == name).map(|(_, tensor)| tensor)
    }

    /// Total number of parameters.
    pub fn count(&self) -> usize {
        self.tensors.iter().map(Tensor::len).sum()
    }
}

/// A normally distributed number (Box and Muller 1958).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.uniform()).cos()
}
