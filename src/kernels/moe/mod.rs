//! Mixtures of experts: routing, grouping and summing.

pub(in crate::kernels) mod experts;
pub(in crate::kernels) mod made_up;

pub use experts::Experts;

kernels! {
    group_choices::GroupChoices,
    mix_experts::MixExperts,
    route::Route,
}
