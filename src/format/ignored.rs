//! What is let pass in a model's files by request, although it may change the result.

use serde::{Deserialize, Serialize};

/// Names of fields and of tensors that are not known, or not supported, and are not to be asked
/// about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ignored {
    /// Fields of `config.json`, such as `rope_scaling.factor`, or keys of a GGUF file.
    pub fields: Vec<String>,
    /// Parts of names of tensors, as the file has them or as GGUF calls them.
    pub tensors: Vec<String>,
}

impl Ignored {
    /// Whether a field of this name is let pass.
    pub fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field == name)
    }

    /// Whether a tensor of this name is let pass.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.iter().any(|part| !part.is_empty() && name.contains(part))
    }
}
