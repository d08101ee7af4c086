//! The steps between logits and the draw, and what a step is.

use super::filters::{Bias, MinP, Penalties, Temperature, TopK, TopP};
use super::{Candidates, SamplerSettings};
use crate::error::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// A step between logits and the draw: it changes them, or drops tokens. The steps of this crate
/// are [`filters`](super::filters); those of others are as good.
///
/// ```
/// use kaiwu::sample::{Candidates, Chain, Effect, Filter, Sampler};
///
/// /// Only even ids.
/// struct Even;
///
/// impl Filter for Even {
///     fn apply(&self, tokens: &mut Candidates<'_>, _history: &[u32]) -> kaiwu::Result<()> {
///         tokens.logits().retain(|token| token.id % 2 == 0);
///         Ok(())
///     }
/// }
///
/// let chain = Chain::new().temperature(0.8).top_k(40).append(Even);
/// let mut sampler = Sampler::with(chain, 1);
/// let id = sampler.sample(&mut [0.0, 9.0, 2.0, 1.0], &[])?;
/// assert!(id == 0 || id == 2);
/// # Ok::<(), kaiwu::Error>(())
/// ```
pub trait Filter: Send + Sync {
    /// Does it, given the ids so far (prompt and answer), oldest first.
    ///
    /// # Errors
    /// When it cannot be done; no token is chosen then.
    fn apply(&self, tokens: &mut Candidates<'_>, history: &[u32]) -> Result<()>;

    /// What it can do to the likeliest token. Where all steps leave it the likeliest and one takes
    /// it, the logits need not leave the device.
    fn effect(&self) -> Effect {
        Effect::Reorders
    }

    /// Checks its settings for a vocabulary of `vocab_size` tokens.
    ///
    /// # Errors
    /// When one is out of range; the message names it.
    fn validate(&self, vocab_size: usize) -> Result<()> {
        let _ = vocab_size;
        Ok(())
    }

    /// What messages call it.
    fn name(&self) -> &'static str {
        let path = std::any::type_name::<Self>();
        path.rsplit("::").next().unwrap_or(path)
    }
}

/// What a [`Filter`] can do to the likeliest token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Another token may be the likeliest afterwards.
    Reorders,
    /// It stays the likeliest.
    Keeps,
    /// It is the only one that is left.
    Takes,
}

/// Steps in the order in which they are applied; a [`Sampler`](super::Sampler) draws from what they
/// leave. Without a step, tokens are drawn as the model says.
#[derive(Clone, Default)]
pub struct Chain {
    filters: Vec<Arc<dyn Filter>>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.filters.iter().map(|filter| filter.name())).finish()
    }
}

impl Chain {
    /// No steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a step.
    pub fn append(mut self, filter: impl Filter + 'static) -> Self {
        self.filters.push(Arc::new(filter));
        self
    }

    /// Appends a step if `wanted`.
    pub fn append_if(self, wanted: bool, filter: impl Filter + 'static) -> Self {
        if wanted { self.append(filter) } else { self }
    }

    /// Appends [`Bias`]: numbers added to the logits of tokens; negative infinity bans one.
    pub fn bias(self, of_tokens: impl Into<Vec<(u32, f32)>>) -> Self {
        self.append(Bias(of_tokens.into()))
    }

    /// Appends [`Penalties`] for tokens that were seen before.
    pub fn penalties(self, penalties: Penalties) -> Self {
        self.append(penalties)
    }

    /// Appends [`Temperature`]; at 0 the likeliest token is taken.
    pub fn temperature(self, temperature: f32) -> Self {
        self.append(Temperature(temperature))
    }

    /// Appends [`TopK`]: keeps the `k` likeliest tokens.
    pub fn top_k(self, k: u32) -> Self {
        self.append(TopK(k))
    }

    /// Appends [`TopP`]: keeps the likeliest tokens whose probabilities reach `p` together.
    pub fn top_p(self, p: f32) -> Self {
        self.append(TopP(p))
    }

    /// Appends [`MinP`]: keeps tokens that are `p` times as likely as the likeliest one.
    pub fn min_p(self, p: f32) -> Self {
        self.append(MinP(p))
    }

    /// Whether the likeliest token is taken, and nothing drawn.
    pub fn is_greedy(&self) -> bool {
        self.filters.iter().any(|filter| filter.effect() == Effect::Takes)
    }

    /// False when the index of the largest logit is all that is needed, so that the logits need not
    /// leave the device.
    pub fn needs_logits(&self) -> bool {
        let reorders = self.filters.iter().any(|filter| filter.effect() == Effect::Reorders);
        reorders || !self.is_greedy()
    }

    /// Checks the settings of all steps, for a vocabulary of `vocab_size` tokens.
    ///
    /// # Errors
    /// When one is out of range; the message names it.
    pub fn validate(&self, vocab_size: usize) -> Result<()> {
        self.filters.iter().try_for_each(|filter| filter.validate(vocab_size))
    }

    /// Applies all steps.
    pub(super) fn apply(&self, tokens: &mut Candidates<'_>, history: &[u32]) -> Result<()> {
        for filter in &self.filters {
            filter.apply(tokens, history)?;
            // What keeps the likeliest token keeps numbers sound.
            if filter.effect() == Effect::Reorders {
                check(filter.name(), tokens)?;
            }
        }
        Ok(())
    }
}

impl From<&SamplerSettings> for Chain {
    fn from(settings: &SamplerSettings) -> Self {
        settings.chain()
    }
}

/// Finite logits may still overflow through a step.
fn check(name: &str, tokens: &Candidates<'_>) -> Result<()> {
    if let Some(broken) = tokens.broken() {
        let (id, value) = (broken.id, broken.value);
        return Err(Error::input(format!(
            "the logit of token {id} became {value} by {name}; choose smaller numbers"
        )));
    }
    if !tokens.has_choice() {
        return Err(Error::input(format!("no token is left to choose from: {name} bans them all")));
    }
    Ok(())
}
