//! Mixtures of experts: routing, grouping and summing.

pub(in crate::kernels) mod experts;
pub(in crate::kernels) mod group_choices;
mod mix_experts;
mod route;

pub use experts::Experts;
pub use group_choices::GroupChoices;
pub use mix_experts::MixExperts;
pub use route::Route;
