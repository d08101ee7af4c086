//! The commands, one file each.

pub(in crate::cli) mod bench;
pub(in crate::cli) mod bench_kernels;
pub(in crate::cli) mod bench_own;
pub(in crate::cli) mod compare;
pub(in crate::cli) mod convert;
pub(in crate::cli) mod devices;
pub(in crate::cli) mod doctor;
pub(in crate::cli) mod embed;
pub(in crate::cli) mod explain;
pub(in crate::cli) mod generate;
pub(in crate::cli) mod generate_many;
pub(in crate::cli) mod grok;
pub(in crate::cli) mod grok_sweep;
pub(in crate::cli) mod inspect;
pub(in crate::cli) mod kernels;
pub(in crate::cli) mod list;
pub(in crate::cli) mod logits;
pub(in crate::cli) mod matrix;
pub(in crate::cli) mod perplexity;
pub(in crate::cli) mod pull;
pub(in crate::cli) mod rm;
pub(in crate::cli) mod tokenize;
pub(in crate::cli) mod train;
pub(in crate::cli) mod tune;
pub(in crate::cli) mod version;
