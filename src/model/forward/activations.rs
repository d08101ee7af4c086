//! The tensors that a step computes in, allocated once for all steps of up to the same number of
//! tokens.

use crate::Result;
use crate::gpu::{Device, Element, Tensor};
use crate::kernels::{CacheType, GroupChoices, Pieces};
use crate::model::architecture::Norm;
use crate::model::config::{Config, Experts};
use crate::model::weights::{Projection, Weights};

/// The working memory of a step of up to T tokens, in addition to weights and cache. Rows are
/// padded with zeros to whole blocks of 32 numbers.
pub(in crate::model) struct Activations {
    /// Token ids `[T]`.
    pub ids: Tensor,
    /// The residual stream between blocks [T, C].
    pub x: Tensor,
    /// The residual stream within a block, after attention [T, C].
    pub middle: Tensor,
    /// Rotated queries [T, H * D].
    pub q: Tensor,
    /// What the heads attended to [T, H * D].
    pub attended: Tensor,
    /// Partial results where one token reads a long cache in pieces.
    pub pieces: Option<PieceActivations>,
    /// Feed-forward activations [T, F].
    pub hidden: Tensor,
    /// Queries, keys and values before their heads are normalised or the cache stores them as bytes
    /// [T, (H + 2 K) D]; empty where neither happens.
    pub projected: Tensor,
    /// The normalised stream where a separate kernel computes it, or a block's output before it is
    /// normalised [T, C]; empty where neither is needed.
    pub aside: Tensor,
    /// Working memory of mixtures of experts, if the model has any.
    pub mixture: Option<MixtureActivations>,
    /// Working memory of adapters, if any is active.
    pub low_rank: Option<LowRankActivations>,
}

/// Partial results of attention over P pieces of a cache.
pub(in crate::model) struct PieceActivations {
    /// Unnormalised sums of values over each piece [P, H * D].
    pub sums: Tensor,
    /// Number of pieces, and their softmax statistics.
    pub pieces: Pieces,
}

/// The choices of a mixture of experts, and intermediate results.
pub(in crate::model) struct MixtureActivations {
    /// Logits of the experts [T, E].
    pub logits: Tensor,
    /// The experts that each token chose, with their weights [T * chosen, 4].
    pub routes: Tensor,
    /// The choices sorted by expert, for steps of many tokens [groups and T * chosen, 4].
    pub groups: Tensor,
    /// Hidden activations [T * chosen, F].
    pub hidden: Tensor,
    /// Output of each chosen expert [T * chosen, C].
    pub given: Tensor,
}

/// Intermediate results of what adapters add to a product.
pub(in crate::model) struct LowRankActivations {
    /// A x [T, ranks].
    pub low: Tensor,
    /// B (A x) and the bias [T, R].
    pub added: Tensor,
}

/// Zeros [rows, width], the width padded to whole blocks.
fn zeros(device: &Device, label: &str, rows: usize, width: usize) -> Result<Tensor> {
    Tensor::zeros(device, label, &[rows, width.next_multiple_of(32)], Element::F32)
}

impl Activations {
    /// Allocates the activations of steps of up to `tokens` tokens, with a cache of type `cache`.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn new(device: &Device, model: &Weights, tokens: usize, cache: CacheType) -> Result<Self> {
        let config = &model.config;
        let family = config.architecture;
        let queries = config.n_heads * config.head_dim;
        let all_heads = queries + 2 * config.n_kv_heads * config.head_dim;
        let by_heads = family.head_norms || cache == CacheType::Q8_0;
        let normed_aside = family.post_norms || family.norm == Norm::Layer;
        let tensor = |label: &str, width: usize| zeros(device, label, tokens, width);
        Ok(Self {
            ids: Tensor::uniform(device, "ids", tokens)?,
            x: tensor("x", config.hidden_size)?,
            middle: tensor("middle", config.hidden_size)?,
            q: tensor("q", queries)?,
            attended: tensor("attended", queries)?,
            pieces: if tokens == 1 { PieceActivations::new(device, config)? } else { None },
            hidden: tensor("hidden", config.intermediate_size.next_multiple_of(64))?,
            projected: tensor("projected", if by_heads { all_heads } else { 0 })?,
            aside: tensor("aside", if normed_aside { config.hidden_size } else { 0 })?,
            mixture: match &config.experts {
                Some(experts) => Some(MixtureActivations::new(device, config, experts, tokens)?),
                None => None,
            },
            low_rank: LowRankActivations::new(device, model, tokens)?,
        })
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        let mut all = vec![&self.ids, &self.x, &self.middle, &self.q, &self.attended, &self.hidden];
        all.extend([&self.projected, &self.aside]);
        if let Some(PieceActivations { sums, pieces }) = &self.pieces {
            all.extend([sums, &pieces.stats]);
        }
        if let Some(mixture) = &self.mixture {
            let MixtureActivations { logits, routes, groups, hidden, given } = mixture;
            all.extend([logits, routes, groups, hidden, given]);
        }
        if let Some(LowRankActivations { low, added }) = &self.low_rank {
            all.extend([low, added]);
        }
        all.into_iter().map(Tensor::bytes).sum()
    }
}

impl PieceActivations {
    /// The smallest number of pieces whose product with the number of key heads divides evenly
    /// among the workgroups that run concurrently; `None` where that is one piece.
    fn new(device: &Device, config: &Config) -> Result<Option<Self>> {
        let Device::Gpu(gpu) = device else { return Ok(None) };
        let workers = gpu.capabilities().concurrent_workgroups as usize;
        let count = (1..=workers)
            .find(|count| (count * config.n_kv_heads).is_multiple_of(workers))
            .unwrap_or(1);
        // The order in which pieces are summed depends on the number of tokens in a step.
        if count == 1 || gpu.capabilities().deterministic {
            return Ok(None);
        }
        let queries = config.n_heads * config.head_dim;
        let sums = Tensor::zeros(device, "partial", &[count, queries], Element::F32)?;
        let stats = Tensor::zeros(device, "stats", &[count, config.n_heads, 4], Element::F32)?;
        Ok(Some(Self { sums, pieces: Pieces { count, stats } }))
    }
}

impl MixtureActivations {
    fn new(device: &Device, config: &Config, experts: &Experts, tokens: usize) -> Result<Self> {
        let choices = tokens * experts.n_experts_used;
        let groups = GroupChoices::rows(choices, experts.n_experts);
        let words =
            |label: &str, rows: usize| Tensor::zeros(device, label, &[rows, 4], Element::F32);
        let [hidden, width] =
            [experts.intermediate_size, config.hidden_size].map(|width| width.next_multiple_of(64));
        Ok(Self {
            logits: zeros(device, "expert_logits", tokens, experts.n_experts)?,
            routes: words("routes", choices)?,
            groups: words("groups", groups)?,
            hidden: zeros(device, "expert_hidden", choices, hidden)?,
            given: zeros(device, "expert_given", choices, width)?,
        })
    }
}

impl LowRankActivations {
    /// Allocates working memory for the widest adapter of the model; `None` if there is no adapter.
    fn new(device: &Device, model: &Weights, tokens: usize) -> Result<Option<Self>> {
        let projections = model.layers.iter().flat_map(|layer| layer.projections());
        let additions: Vec<_> =
            projections.filter_map(|Projection { addition, .. }| addition.as_ref()).collect();
        let ranks = additions.iter().map(|addition| addition.b.columns()).max();
        let rows = additions.iter().map(|addition| addition.b.rows()).max();
        let Some((ranks, rows)) = ranks.zip(rows) else { return Ok(None) };
        let low = zeros(device, "low_rank", tokens, ranks)?;
        Ok(Some(Self { low, added: zeros(device, "added", tokens, rows)? }))
    }
}
