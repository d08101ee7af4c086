//! A model's weights on the device, packed once at load.

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

/// What a normalised stream is multiplied with, and what is added.
pub struct Gain {
    /// `[C]`, padded with zeros to whole blocks.
    pub gain: Tensor,
    /// Of the same shape, where the norm is LayerNorm.
    pub bias: Option<Tensor>,
}

/// A linear map of a block: `W x`, a bias, and what adapters add.
pub struct Projection {
    /// W [R, C]: its rows on top of one another, as one matrix where they share a format, else as
    /// several, each with the number of its first row.
    pub matrices: Vec<(usize, Matrix)>,
    /// Added to the product `[R]`.
    pub bias: Option<Tensor>,
    /// What adapters add to the product.
    pub addition: Option<Addition>,
}

impl Projection {
    /// `W x` with W in one format, and the bias if there is one.
    pub fn new(w: Matrix, bias: Option<Tensor>) -> Self {
        Self { matrices: vec![(0, w)], bias, addition: None }
    }

    /// The tensors that W is split into by rows, each with the number of its first row.
    pub fn parts(&self) -> impl Iterator<Item = (usize, &Part)> {
        let matrices = self.matrices.iter();
        matrices.flat_map(|(first, w)| w.parts().iter().map(move |part| (first + part.first, part)))
    }

    /// Bytes of the matrices on the device, those of adapters included.
    pub fn bytes(&self) -> u64 {
        let matrices: u64 = self.matrices.iter().map(|(_, matrix)| matrix.bytes()).sum();
        matrices + self.addition.as_ref().map_or(0, Addition::bytes)
    }
}

/// One transformer block. Names follow GGUF.
pub struct Layer {
    /// Before attention.
    pub attn_norm: Gain,
    /// To queries, keys and values [(H + 2 K) D, C].
    pub attn_qkv: Projection,
    /// Gains of a head of queries and of one of keys, `[D]` each.
    pub head_norms: Option<[Tensor; 2]>,
    /// From the heads back to the stream [C, H * D].
    pub attn_output: Projection,
    /// After attention.
    pub post_attention_norm: Option<Gain>,
    /// Before the feed-forward part.
    pub ffn_norm: Gain,
    /// The feed-forward part.
    pub ffn: Ffn,
    /// After the feed-forward part.
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
    pub gate_up: Projection,
    /// Back to the stream [C, F].
    pub down: Projection,
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
        // Packed weights take about as much as those of the file, in some formats up to an eighth
        // more. What has no room in the pool is a tensor of its own.
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
        loader.allocator = &pool;
        let layers = loader.layers(read)?;
        loader.allocator = device;
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
        let layers = self.layers.iter().flat_map(Layer::projections).map(Projection::bytes);
        let output = self.output.as_ref().map_or(0, Matrix::bytes);
        let positions = self.position_embd.as_ref().map_or(0, Tensor::bytes);
        self.token_embd.bytes() + positions + output + layers.sum::<u64>()
    }
}
