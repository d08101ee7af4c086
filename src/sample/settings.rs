//! What a person may ask of the choice of the next token.

use super::filters::{Bias, MinP, Penalties, Temperature, TopK, TopP};
use super::{Chain, Rng};
use crate::error::Result;

/// The knobs of sampling. The default is greedy: the likeliest token, always.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerSettings {
    /// Divides the logits before the softmax; 0 takes the likeliest token.
    pub temperature: f32,
    /// Keep only this many of the likeliest tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set of likeliest tokens whose probabilities reach this sum; 1 keeps all.
    pub top_p: f32,
    /// Drop tokens less likely than this share of the likeliest one's probability; 0 keeps all.
    pub min_p: f32,
    /// Divides positive logits of tokens already seen, multiplies negative ones; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from the logit once for each time the token was seen; 0 is off.
    pub frequency_penalty: f32,
    /// Subtracted from the logit if the token was seen at all; 0 is off.
    pub presence_penalty: f32,
    /// How many of the latest tokens the penalties look at; 0 looks at the whole history.
    pub penalty_window: usize,
    /// Added to the logits of these token ids; negative infinity bans a token.
    pub logit_bias: Vec<(u32, f32)>,
    /// Fixes the random draws.
    pub seed: u64,
}

impl Default for SamplerSettings {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            penalty_window: 64,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }
}

impl SamplerSettings {
    /// True when no random draw is made: temperature 0.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// True when tokens seen before are made less (or more) likely.
    pub fn has_penalties(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.frequency_penalty != 0.0
            || self.presence_penalty != 0.0
    }

    /// The steps that they ask for, in the order that [`Sampler`](super::Sampler) explains. A chain
    /// that is wanted with a step more begins with these.
    pub fn chain(&self) -> Chain {
        let penalties = Penalties {
            repetition: self.repetition_penalty,
            frequency: self.frequency_penalty,
            presence: self.presence_penalty,
            window: self.penalty_window,
        };
        Chain::new()
            .append_if(!self.logit_bias.is_empty(), Bias(self.logit_bias.clone()))
            .append_if(self.has_penalties(), penalties)
            .append_if(self.is_greedy(), Temperature(0.0))
            .append_if(self.top_k != 0, TopK(self.top_k))
            .append_if(!self.is_greedy(), Temperature(self.temperature))
            .append_if(self.top_p != 1.0, TopP(self.top_p))
            .append_if(self.min_p != 0.0, MinP(self.min_p))
    }

    /// False when the index of the largest logit is all that sampling reads, so that the logits
    /// need not leave the device.
    pub fn needs_logits(&self) -> bool {
        self.chain().needs_logits()
    }

    /// These settings for the answer with this number of a conversation, which has draws of its
    /// own. Those of answer 0 are the seed's; a seed fixes them all.
    pub fn for_answer(&self, number: u64) -> Self {
        Self { seed: Rng::of_answer(self.seed, number), ..self.clone() }
    }

    /// Checks each setting's range, for a vocabulary of `vocab` tokens.
    ///
    /// # Errors
    /// When one is out of range; the message names it.
    pub fn validate(&self, vocab: usize) -> Result<()> {
        self.chain().validate(vocab)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_greedy_and_reads_no_logits() {
        let s = SamplerSettings::default();
        assert!(s.is_greedy() && !s.needs_logits());
        s.validate(1).unwrap();
    }

    #[test]
    fn whatever_changes_the_order_needs_the_logits() {
        let d = SamplerSettings::default;
        let rows: [(SamplerSettings, bool); 7] = [
            (SamplerSettings { top_k: 5, top_p: 0.5, min_p: 0.1, seed: 9, ..d() }, false),
            (SamplerSettings { temperature: 0.1, ..d() }, true),
            (SamplerSettings { repetition_penalty: 1.1, ..d() }, true),
            (SamplerSettings { frequency_penalty: 0.1, ..d() }, true),
            (SamplerSettings { presence_penalty: -0.1, ..d() }, true),
            (SamplerSettings { logit_bias: vec![(0, 1.0)], ..d() }, true),
            (SamplerSettings { penalty_window: 3, ..d() }, false),
        ];
        for (settings, want) in rows {
            assert_eq!(settings.needs_logits(), want, "{settings:?}");
        }
    }

    #[test]
    fn each_bad_value_is_named() {
        let d = SamplerSettings::default;
        let rows = [
            (SamplerSettings { temperature: -1.0, ..d() }, "temperature"),
            (SamplerSettings { temperature: f32::NAN, ..d() }, "temperature"),
            (SamplerSettings { temperature: f32::INFINITY, ..d() }, "temperature"),
            (SamplerSettings { top_p: 0.0, ..d() }, "top_p"),
            (SamplerSettings { top_p: 1.5, ..d() }, "top_p"),
            (SamplerSettings { top_p: f32::NAN, ..d() }, "top_p"),
            (SamplerSettings { min_p: -0.1, ..d() }, "min_p"),
            (SamplerSettings { min_p: f32::NAN, ..d() }, "min_p"),
            (SamplerSettings { repetition_penalty: 0.0, ..d() }, "repetition_penalty"),
            (SamplerSettings { frequency_penalty: f32::NAN, ..d() }, "frequency_penalty"),
            (SamplerSettings { presence_penalty: f32::INFINITY, ..d() }, "presence_penalty"),
            (SamplerSettings { logit_bias: vec![(10, 1.0)], ..d() }, "token 10"),
            (SamplerSettings { logit_bias: vec![(3, f32::NAN)], ..d() }, "token 3"),
            (SamplerSettings { logit_bias: vec![(3, f32::INFINITY)], ..d() }, "token 3"),
        ];
        for (settings, name) in rows {
            let message = settings.validate(10).expect_err(name).to_string();
            assert!(message.contains(name), "{message:?} does not name {name}");
        }
        SamplerSettings { logit_bias: vec![(9, f32::NEG_INFINITY)], ..d() }.validate(10).unwrap();
    }
}
