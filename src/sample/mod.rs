//! From logits to a token id, and from text to where an answer stops.
//!
//! Plain host code over slices and strings: it knows neither the device nor the model.

mod likelihoods;
mod rng;
mod sampler;
mod settings;
mod stop;

pub use likelihoods::{Likelihoods, Likely, likeliest, logsumexp};
pub use rng::Rng;
pub use sampler::Sampler;
pub use settings::SamplerSettings;
pub use stop::{Released, StopStrings};
