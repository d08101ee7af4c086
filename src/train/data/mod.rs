//! What is learned: texts and examples as sequences of tokens, in which order, and the lines they
//! come in.

pub(in crate::train) mod data;
pub(in crate::train) mod dataset;
pub(in crate::train) mod example;
pub(in crate::train) mod json_lines;
pub(in crate::train) mod shuffle;
