//! From logits to a token id, and from text to where an answer stops.
//!
//! Plain host code over slices and strings: it knows neither the device nor the model. A
//! [`Sampler`] applies the steps of a [`Chain`] and draws from what they leave; [`SamplerSettings`]
//! are the numbers that people and model files give, and make a chain of [`filters`].

mod candidates;
mod chain;
pub mod filters;
mod likelihoods;
mod rng;
mod sampler;
mod settings;
mod stop;

pub use candidates::{Candidate, Candidates};
pub use chain::{Chain, Effect, Filter};
pub use likelihoods::{Likelihoods, Likely, likeliest, logsumexp};
pub use rng::Rng;
pub use sampler::Sampler;
pub use settings::SamplerSettings;
pub use stop::{Released, StopStrings};
