//! Names of models on the hub.

use std::fmt;

/// The default revision.
pub(super) const MAIN: &str = "main";

/// A model on the hub: `owner/name`, or `owner/name/file.gguf` for one of several files. A branch,
/// tag or commit follows as in `owner/name@revision` and `owner/name@revision/file.gguf`.
///
/// Before a file, a slash within a revision is written as `%2F`, unless the revision is one of the
/// hub's own, such as `refs/pr/1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    pub(super) repository: String,
    pub(super) revision: Option<String>,
    pub(super) file: Option<String>,
}

/// Whether this is a path component that does not lead to another folder.
fn plain(part: &str) -> bool {
    let mut letters = part.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && letters.all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !part.contains("..")
}

/// Whether this can be the name of a revision, which becomes part of addresses and paths.
fn is_revision(text: &str) -> bool {
    let plain = |part: &str| {
        let letters = part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
        letters && !part.is_empty() && !part.starts_with(['.', '-']) && !part.contains("..")
    };
    text.split('/').all(plain)
}

/// Parses what follows an `@`: the revision, and a file if there is one.
fn revision_and_file(text: &str) -> Option<(String, Option<&str>)> {
    if !text.ends_with(".gguf") || !text.contains('/') {
        return Some((text.replace("%2F", "/"), None));
    }
    let own = ["refs/pr/", "refs/convert/"]
        .into_iter()
        .find(|own| text.starts_with(own))
        .map_or(0, str::len);
    let (revision, file) = text.split_at(own + text[own..].find('/')?);
    Some((revision.replace("%2F", "/"), Some(&file[1..])))
}

impl ModelName {
    /// Parses a name; `None` if the text is not the name of a model.
    pub fn parse(text: &str) -> Option<Self> {
        let (owner, rest) = text.split_once('/')?;
        let at = rest.find('@').filter(|&at| !rest[..at].contains('/'));
        let (name, revision, file) = match at {
            Some(at) => {
                let (revision, file) = revision_and_file(&rest[at + 1..])?;
                (&rest[..at], Some(revision), file)
            }
            None => {
                let parts = rest.split_once('/');
                parts.map_or((rest, None, None), |(name, file)| (name, None, Some(file)))
            }
        };
        let is_file = match file {
            Some(file) => file.ends_with(".gguf") && file.split('/').all(plain),
            None => !name.ends_with(".gguf"),
        };
        let sound =
            plain(owner) && plain(name) && is_file && revision.as_deref().is_none_or(is_revision);
        let repository = format!("{owner}/{name}");
        sound.then(|| Self { repository, revision, file: file.map(str::to_owned) })
    }

    /// This model at another revision; `None` if `revision` is not valid, or the name already has
    /// one.
    pub fn at(mut self, revision: &str) -> Option<Self> {
        let fits =
            is_revision(revision) && self.revision.as_deref().is_none_or(|own| own == revision);
        self.revision = Some(revision.to_owned());
        fits.then_some(self)
    }

    /// The branch, tag or commit; `main` by default.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }
}

/// The names of all files of a model that is stored in several (`…-00001-of-00003.gguf`), given one
/// of them; that file comes first.
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
        let revision = self.revision();
        match &self.file {
            None if revision == MAIN => Ok(()),
            None => write!(f, "@{revision}"),
            Some(file) if revision == MAIN => write!(f, "/{file}"),
            Some(file) => {
                let own =
                    ["refs/pr/", "refs/convert/"].iter().find_map(|own| revision.strip_prefix(own));
                if own.is_some_and(|rest| !rest.contains('/')) {
                    write!(f, "@{revision}/{file}")
                } else {
                    write!(f, "@{}/{file}", revision.replace('/', "%2F"))
                }
            }
        }
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
        let names = [
            "owner/name",
            "Owner-1/name_2.5",
            "owner/name/file.gguf",
            "o/n/sub/file.q4.gguf",
            "owner/name@v1.0",
            "owner/name@v1/file.gguf",
            "owner/name@v1/sub/file.gguf",
            "owner/name@feature/x",
            "owner/name@feature%2Fx/file.gguf",
            "owner/name@refs/pr/1/file.gguf",
            "owner/name@0123456789abcdef0123456789abcdef01234567",
        ];
        for text in names {
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
            "owner/name@",
            "owner/name@../x",
            "owner/name@a/../../x",
            "owner/name@a%2F../x.gguf",
            "owner/name@-x",
            "owner/name@v1/",
            "owner/name@v1//x.gguf",
            "owner@v1/name",
            "@v1/name",
            "owner/@v1",
            "owner/name/sub@v1/file.gguf",
        ];
        for text in paths {
            assert_eq!(ModelName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_revision_is_kept_apart_from_the_file() {
        let rows = [
            ("o/n", "main", None),
            ("o/n@main", "main", None),
            ("o/n@v1/f.gguf", "v1", Some("f.gguf")),
            ("o/n@refs/pr/1/s/f.gguf", "refs/pr/1", Some("s/f.gguf")),
            ("o/n@a%2Fb/f.gguf", "a/b", Some("f.gguf")),
            ("o/n@x.gguf", "x.gguf", None),
        ];
        for (text, revision, file) in rows {
            let name = ModelName::parse(text).unwrap();
            assert_eq!((name.revision(), name.file.as_deref()), (revision, file), "{text}");
        }
        let name = ModelName::parse("o/n/f.gguf").unwrap();
        assert_eq!(name.clone().at("a/b").unwrap().to_string(), "o/n@a%2Fb/f.gguf");
        assert_eq!(name.clone().at("../b"), None);
        assert_eq!(name.at("v1").unwrap().at("v2"), None);
    }
}
