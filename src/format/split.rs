//! Models in several GGUF files, as `llama-gguf-split` of llama.cpp writes them: each has a share
//! of the tensors, the first one has the metadata of all. They find one another by their names,
//! `…-00001-of-00003.gguf`.

use super::cursor::Parsed;
use super::metadata::Value;
use std::path::{Path, PathBuf};

/// Keys about the parts begin with this; they say nothing of the whole.
pub(super) const KEYS: &str = "split.";

/// Which part of how many a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// From 0.
    pub number: u32,
    /// How many there are, 2 at least.
    pub count: u32,
    /// Tensors of all parts, where the file says it.
    pub tensors: Option<u32>,
}

impl Split {
    /// What a file's metadata says of it; `None` for a model in one file.
    pub(super) fn read<'a>(get: impl Fn(&str) -> Option<&'a Value>) -> Parsed<Option<Self>> {
        let number = |key: &str| match get(key) {
            None => Ok(None),
            Some(value) => value
                .as_u32()
                .map(Some)
                .ok_or_else(|| format!("{key} is {value}, which is no count; the file is damaged")),
        };
        let count = number("split.count")?.unwrap_or(0);
        if count < 2 {
            return Ok(None);
        }
        let own = number("split.no")?.unwrap_or(0);
        if own >= count {
            return Err(format!(
                "split.no is {own}, but there are {count} parts, counted from 0; the file is \
                 damaged"
            ));
        }
        Ok(Some(Self { number: own, count, tensors: number("split.tensors.count")? }))
    }

    /// The name of part `number`, if this is the path of one of the parts.
    pub(super) fn part(&self, path: &Path, number: u32) -> Parsed<PathBuf> {
        let ending = |number: u32| format!("-{:05}-of-{:05}.gguf", number + 1, self.count);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(stem) = name.strip_suffix(&ending(self.number)) else {
            return Err(format!(
                "is part {} of {} of a model, which are found by their names; give it back the \
                 one that ends in \"{}\"",
                self.number + 1,
                self.count,
                ending(self.number)
            ));
        };
        Ok(path.with_file_name(format!("{stem}{}", ending(number))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_their_names() {
        let second = Split { number: 1, count: 12, tensors: None };
        let part = |path: &str, number| second.part(Path::new(path), number);
        let path = "folder-00002-of-00012.gguf/m-00002-of-00012.gguf";
        assert_eq!(
            part(path, 11).unwrap(),
            Path::new("folder-00002-of-00012.gguf/m-00012-of-00012.gguf")
        );
        assert_eq!(part("-00002-of-00012.gguf", 0).unwrap(), Path::new("-00001-of-00012.gguf"));
        for other in
            ["m-00001-of-00012.gguf", "m-00002-of-00013.gguf", "m-2-of-12.gguf", "m.gguf", ""]
        {
            assert!(part(other, 0).unwrap_err().contains("-00002-of-00012.gguf"), "{other}");
        }
    }
}
