//! One token id out of a row of logits.
//!
//! The steps, in order, and why in this order:
//!
//! 1. **bias**: what the caller demands of single tokens, in units of the raw logits;
//! 2. **penalties** for tokens seen before, on the raw logits too, as their published formulas say:
//!    the repetition penalty of CTRL (Keskar et al. 2019), then frequency and presence as in
//!    OpenAI's API;
//! 3. **temperature**; at 0 the largest logit is taken here and nothing below runs;
//! 4. **top-k**, which depends on the order only and leaves little for the steps below;
//! 5. **top-p** (Holtzman et al. 2019), over the probabilities of what top-k left, renormalised;
//! 6. **min-p**, a share of the largest probability; then the draw from what is left, renormalised.
//!
//! Temperature comes before the filters, as in Hugging Face `generate`, so that a nucleus of 0.9
//! holds nine tenths of the distribution that is drawn from. (llama.cpp's default chain scales
//! last: there the filters cut the distribution at temperature 1.) Each filter keeps at least the
//! likeliest token. Among equal logits the lower id is the likelier one.

use std::cmp::Ordering;

use super::{Rng, SamplerSettings};
use crate::error::{Error, Result};

/// Chooses token ids; holds the random state and scratch memory, so one is made for each answer.
#[derive(Clone, Debug)]
pub struct Sampler {
    settings: SamplerSettings,
    rng: Rng,
    candidates: Vec<Candidate>,
    seen: Vec<u32>,
}

/// A token still in the race. `weight` is its logit, and after the softmax its unnormalised
/// probability.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: u32,
    weight: f32,
}

/// Likeliest first; the lower id first among equals.
fn by_likelihood(a: &Candidate, b: &Candidate) -> Ordering {
    b.weight.total_cmp(&a.weight).then(a.id.cmp(&b.id))
}

impl Sampler {
    /// A sampler whose draws start from the settings' seed. The settings are expected to be
    /// [validated](SamplerSettings::validate).
    pub fn new(settings: SamplerSettings) -> Self {
        let rng = Rng::new(settings.seed);
        Self { settings, rng, candidates: Vec::new(), seen: Vec::new() }
    }

    /// The settings this sampler follows.
    pub fn settings(&self) -> &SamplerSettings {
        &self.settings
    }

    /// The next token id from `logits` \[V\], given the ids so far (prompt and answer), oldest
    /// first.
    ///
    /// Bias and penalties are applied to `logits` in place. Logits that are not finite are an
    /// error: they come from a broken kernel or a damaged model, and no choice among them means
    /// anything.
    pub fn sample(&mut self, logits: &mut [f32], history: &[u32]) -> Result<u32> {
        if let Some(id) = logits.iter().position(|x| !x.is_finite()) {
            return Err(Error::NotFinite(format!(
                "the logit of token {id} is {}: the model file is damaged or a kernel is wrong; \
                 fetch the file again, and report it if that does not help",
                logits[id]
            )));
        }
        self.add_bias(logits)?;
        self.penalise(logits, history)?;
        let (best, max) = largest(logits)?;
        if self.settings.is_greedy() {
            return Ok(best);
        }

        self.candidates.clear();
        self.candidates
            .extend((0u32..).zip(logits.iter()).map(|(id, &weight)| Candidate { id, weight }));
        self.keep_top_k();
        // The largest exponent is 0, so nothing overflows and the largest weight is 1, which is
        // what min-p measures against.
        let temperature = self.settings.temperature;
        for c in &mut self.candidates {
            c.weight = ((c.weight - max) / temperature).exp();
        }
        self.keep_top_p();
        if self.settings.min_p > 0.0 {
            let least = self.settings.min_p;
            self.candidates.retain(|c| c.weight >= least);
        }
        Ok(self.draw(best))
    }

    fn add_bias(&self, logits: &mut [f32]) -> Result<()> {
        let vocab = logits.len();
        for &(id, bias) in &self.settings.logit_bias {
            let logit =
                logits.get_mut(id as usize).ok_or_else(|| outside("logit_bias", id, vocab))?;
            *logit += bias;
        }
        Ok(())
    }

    fn penalise(&mut self, logits: &mut [f32], history: &[u32]) -> Result<()> {
        let s = &self.settings;
        if !s.has_penalties() {
            return Ok(());
        }
        let start =
            if s.penalty_window == 0 { 0 } else { history.len().saturating_sub(s.penalty_window) };
        self.seen.clear();
        self.seen.extend_from_slice(&history[start..]);
        self.seen.sort_unstable();
        let vocab = logits.len();
        for run in self.seen.chunk_by(|a, b| a == b) {
            let logit = logits
                .get_mut(run[0] as usize)
                .ok_or_else(|| outside("the history", run[0], vocab))?;
            *logit = if *logit > 0.0 {
                *logit / s.repetition_penalty
            } else {
                *logit * s.repetition_penalty
            };
            *logit -= s.frequency_penalty * run.len() as f32 + s.presence_penalty;
        }
        Ok(())
    }

    fn keep_top_k(&mut self) {
        let k = self.settings.top_k as usize;
        if k > 0 && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, by_likelihood);
            self.candidates.truncate(k);
            // The partition's inner order is the library's affair; the draw must not depend on it.
            self.candidates.sort_unstable_by(by_likelihood);
        }
    }

    /// Sorts only as much of the front as the nucleus needs: most nuclei are tens of tokens of
    /// 262144.
    fn keep_top_p(&mut self) {
        if self.settings.top_p >= 1.0 {
            return;
        }
        let all = &mut self.candidates;
        let total: f64 = all.iter().map(|c| f64::from(c.weight)).sum();
        let target = f64::from(self.settings.top_p) * total;
        let mut sum = 0.0;
        let mut done = 0;
        let mut front = 64;
        while done < all.len() {
            front = front.min(all.len());
            if front < all.len() {
                all[done..].select_nth_unstable_by(front - done - 1, by_likelihood);
            }
            all[done..front].sort_unstable_by(by_likelihood);
            for (i, c) in all.iter().enumerate().take(front).skip(done) {
                sum += f64::from(c.weight);
                if sum >= target {
                    all.truncate(i + 1);
                    return;
                }
            }
            done = front;
            front *= 8;
        }
    }

    fn draw(&mut self, best: u32) -> u32 {
        let total: f64 = self.candidates.iter().map(|c| f64::from(c.weight)).sum();
        let target = self.rng.uniform() * total;
        let mut sum = 0.0;
        for c in &self.candidates {
            sum += f64::from(c.weight);
            if target < sum {
                return c.id;
            }
        }
        best // Reached by a rounding of the last sum only.
    }
}

/// The largest logit and its id; the lowest id among equals.
fn largest(logits: &[f32]) -> Result<(u32, f32)> {
    let mut best = (0u32, f32::NEG_INFINITY);
    for (id, &x) in (0u32..).zip(logits) {
        // Finite logits may still overflow through bias or penalties.
        if x.is_nan() || x == f32::INFINITY {
            return Err(Error::input(format!(
                "the logit of token {id} became {x} by bias and penalties; choose smaller ones"
            )));
        }
        if x > best.1 {
            best = (id, x);
        }
    }
    if best.1 == f32::NEG_INFINITY {
        return Err(Error::input("no token is left to choose from: logit_bias bans them all"));
    }
    Ok(best)
}

fn outside(what: &str, id: u32, vocab: usize) -> Error {
    Error::input(format!("{what} names token {id}, but the model has {vocab} logits"))
}
