//! A model's weights on the device, packed once when it is loaded.

use super::config::Config;
use super::loader::Loader;
use super::lora::Addition;
use super::mixture::Mixture;
use super::upload::PendingUpload;
use crate::Result;
use crate::error::Remedy;
use crate::format::{Quantization, Source};
use crate::gpu::{Device, Pool, Tensor, Writer};
use crate::kernels::{Matrix, Part};

/// The gain of a norm, which multiplies the normalised stream, and its optional bias.
pub struct Gain {
    /// `[C]`, padded with zeros to whole blocks.
    pub gain: Tensor,
    /// Bias of a LayerNorm `[C]`, padded with zeros to whole blocks.
    pub bias: Option<Tensor>,
}

/// A linear map of a block: `W x`, an optional bias, and what adapters add.
pub struct Projection {
    /// W [R, C] in row-wise pieces, each with the index of its first row: one matrix where all rows
    /// share a format, otherwise several.
    pub matrices: Vec<(usize, Matrix)>,
    /// Added to the product `[R]`.
    pub bias: Option<Tensor>,
    /// What adapters add to the product, if there are any.
    pub addition: Option<Addition>,
}

impl Projection {
    /// `W x` with W in one format, and an optional bias.
    pub fn new(w: Matrix, bias: Option<Tensor>) -> Self {
        Self { matrices: vec![(0, w)], bias, addition: None }
    }

    /// The tensors that W is split into by rows, each with the index of its first row.
    pub fn parts(&self) -> impl Iterator<Item = (usize, &Part)> {
        let matrices = self.matrices.iter();
        matrices.flat_map(|(first, w)| w.parts().iter().map(move |part| (first + part.first, part)))
    }

    /// Bytes of the matrices on the device, including adapters.
    pub fn bytes(&self) -> u64 {
        let matrices: u64 = self.matrices.iter().map(|(_, matrix)| matrix.bytes()).sum();
        matrices + self.addition.as_ref().map_or(0, Addition::bytes)
    }
}

/// One transformer block. Names follow GGUF.
pub struct Layer {
    /// Norm before attention.
    pub attn_norm: Gain,
    /// Maps the stream to queries, keys and values [(H + 2 K) D, C].
    pub attn_qkv: Projection,
    /// Gains that normalise each head of queries and of keys, `[D]` each.
    pub head_norms: Option<[Tensor; 2]>,
    /// Maps the heads back to the stream [C, H * D].
    pub attn_output: Projection,
    /// Norm after attention, in families that have one.
    pub post_attention_norm: Option<Gain>,
    /// Norm before the feed-forward part.
    pub ffn_norm: Gain,
    /// The feed-forward part.
    pub ffn: Ffn,
    /// Norm after the feed-forward part, in families that have one.
    pub post_ffw_norm: Option<Gain>,
}

impl Layer {
    /// All linear maps of the block.
    pub(super) fn projections(&self) -> Vec<&Projection> {
        let mut all = vec![&self.attn_qkv, &self.attn_output];
        match &self.ffn {
            Ffn::Dense(ffn) => all.extend([&ffn.gate_up, &ffn.down]),
            Ffn::Mixture(ffn) => all.extend([&ffn.router, &ffn.gate_up, &ffn.down]),
        }
        all
    }
}

/// A feed-forward part, dense or a mixture of experts.
pub enum Ffn {
    /// Every token uses all of it.
    Dense(Dense),
    /// Every token uses the experts that it is routed to.
    Mixture(Mixture),
}

/// A feed-forward part that all tokens use.
pub struct Dense {
    /// Gate rows and then up rows, each padded to whole tiles, [2 F, C]; only up rows in families
    /// without a gate, [F, C].
    pub gate_up: Projection,
    /// Maps the activations back to the stream [C, F].
    pub down: Projection,
}

/// Which parts of a model are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The whole model.
    Whole,
    /// Everything except the output matrix: the model gives hidden states and no logits.
    WithoutOutput,
}

/// Configuration and weights.
pub struct Weights {
    /// Shape and constants.
    pub config: Config,
    /// Embedding table [V, C].
    pub token_embd: Matrix,
    /// Learned position embeddings [context, C], in families that have them.
    pub position_embd: Option<Tensor>,
    /// The transformer blocks, in order.
    pub layers: Vec<Layer>,
    /// Norm before the output product.
    pub output_norm: Gain,
    /// Output matrix [V, C]; `None` if the embedding table is used instead, or if it is not loaded.
    pub output: Option<Matrix>,
}

impl Weights {
    /// Packs all weights of `source` and uploads them to `device`; `progress` is told the bytes of
    /// the file read so far.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, a tensor that nothing uses, or a device that cannot hold
    /// them.
    pub fn load(
        device: &Device,
        source: impl Into<Source>,
        mut progress: impl FnMut(u64),
    ) -> Result<Self> {
        let (model, pending) = Self::reserve(device, source, Extent::Whole, None, &mut progress)?;
        pending.fill(device, progress)?;
        Ok(model)
    }

    /// Allocates the model's matrices and leaves filling them for later, so that compilers can use
    /// the memory in between. If a quantization is asked for, matrices are converted first, and
    /// `progress` is told how far that is.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, a tensor that nothing uses, a weight to be converted that
    /// is not finite, or a device that cannot hold them.
    pub fn reserve(
        device: &Device,
        source: impl Into<Source>,
        extent: Extent,
        quantization: Option<Quantization>,
        mut progress: impl FnMut(u64),
    ) -> Result<(Self, PendingUpload)> {
        let source = source.into();
        let config = Config::from_source(&source)?;
        // Packed weights take about as much memory as in the file, and in some formats up to an
        // eighth more. A tensor that does not fit in the pool is allocated separately.
        let stored = source.tensors().iter().filter(|tensor| tensor.name.starts_with("blk."));
        let packed = stored.map(|tensor| tensor.bytes / 8 * 9);
        let pool = Pool::new(device, Writer::Host, packed);
        let mut loader = Loader::new(device, &source, &config, quantization);
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
        let position_embd = if config.architecture.learned_positions {
            Some(loader.table("position_embd.weight", max_context, hidden_size)?)
        } else {
            None
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
        loader.allocator = &pool;
        let layers = loader.layers(read)?;
        loader.allocator = device;
        let output_norm = loader.gain("output_norm", hidden_size)?;
        loader.all_used()?;
        let matrices = loader.into_reserved();
        let model = Self { config, token_embd, position_embd, layers, output_norm, output };
        Ok((model, PendingUpload { source, matrices, told: quantization.is_some() }))
    }

    /// The matrix that computes the logits.
    pub fn output_matrix(&self) -> &Matrix {
        self.output.as_ref().unwrap_or(&self.token_embd)
    }

    /// Bytes of all matrices on the device.
    pub fn bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(Layer::projections).map(Projection::bytes);
        let output = self.output.as_ref().map_or(0, Matrix::bytes);
        let positions = self.position_embd.as_ref().map_or(0, Tensor::bytes);
        self.token_embd.bytes() + positions + output + layers.sum::<u64>()
    }
}
