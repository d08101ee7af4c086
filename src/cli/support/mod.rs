//! What several commands share: options, loading, text in and out, progress, signals.

pub(in crate::cli) mod arguments;
pub(in crate::cli) mod choice;
pub(in crate::cli) mod deadline;
pub(in crate::cli) mod dump;
pub(in crate::cli) mod failure;
pub(in crate::cli) mod given;
pub(in crate::cli) mod interrupt;
pub(in crate::cli) mod likely;
pub(in crate::cli) mod loaded;
pub(in crate::cli) mod output;
pub(in crate::cli) mod profile;
pub(in crate::cli) mod progress;
pub(in crate::cli) mod prompts;
pub(in crate::cli) mod roofline;
pub(in crate::cli) mod sampling;
pub(in crate::cli) mod telling;
pub(in crate::cli) mod text_input;
pub(in crate::cli) mod training_progress;
pub(in crate::cli) mod usage;
