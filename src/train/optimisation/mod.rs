//! Optimisation: a training step, the optimiser, the learning rate, and the score.

pub(in crate::train) mod optimiser;
pub(in crate::train) mod schedule;
pub(in crate::train) mod score;
pub(in crate::train) mod step;
