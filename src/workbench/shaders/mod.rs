//! Shader texts: listings, translations into other languages, and shaders supplied by the user.

pub(in crate::workbench) mod constants;
pub(in crate::workbench) mod listing;
pub(in crate::workbench) mod reflect;
pub(in crate::workbench) mod translate;
pub(in crate::workbench) mod user_shader;
pub(in crate::workbench) mod values;
