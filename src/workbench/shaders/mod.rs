//! Shaders as texts: what is compiled, in other languages too, and those of a user's own.

pub(in crate::workbench) mod constants;
pub(in crate::workbench) mod listing;
pub(in crate::workbench) mod reflect;
pub(in crate::workbench) mod translate;
pub(in crate::workbench) mod user_shader;
pub(in crate::workbench) mod values;
