//! How it learns: a step, its optimiser, its rate, and what it is scored by.

pub(in crate::train) mod optimiser;
pub(in crate::train) mod schedule;
pub(in crate::train) mod score;
pub(in crate::train) mod step;
