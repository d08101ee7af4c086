//! From logits to a token id, and from text to where an answer stops.
//!
//! Plain host code over slices and strings: it knows neither the device nor the model. A
//! [`Sampler`] applies the steps of a [`Chain`] and draws from what they leave; [`SamplerSettings`]
//! are the numbers that people and model files give, and make a chain of [`filters`].
//!
//! ```
//! use kaiwu::sample::{Sampler, SamplerSettings};
//!
//! let settings = SamplerSettings { temperature: 0.8, top_k: 2, seed: 7, ..Default::default() };
//! let mut sampler = Sampler::new(settings);
//! let id = sampler.sample(&mut [0.1, 4.0, -2.0, 3.5], &[])?;
//! assert!(id == 1 || id == 3);
//! # Ok::<(), kaiwu::Error>(())
//! ```

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
