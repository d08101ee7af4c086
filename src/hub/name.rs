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

/// The files that belong to one of this name, itself first: all parts of a model in several, `…-00001-of-00003.gguf`.
pub(super) fn parts_of(file: &str) -> Vec<String> {
    fn number(digits: &str) -> Option<u32> {
        let is_number = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|&number| is_number && number > 0)
    }
    let others = || {
        let (rest, count) = file.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, own) = rest.rsplit_once('-')?;
        let (own, last) = (number(own)?, number(count)?);
        let other = |part| format!("{stem}-{part:05}-of-{count}.gguf");
        Some((1..=last).filter(|part| *part != own).map(other).collect::<Vec<_>>())
    };
    [vec![file.to_owned()], others().unwrap_or_default()].concat()
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
    fn a_part_of_a_model_brings_the_others() {
        let parts = parts_of("q4/m-00002-of-00003.gguf");
        assert_eq!(
            parts,
            ["q4/m-00002-of-00003.gguf", "q4/m-00001-of-00003.gguf", "q4/m-00003-of-00003.gguf"]
        );
        for file in [
            "m.gguf",
            "m-00001-of-00001.gguf",
            "m-1-of-3.gguf",
            "m-0000x-of-00003.gguf",
            "m-00001-of-00003.bin",
        ] {
            assert_eq!(parts_of(file), [file]);
        }
    }

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
