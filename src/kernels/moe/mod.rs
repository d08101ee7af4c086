//! Mixtures of experts: routing tokens, grouping them by expert, and combining the results.

pub(in crate::kernels) mod experts;
pub(in crate::kernels) mod made_up;

pub use experts::Experts;

kernels! {
    group_choices::GroupChoices,
    mix_experts::MixExperts,
    route::Route,
}
