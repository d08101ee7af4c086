//! A model's weights on the device, packed once at load.

use super::config::Config;
use super::loader::Loader;
use super::lora::Additions;
use super::mixture::Mixture;
use super::upload::PendingUpload;
use crate::Result;
use crate::error::Remedy;
use crate::format::{Quantization, Source};
use crate::gpu::{Device, Tensor};
use crate::kernels::Matrix;

/// What a normalised stream is multiplied with, and what is added.
pub struct Gain {
    /// `[C]`, padded with zeros to whole blocks.
    pub gain: Tensor,
    /// Of the same shape, where the norm is LayerNorm.
    pub bias: Option<Tensor>,
}

/// One transformer block. Names follow GGUF.
pub struct Layer {
    /// Before attention.
    pub attn_norm: Gain,
    /// Rows of queries, keys and values, stacked where they share a format: (first row, matrix [..,
    /// C]).
    pub attn_qkv: Vec<(usize, Matrix)>,
    /// For all of these rows.
    pub attn_qkv_bias: Option<Tensor>,
    /// Gains of a head of queries and of one of keys, `[D]` each.
    pub head_norms: Option<[Tensor; 2]>,
    /// [C, H * D].
    pub attn_output: Matrix,
    /// `[C]`.
    pub attn_output_bias: Option<Tensor>,
    /// After attention.
    pub post_attention_norm: Option<Gain>,
    /// Before the feed-forward part.
    pub ffn_norm: Gain,
    /// The feed-forward part.
    pub ffn: Ffn,
    /// After the feed-forward part.
    pub post_ffw_norm: Option<Gain>,
    /// What adapters add to the products.
    pub additions: Additions,
}

/// A feed-forward part.
pub enum Ffn {
    /// Every token goes through all of it.
    Dense(Dense),
    /// Every token goes through the experts that it is routed to.
    Mixture(Mixture),
}

/// A feed-forward part that all tokens go through.
pub struct Dense {
    /// Gate rows and then up rows, each padded to whole tiles, [2 F, C]; up rows alone where there
    /// is no gate, [F, C].
    pub gate_up: Matrix,
    /// Of these rows, if they have one, in the same order.
    pub up_bias: Option<Tensor>,
    /// [C, F].
    pub down: Matrix,
    /// `[C]`.
    pub down_bias: Option<Tensor>,
}

/// How much of a model is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// All but the output matrix: hidden states, and no logits.
    WithoutOutput,
}

/// Configuration and weights.
pub struct Weights {
    /// Shape.
    pub config: Config,
    /// Embedding table [V, C].
    pub token_embd: Matrix,
    /// Vectors of positions [context, C], where they are learned.
    pub position_embd: Option<Tensor>,
    /// Blocks.
    pub layers: Vec<Layer>,
    /// Before the output product.
    pub output_norm: Gain,
    /// Output matrix [V, C]; `None` if it is the embedding table, or was left out.
    pub output: Option<Matrix>,
}

impl Weights {
    /// Packs all weights of `source` and sends them to `device`; `progress` is told the bytes of the
    /// file read so far.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, one that nothing uses, or a device that cannot hold them.
    pub fn load(
        device: &Device,
        source: impl Into<Source>,
        mut progress: impl FnMut(u64),
    ) -> Result<Self> {
        let (model, pending) = Self::reserve(device, source, Extent::Whole, None, &mut progress)?;
        pending.fill(device, progress)?;
        Ok(model)
    }

    /// The model with room for its matrices, which are filled later: what is compiled in between
    /// uses memory that the weights then take. The matrices are turned into another type first if
    /// asked for, and that is what `progress` is told.
    ///
    /// # Errors
    /// As [`Weights::load`], and where a weight that is turned into another type is no number.
    pub fn reserve(
        device: &Device,
        source: impl Into<Source>,
        extent: Extent,
        quantization: Option<Quantization>,
        mut progress: impl FnMut(u64),
    ) -> Result<(Self, PendingUpload)> {
        let source = source.into();
        let config = Config::from_source(&source)?;
        let loader = Loader::new(device, &source, &config, quantization);
        let mut done = 0;
        let mut read = |bytes| {
            done += bytes;
            if quantization.is_some() {
                progress(done);
            }
        };

        let Config { hidden_size, vocab_size, max_context, .. } = config;
        let token_embd = loader.matrix("token_embd.weight", vocab_size, hidden_size)?;
        read(loader.bytes("token_embd."));
        let position_embd = match config.architecture.learned_positions {
            true => Some(loader.table("position_embd.weight", max_context, hidden_size)?),
            false => None,
        };
        let is_stored = source.opt_tensor("output.weight").is_some();
        let tied = config.tied.unwrap_or(!is_stored);
        let output = match extent {
            Extent::WithoutOutput => None,
            Extent::Whole if tied => None,
            Extent::Whole if is_stored => {
                Some(loader.matrix("output.weight", vocab_size, hidden_size)?)
            }
            Extent::Whole => {
                let message = "has no output matrix (lm_head.weight), and tie_word_embeddings of \
                               config.json is not true: such a model makes vectors and no text; \
                               choose a complete model";
                return Err(source.unsupported(message).with_remedy(Remedy::UseForEmbeddings));
            }
        };
        read(loader.bytes("output."));
        // Packed weights take about as much as those of the file.
        let stored = source.tensors().iter().filter(|tensor| tensor.name.starts_with("blk."));
        let arena = match device {
            Device::Gpu(gpu) => {
                Some(gpu.open_arena(stored.map(|tensor| tensor.bytes / 8 * 9), false))
            }
            Device::Reference => None,
        };
        let layers = loader.layers(read)?;
        drop(arena);
        let output_norm = loader.gain("output_norm", hidden_size)?;
        loader.all_used()?;
        let matrices = loader.into_reserved();
        let model = Self { config, token_embd, position_embd, layers, output_norm, output };
        Ok((model, PendingUpload { source, matrices, told: quantization.is_some() }))
    }

    /// The matrix of the logits.
    pub fn output_matrix(&self) -> &Matrix {
        self.output.as_ref().unwrap_or(&self.token_embd)
    }

    /// Bytes of all matrices on the device.
    pub fn bytes(&self) -> u64 {
        let layer = |layer: &Layer| {
            let qkv: u64 = layer.attn_qkv.iter().map(|(_, matrix)| matrix.bytes()).sum();
            let ffn = match &layer.ffn {
                Ffn::Dense(ffn) => ffn.gate_up.bytes() + ffn.down.bytes(),
                Ffn::Mixture(ffn) => ffn.router.bytes() + ffn.gate_up.bytes() + ffn.down.bytes(),
            };
            qkv + layer.attn_output.bytes() + ffn + layer.additions.bytes()
        };
        let output = self.output.as_ref().map_or(0, Matrix::bytes);
        let positions = self.position_embd.as_ref().map_or(0, Tensor::bytes);
        self.token_embd.bytes() + positions + output + self.layers.iter().map(layer).sum::<u64>()
    }
}
