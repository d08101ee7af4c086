//! Training data: texts and examples as sequences of tokens, their order, and JSON lines.

pub(in crate::train) mod data;
pub(in crate::train) mod dataset;
pub(in crate::train) mod example;
pub(in crate::train) mod json_lines;
pub(in crate::train) mod shuffle;
