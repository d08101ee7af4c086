//! Losses, likelihoods and divergences of logits.

mod cross_entropy;
mod divergence;
mod likelihood;

pub use cross_entropy::{CrossEntropy, CrossEntropyGradient, MeanLoss, MeanLossGradient};
pub use divergence::Divergence;
pub use likelihood::Likelihood;
