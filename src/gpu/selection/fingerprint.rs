//! Identifies the shaders of a strategy by a number, because a result for one text says nothing
//! about another.

use crate::files::Fnv;
use crate::gpu::device::device::lock;
use crate::gpu::kernel::kernel::Strategy;
use crate::gpu::kernel::shader::library;
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

/// A fingerprint of the templates of `strategies` and everything that they can include, in sixteen
/// hexadecimal digits. Sizes and formats do not change it, because they are values passed to the
/// templates.
pub fn fingerprint(strategies: &[Strategy]) -> String {
    let texts: BTreeSet<(&str, u64)> =
        strategies.iter().map(|strategy| (strategy.name, template(strategy.source))).collect();
    let mut hash = Fnv::default();
    for (name, text) in texts {
        hash.add(name.as_bytes());
        hash.add(&text.to_le_bytes());
    }
    format!("{:016x}", hash.value())
}

/// The hash of a template with its includes, cached by the address of the text.
fn template(source: &'static str) -> u64 {
    static KNOWN: Mutex<Option<HashMap<(usize, usize), u64>>> = Mutex::new(None);
    let mut known = lock(&KNOWN);
    let known = known.get_or_insert_default();
    *known.entry((source.as_ptr() as usize, source.len())).or_insert_with(|| {
        let mut hash = Fnv::default();
        let mut seen = BTreeSet::new();
        add_with_includes(&mut hash, source, &mut seen);
        hash.value()
    })
}

fn add_with_includes(hash: &mut Fnv, source: &'static str, seen: &mut BTreeSet<&'static str>) {
    hash.add(source.as_bytes());
    for line in source.lines() {
        let Some(included) = line.trim_start().strip_prefix("//% include ") else { continue };
        let literal = included.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        for (name, text) in library() {
            // An include given by a variable may be any file of the library.
            if literal.is_none_or(|literal| literal == name) && seen.insert(name) {
                add_with_includes(hash, text, seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::kernel::kernel::Needs;

    fn strategy(name: &'static str, source: &'static str) -> Strategy {
        Strategy {
            name,
            entry: "e",
            source,
            constants: vec![],
            needs: Needs::lanes(8),
            grid: [1, 1, 1],
        }
    }

    #[test]
    fn texts_and_what_they_include_count() {
        let texts = [
            "fn a() {}",
            "fn b() {}",
            "//% include \"halves\"",
            "//% include \"cubes\"",
            "//% include F",
        ];
        let all: BTreeSet<String> =
            texts.iter().map(|text| fingerprint(&[strategy("s", text)])).collect();
        assert_eq!(all.len(), texts.len());
        let (a, b) = (strategy("a", texts[0]), strategy("b", texts[1]));
        assert_eq!(fingerprint(&[a.clone(), b.clone()]), fingerprint(&[b.clone(), a.clone()]));
        assert_ne!(fingerprint(std::slice::from_ref(&a)), fingerprint(&[a, b]));
    }
}
