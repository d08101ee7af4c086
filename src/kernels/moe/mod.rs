//! Mixtures of experts: routing, grouping and summing.

pub(in crate::kernels) mod experts;

pub use experts::Experts;

kernels! {
    group_choices::GroupChoices,
    mix_experts::MixExperts,
    route::Route,
}
