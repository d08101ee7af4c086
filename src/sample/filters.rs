//! The steps that come with the crate. Each keeps at least the likeliest token.

use super::{Candidate, Candidates, Effect, Filter};
use crate::error::{Error, Result};

/// Numbers added to the logits of single tokens; negative infinity bans one.
#[derive(Clone, Debug, PartialEq)]
pub struct Bias(pub Vec<(u32, f32)>);

impl Filter for Bias {
    fn apply(&self, tokens: &mut Candidates<'_>, _: &[u32]) -> Result<()> {
        for &(id, bias) in &self.0 {
            if let Some(logit) = logit(tokens, "logit_bias", id)? {
                *logit += bias;
            }
        }
        Ok(())
    }

    fn validate(&self, vocab_size: usize) -> Result<()> {
        for &(id, bias) in &self.0 {
            if id as usize >= vocab_size {
                let why = format!("names token {id}, but the vocabulary has {vocab_size} tokens");
                return Err(Error::setting("logit_bias", why));
            }
            let ok = bias.is_finite() || bias == f32::NEG_INFINITY;
            let name = format!("logit_bias of token {id}");
            bounded(&name, bias, ok, "a finite number, or -inf to ban it")?;
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "logit_bias"
    }
}

/// Makes tokens less likely that were seen before: the repetition penalty of CTRL (Keskar et al.
/// 2019), then frequency and presence as in OpenAI's API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalties {
    /// Divides positive logits of tokens already seen, multiplies negative ones; 1 is off.
    pub repetition: f32,
    /// Subtracted from the logit once for each time the token was seen; 0 is off.
    pub frequency: f32,
    /// Subtracted from the logit if the token was seen at all; 0 is off.
    pub presence: f32,
    /// How many of the latest tokens count; 0 for the whole history.
    pub window: usize,
}

impl Filter for Penalties {
    fn apply(&self, tokens: &mut Candidates<'_>, history: &[u32]) -> Result<()> {
        let window = if self.window == 0 { history.len() } else { self.window };
        let mut seen = history[history.len().saturating_sub(window)..].to_vec();
        seen.sort_unstable();
        for run in seen.chunk_by(|a, b| a == b) {
            let Some(logit) = logit(tokens, "the history", run[0])? else { continue };
            *logit = if *logit > 0.0 { *logit / self.repetition } else { *logit * self.repetition };
            *logit -= self.frequency * run.len() as f32 + self.presence;
        }
        Ok(())
    }

    fn validate(&self, _: usize) -> Result<()> {
        let Self { repetition, frequency, presence, .. } = *self;
        let positive = repetition.is_finite() && repetition > 0.0;
        bounded("repetition_penalty", repetition, positive, "a positive number; 1 is off")?;
        let finite = "a finite number; 0 is off";
        bounded("frequency_penalty", frequency, frequency.is_finite(), finite)?;
        bounded("presence_penalty", presence, presence.is_finite(), finite)
    }

    fn name(&self) -> &'static str {
        "penalties"
    }
}

/// Divides the logits; 0 takes the likeliest token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature(pub f32);

impl Filter for Temperature {
    fn apply(&self, tokens: &mut Candidates<'_>, _: &[u32]) -> Result<()> {
        if self.effect() == Effect::Takes {
            tokens.keep_likeliest();
        } else {
            tokens.divide_logits(self.0);
        }
        Ok(())
    }

    fn effect(&self) -> Effect {
        if self.0 == 0.0 { Effect::Takes } else { Effect::Keeps }
    }

    fn validate(&self, _: usize) -> Result<()> {
        let ok = self.0.is_finite() && self.0 >= 0.0;
        bounded("temperature", self.0, ok, "0 (greedy) or a positive number")
    }
}

/// Keeps so many of the likeliest tokens; 0 keeps all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopK(pub u32);

impl Filter for TopK {
    fn apply(&self, tokens: &mut Candidates<'_>, _: &[u32]) -> Result<()> {
        let k = self.0 as usize;
        if k > 0 && k < tokens.len() {
            let all = tokens.logits();
            all.select_nth_unstable_by(k - 1, Candidate::by_likelihood);
            all.truncate(k);
            // The partition's inner order is the library's affair; the draw must not depend on it.
            all.sort_unstable_by(Candidate::by_likelihood);
        }
        Ok(())
    }

    fn effect(&self) -> Effect {
        Effect::Keeps
    }
}

/// Keeps the smallest set of likeliest tokens whose probabilities reach this sum (Holtzman et al.
/// 2019); 1 keeps all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopP(pub f32);

impl Filter for TopP {
    /// Sorts only as much of the front as the nucleus needs: most nuclei are tens of tokens of
    /// 262144.
    fn apply(&self, tokens: &mut Candidates<'_>, _: &[u32]) -> Result<()> {
        if self.0 >= 1.0 {
            return Ok(());
        }
        let all = tokens.weights();
        let total: f64 = all.iter().map(|c| f64::from(c.value)).sum();
        let target = f64::from(self.0) * total;
        let mut sum = 0.0;
        let mut done = 0;
        let mut front = 64;
        while done < all.len() {
            front = front.min(all.len());
            if front < all.len() {
                all[done..].select_nth_unstable_by(front - done - 1, Candidate::by_likelihood);
            }
            all[done..front].sort_unstable_by(Candidate::by_likelihood);
            for (i, c) in all.iter().enumerate().take(front).skip(done) {
                sum += f64::from(c.value);
                if sum >= target {
                    all.truncate(i + 1);
                    return Ok(());
                }
            }
            done = front;
            front *= 8;
        }
        Ok(())
    }

    fn effect(&self) -> Effect {
        Effect::Keeps
    }

    fn validate(&self, _: usize) -> Result<()> {
        bounded("top_p", self.0, self.0 > 0.0 && self.0 <= 1.0, "above 0 and at most 1")
    }
}

/// Drops tokens less likely than this share of the likeliest one's probability; 0 keeps all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinP(pub f32);

impl Filter for MinP {
    fn apply(&self, tokens: &mut Candidates<'_>, _: &[u32]) -> Result<()> {
        if self.0 > 0.0 {
            let all = tokens.weights();
            let most = all.iter().fold(0.0, |most: f32, c| most.max(c.value));
            let least = self.0 * most;
            all.retain(|c| c.value >= least);
        }
        Ok(())
    }

    fn effect(&self) -> Effect {
        Effect::Keeps
    }

    fn validate(&self, _: usize) -> Result<()> {
        bounded("min_p", self.0, (0.0..=1.0).contains(&self.0), "from 0 to 1")
    }
}

fn bounded(name: &str, value: f32, ok: bool, range: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::setting(name, format!("is {value}, it must be {range}"))) }
}

/// The logit of a token that must be one of the vocabulary; `None` where it was dropped.
fn logit<'t>(tokens: &'t mut Candidates<'_>, what: &str, id: u32) -> Result<Option<&'t mut f32>> {
    let vocab_size = tokens.vocab_size();
    if id as usize >= vocab_size {
        return Err(Error::input(format!(
            "{what} names token {id}, but the model has {vocab_size} logits"
        )));
    }
    Ok(tokens.logit_mut(id))
}
