//! The name of a model.

use std::fmt;

/// `owner/name`, or `owner/name/file.gguf` for one file of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    pub(super) repository: String,
    pub(super) file: Option<String>,
}

impl ModelName {
    /// Reads a name; `None` where the text is no name of a model.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |part: &str| {
            let mut letters = part.chars();
            letters.next().is_some_and(|c| c.is_ascii_alphanumeric())
                && letters.all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && !part.contains("..")
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (owner, rest) = parts.split_first()?;
        let (name, file) = rest.split_first()?;
        let is_file = file.is_empty() || text.ends_with(".gguf");
        if !parts.iter().all(|part| plain(part)) || !is_file || (file.is_empty() && name.ends_with(".gguf")) {
            return None;
        }
        let file = (!file.is_empty()).then(|| file.join("/"));
        Some(Self { repository: format!("{owner}/{name}"), file })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.file.iter().try_for_each(|file| write!(f, "/{file}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        for text in ["owner/name", "Owner-1/name_2.5", "owner/name/file.gguf", "o/n/sub/file.q4.gguf"] {
            assert_eq!(ModelName::parse(text).map(|name| name.to_string()).as_deref(), Some(text));
        }
        let paths = [
            "",
            "name",
            "/etc/passwd",
            "./owner/name",
            "../name",
            "owner/../name",
            "owner/name/",
            "models/x.gguf",
            "owner/name/config.json",
            "owner/na me",
            "a//b",
            "owner/..",
            "owner/name/../file.gguf",
        ];
        for text in paths {
            assert_eq!(ModelName::parse(text), None, "{text}");
        }
    }
}
