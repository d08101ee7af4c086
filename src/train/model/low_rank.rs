//! The matrices that LoRA trains (Hu et al. 2021, arXiv:2106.09685): for each frozen matrix W two
//! small ones, so that y = W x + scale · B (A x).
//!
//! Where one product here combines two matrices, keys with values or gate with up, their As are
//! stacked and their Bs form a block-diagonal matrix. If only one of the two is a target, the other
//! one's A and B are zero: their gradients are zero as well, so they stay zero. The rank is padded
//! to a multiple of four in the same way.

use super::config::Shape;
use super::parameters::Parameters;
use crate::gpu::{Device, Tensor};
use crate::sample::Rng;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A matrix of a layer to which LoRA can add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The query projection.
    Q,
    /// The key projection.
    K,
    /// The value projection.
    V,
    /// The projection after attention.
    O,
    /// The gate projection of the feed-forward part.
    Gate,
    /// The up projection of the feed-forward part.
    Up,
    /// The down projection of the feed-forward part.
    Down,
}

impl Target {
    /// All targets, in the order of a layer.
    pub const ALL: [Self; 7] =
        [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// The name of the target on the command line.
    pub fn word(self) -> &'static str {
        ["q", "k", "v", "o", "gate", "up", "down"][self as usize]
    }

    /// The name of the module in Hugging Face models.
    pub(in crate::train) fn module(self) -> &'static str {
        match self {
            Self::Q => "self_attn.q_proj",
            Self::K => "self_attn.k_proj",
            Self::V => "self_attn.v_proj",
            Self::O => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }
}

impl std::str::FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let known = Self::ALL.map(Self::word);
        let found = Self::ALL.into_iter().find(|target| target.word() == text);
        found.ok_or_else(|| format!("{text:?} is none of {}", known.join(", ")))
    }
}

/// Settings of LoRA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraSettings {
    /// Rank of each addition: the number of rows of A.
    pub rank: usize,
    /// The addition is multiplied by this divided by the rank.
    pub alpha: f64,
    /// Which matrices of each layer get an addition.
    pub targets: Vec<Target>,
}

/// The products of a layer, and the target matrices that each of them combines.
const SITES: [(&str, &[Target]); 5] = [
    ("attn_q", &[Target::Q]),
    ("attn_kv", &[Target::K, Target::V]),
    ("attn_output", &[Target::O]),
    ("ffn_up", &[Target::Gate, Target::Up]),
    ("ffn_down", &[Target::Down]),
];

/// Largest supported rank.
const MOST: usize = 256;

impl LoraSettings {
    pub(in crate::train) fn check(&self) -> Result<()> {
        let sane = (1..=MOST).contains(&self.rank) && self.alpha.is_finite() && self.alpha > 0.0;
        if !sane {
            let why = format!(
                "of rank {} and alpha {}: the rank is 1 to {MOST}, alpha above 0",
                self.rank, self.alpha
            );
            return Err(Error::setting("LoRA", why));
        }
        if self.targets.is_empty() {
            return Err(Error::setting("LoRA", "without targets trains nothing"));
        }
        Ok(())
    }

    /// The rank of the tensors, whose axes are multiples of four.
    fn padded(&self) -> usize {
        self.rank.next_multiple_of(4)
    }

    /// The products of layer `layer` that have a target: name, combined matrices, rows of each
    /// combined matrix, and columns.
    fn sites(&self, shape: &Shape, layer: usize) -> Vec<Site> {
        let Shape { hidden_size, intermediate_size, .. } = *shape;
        let keys = shape.n_kv_heads * shape.head();
        let site = |(part, held): (&str, &'static [Target])| Site {
            name: format!("blk.{layer}.{part}"),
            held,
            rows: match held[0] {
                Target::K => keys,
                Target::Gate => intermediate_size,
                _ => hidden_size,
            },
            columns: if held[0] == Target::Down { intermediate_size } else { hidden_size },
        };
        let wanted = |site: &Site| site.held.iter().any(|target| self.targets.contains(target));
        SITES.into_iter().map(site).filter(wanted).collect()
    }
}

struct Site {
    name: String,
    held: &'static [Target],
    /// Number of rows of each combined matrix.
    rows: usize,
    columns: usize,
}

/// The A and B matrices of all layers.
pub struct Adapter {
    /// The settings that it was created with.
    pub settings: LoraSettings,
    /// `blk.N.part.lora_a` [matrices * rank, C] and `blk.N.part.lora_b` [matrices * rows, rank],
    /// for each product of `matrices` combined matrices.
    pub parameters: Parameters,
}

/// The addition to one product.
pub(in crate::train) struct Added<'a> {
    pub a: &'a Tensor,
    pub b: &'a Tensor,
    /// Number of rows of the first matrix, if the product combines two.
    pub split: Option<usize>,
    pub scale: f32,
}

/// A [rank, C] and B [rows, rank] of one target matrix.
pub(in crate::train) struct Pair {
    pub layer: usize,
    pub target: Target,
    pub columns: usize,
    pub a: Vec<f32>,
    pub b: Vec<f32>,
}

impl Adapter {
    /// An adapter whose A and B are all zero.
    ///
    /// # Errors
    /// When the settings are impossible, or the device cannot hold it.
    pub fn zeros(device: &Device, shape: &Shape, settings: &LoraSettings) -> Result<Self> {
        settings.check()?;
        let mut all = vec![];
        for site in (0..shape.n_layers).flat_map(|layer| settings.sites(shape, layer)) {
            let (held, rank) = (site.held.len(), settings.padded());
            all.push((format!("{}.lora_a", site.name), vec![held * rank, site.columns]));
            all.push((format!("{}.lora_b", site.name), vec![held * site.rows, rank]));
        }
        Ok(Self { settings: settings.clone(), parameters: Parameters::named(device, all)? })
    }

    /// The initial values: A is drawn from `seed` as in PEFT (He et al. 2015, arXiv:1502.01852,
    /// with a slope of the square root of five), B is zero.
    pub fn start(shape: &Shape, settings: &LoraSettings, seed: u64) -> Vec<Vec<f32>> {
        let (mut rng, padded) = (Rng::new(seed), settings.padded());
        let mut all = vec![];
        for site in (0..shape.n_layers).flat_map(|layer| settings.sites(shape, layer)) {
            let bound = 1.0 / (site.columns as f32).sqrt();
            let mut a = vec![0.0; site.held.len() * padded * site.columns];
            for (held, a) in site.held.iter().zip(a.chunks_mut(padded * site.columns)) {
                if settings.targets.contains(held) {
                    let drawn = a[..settings.rank * site.columns].iter_mut();
                    drawn.for_each(|a| *a = (2.0 * rng.uniform() - 1.0) as f32 * bound);
                }
            }
            all.extend([a, vec![0.0; site.held.len() * site.rows * padded]]);
        }
        all
    }

    fn scale(&self) -> f32 {
        (self.settings.alpha / self.settings.rank as f64) as f32
    }

    /// The addition to the product of this name, if it has one.
    pub(in crate::train) fn of(&self, name: &str) -> Option<Added<'_>> {
        let a = self.parameters.find(&format!("{name}.lora_a"))?;
        let b = self.parameters.find(&format!("{name}.lora_b"))?;
        let split = (a.dim(0) > self.settings.padded()).then_some(b.dim(0) / 2);
        Some(Added { a, b, split, scale: self.scale() })
    }

    /// The matrices of every target without padding. `values` holds the numbers of all parameters,
    /// in their order.
    pub(in crate::train) fn pairs(&self, shape: &Shape, values: &[Vec<f32>]) -> Vec<Pair> {
        let (rank, padded) = (self.settings.rank, self.settings.padded());
        let sites = (0..shape.n_layers).flat_map(|layer| {
            self.settings.sites(shape, layer).into_iter().map(move |site| (layer, site))
        });
        let mut all = vec![];
        for ((layer, site), values) in sites.zip(values.chunks(2)) {
            let [a, b] = values else { continue };
            let parts = a.chunks(padded * site.columns).zip(b.chunks(site.rows * padded));
            for (&target, (a, b)) in site.held.iter().zip(parts) {
                if self.settings.targets.contains(&target) {
                    let a = a[..rank * site.columns].to_vec();
                    let b = b.chunks(padded).flat_map(|row| &row[..rank]).copied().collect();
                    all.push(Pair { layer, target, columns: site.columns, a, b });
                }
            }
        }
        all
    }
}
