//! Losses, likelihoods and divergences of logits.

kernels! {
    cross_entropy::CrossEntropy,
    cross_entropy_backward::CrossEntropyBackward,
    divergence::Divergence,
    mean_loss::MeanLoss,
    mean_loss_backward::MeanLossBackward,
    token_log_prob::TokenLogProb,
}
