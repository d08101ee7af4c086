//! Sampling options, as methods of conversations and completions.

/// Adds a method for each sampling option to a type with a field `options: generate::Options`.
macro_rules! answer_options {
    () => {
        /// Divides the logits by this before sampling; 0 always takes the likeliest token.
        pub fn temperature(mut self, temperature: f32) -> Self {
            self.options.sampling.temperature = temperature;
            self
        }

        /// Keeps only this many of the likeliest tokens; 0 keeps all.
        pub fn top_k(mut self, tokens: u32) -> Self {
            self.options.sampling.top_k = tokens;
            self
        }

        /// Keeps the likeliest tokens whose probabilities add up to this; 1 keeps all.
        pub fn top_p(mut self, sum: f32) -> Self {
            self.options.sampling.top_p = sum;
            self
        }

        /// Drops tokens less likely than this fraction of the likeliest one; 0 keeps all.
        pub fn min_p(mut self, fraction: f32) -> Self {
            self.options.sampling.min_p = fraction;
            self
        }

        /// Sets the seed of the random draws.
        pub fn seed(mut self, seed: u64) -> Self {
            self.options.sampling.seed = seed;
            self
        }

        /// Sets all sampling settings, including penalties and biases.
        pub fn sampling(mut self, settings: crate::sample::SamplerSettings) -> Self {
            self.options.sampling = settings;
            self
        }

        /// Limits the tokens of an answer.
        pub fn max_tokens(mut self, tokens: usize) -> Self {
            self.options.max_tokens = Some(tokens);
            self
        }

        /// Ends an answer before this text. Can be called several times.
        pub fn stop(mut self, text: impl Into<String>) -> Self {
            self.options.stop.push(text.into());
            self
        }

        /// Sets all options of an answer.
        pub fn options(mut self, options: crate::generate::Options) -> Self {
            self.options = options;
            self
        }
    };
}

pub(super) use answer_options;

/// A new random seed of 53 bits, which JSON readers can represent exactly.
pub(super) fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() >> 11
}
