//! The options of sampling, as methods of what makes answers.

/// Gives a type with a field `options: generate::Options` a method for each of them.
macro_rules! answer_options {
    () => {
        /// Divides the logits before one is drawn; 0 takes the likeliest token always.
        pub fn temperature(mut self, temperature: f32) -> Self {
            self.options.sampling.temperature = temperature;
            self
        }

        /// Keeps so many of the likeliest tokens; 0 keeps all.
        pub fn top_k(mut self, tokens: u32) -> Self {
            self.options.sampling.top_k = tokens;
            self
        }

        /// Keeps the likeliest tokens whose probabilities reach this sum; 1 keeps all.
        pub fn top_p(mut self, sum: f32) -> Self {
            self.options.sampling.top_p = sum;
            self
        }

        /// Drops tokens less likely than this fraction of the likeliest one; 0 keeps all.
        pub fn min_p(mut self, fraction: f32) -> Self {
            self.options.sampling.min_p = fraction;
            self
        }

        /// Fixes the random draws.
        pub fn seed(mut self, seed: u64) -> Self {
            self.options.sampling.seed = seed;
            self
        }

        /// All settings of sampling together, penalties and biases among them.
        pub fn sampling(mut self, settings: crate::sample::SamplerSettings) -> Self {
            self.options.sampling = settings;
            self
        }

        /// Most tokens of an answer.
        pub fn max_tokens(mut self, tokens: usize) -> Self {
            self.options.max_tokens = Some(tokens);
            self
        }

        /// Ends an answer before this text. May be given several times.
        pub fn stop(mut self, text: impl Into<String>) -> Self {
            self.options.stop.push(text.into());
            self
        }

        /// All options of an answer together.
        pub fn options(mut self, options: crate::generate::Options) -> Self {
            self.options = options;
            self
        }
    };
}

pub(super) use answer_options;

/// A seed that is another one each time, of 53 bits, so that readers of JSON get it as it is.
pub(super) fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() >> 11
}
