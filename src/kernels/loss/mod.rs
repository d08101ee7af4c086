//! Losses, likelihoods and divergences of logits.

mod cross_entropy;
mod divergence;
mod token_log_prob;

pub use cross_entropy::{CrossEntropy, CrossEntropyBackward, MeanLoss, MeanLossBackward};
pub use divergence::Divergence;
pub use token_log_prob::TokenLogProb;
