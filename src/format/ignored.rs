//! Fields and tensors of a model's files that the user asks to ignore, although that may change
//! results.

use serde::{Deserialize, Serialize};

/// Names of unknown or unsupported fields and tensors that are ignored instead of refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ignored {
    /// Fields of `config.json`, such as `rope_scaling.factor`, or keys in a GGUF file.
    pub fields: Vec<String>,
    /// Parts of tensor names, either as in the file or as in GGUF.
    pub tensors: Vec<String>,
}

impl Ignored {
    /// Whether a field with this name is ignored.
    pub fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field == name)
    }

    /// Whether a tensor with this name is ignored.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.iter().any(|part| !part.is_empty() && name.contains(part))
    }
}
