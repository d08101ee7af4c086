//! One token id out of a row of logits.
//!
//! The steps of [`SamplerSettings`], in order, and why in this order:
//!
//! 1. **bias**: what the caller demands of single tokens, in units of the raw logits;
//! 2. **penalties** for tokens seen before, on the raw logits too, as their published formulas say;
//! 3. **temperature** 0 takes the largest logit here, and nothing below has a choice left;
//! 4. **top-k**, which depends on the order only and leaves little for the steps below;
//! 5. **temperature** above 0;
//! 6. **top-p**, over the probabilities of what top-k left, renormalised;
//! 7. **min-p**, a share of the largest probability; then the draw from what is left, renormalised.
//!
//! Temperature comes before the filters that look at probabilities, as in Hugging Face `generate`,
//! so that a nucleus of 0.9 holds nine tenths of the distribution that is drawn from. (llama.cpp's
//! default chain scales last: there the filters cut the distribution at temperature 1.) Each filter
//! keeps at least the likeliest token. Among equal logits the lower id is the likelier one. A
//! [`Chain`] has its steps in any other order, and those of others among them.

use super::{Candidate, Candidates, Chain, Rng, SamplerSettings};
use crate::error::{Error, Result};

/// Chooses token ids; holds the random state and scratch memory, so one is made for each answer.
#[derive(Clone, Debug)]
pub struct Sampler {
    chain: Chain,
    rng: Rng,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// A sampler whose draws start from the settings' seed. The settings are expected to be
    /// [validated](SamplerSettings::validate).
    pub fn new(settings: SamplerSettings) -> Self {
        Self::with(settings.chain(), settings.seed)
    }

    /// A sampler that draws from what the steps of a chain leave, and whose draws start from
    /// `seed`. The chain is expected to be [validated](Chain::validate).
    pub fn with(chain: Chain, seed: u64) -> Self {
        Self { chain, rng: Rng::new(seed), candidates: Vec::new() }
    }

    /// The next token id from `logits` \[V\], given the ids so far (prompt and answer), oldest
    /// first. `logits` are scratch memory to the steps: bias and penalties are applied in place.
    ///
    /// # Errors
    /// Logits that are not finite: they come from a broken kernel or a damaged model, and no choice
    /// among them means anything. And whatever a step refuses.
    pub fn sample(&mut self, logits: &mut [f32], history: &[u32]) -> Result<u32> {
        // Without a way out the loop is done in vectors.
        let are_finite = logits.iter().fold(true, |all, x| all & x.is_finite());
        let wrong = || logits.iter().position(|x| !x.is_finite());
        if let Some(id) = (!are_finite).then(wrong).flatten() {
            return Err(Error::NotFinite(format!(
                "the logit of token {id} is {}: the model file is damaged or a kernel is wrong; \
                 fetch the file again, and report it if that does not help",
                logits[id]
            )));
        }
        let mut tokens = Candidates::new(logits, &mut self.candidates);
        self.chain.apply(&mut tokens, history)?;
        draw(&mut tokens, &mut self.rng)
    }
}

/// A token, as likely as its weight among those of all that are left.
fn draw(tokens: &mut Candidates<'_>, rng: &mut Rng) -> Result<u32> {
    let left = tokens.weights();
    let total: f64 = left.iter().map(|c| f64::from(c.value)).sum();
    let target = rng.uniform() * total;
    let mut sum = 0.0;
    for c in left.iter() {
        sum += f64::from(c.value);
        if target < sum {
            return Ok(c.id);
        }
    }
    // Reached by a rounding of the last sum only.
    let best = tokens.likeliest();
    best.map(|c| c.id).ok_or_else(|| Error::input("no token is left to choose from"))
}
