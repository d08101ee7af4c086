//! Handles WGSL that WebGPU accepts and naga refuses to parse: `enable subgroups;`.

use std::borrow::Cow;
use std::ops::Range;

/// The directive that naga 30 refuses; subgroups work in it without the directive.
const REFUSED: &str = "subgroups";

/// `text` in a form that naga reads, with every character in its position, and whether it enables
/// subgroups.
pub fn readable(text: &str) -> (Cow<'_, str>, bool) {
    let blanks = refused(text);
    if blanks.is_empty() {
        return (Cow::Borrowed(text), false);
    }
    let mut bytes = text.as_bytes().to_vec();
    for blank in blanks {
        bytes[blank]
            .iter_mut()
            .filter(|byte| !byte.is_ascii_whitespace())
            .for_each(|byte| *byte = b' ');
    }
    // Only whole ASCII words and punctuation became spaces.
    (Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()), true)
}

/// The ranges to remove from the directives that `text` starts with.
fn refused(text: &str) -> Vec<Range<usize>> {
    let mut found = vec![];
    let mut at = skip(text, 0);
    loop {
        let begin = at;
        let directive = word(text, at);
        if !["enable", "requires", "diagnostic"].contains(&directive) {
            return found;
        }
        let Some(end) = text[at..].find(';').map(|offset| at + offset) else { return found };
        if directive == "enable" {
            // Each name with the comma after it.
            let mut names = vec![];
            at = skip(text, at + directive.len());
            while at < end {
                let name = word(text, at);
                let after = skip(text, at + name.len());
                let comma = text[after..].starts_with(',');
                if name.is_empty() || (!comma && after != end) {
                    return found;
                }
                names.push((name, at..after + usize::from(comma)));
                at = skip(text, after + usize::from(comma));
            }
            let wanted = names.iter().filter(|(name, _)| *name != REFUSED).count();
            if wanted == 0 && !names.is_empty() {
                found.push(begin..end + 1);
                names.clear();
            }
            for (index, (_, range)) in
                names.iter().enumerate().filter(|(_, (name, _))| *name == REFUSED)
            {
                found.push(range.clone());
                // The comma before the last name goes with it.
                if index + 1 == names.len() && !text[range.clone()].ends_with(',') {
                    let before = &names[index - 1].1;
                    found.push(before.end - 1..before.end);
                }
            }
        }
        at = skip(text, end + 1);
    }
}

/// The name that starts at `at`.
fn word(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    &rest[..end]
}

/// The position after white space and comments.
fn skip(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if trimmed.starts_with("//") {
            at += trimmed.find('\n').unwrap_or(trimmed.len());
        } else if trimmed.starts_with("/*") {
            at += comment(trimmed);
        } else {
            return at;
        }
    }
}

/// Length in bytes of the comment that `text` starts with; comments nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directive_becomes_spaces() {
        for (text, expected) in [
            ("enable subgroups;\nfn f() {}", "                 \nfn f() {}"),
            ("enable f16, subgroups;", "enable f16           ;"),
            ("enable subgroups, f16;", "enable            f16;"),
            ("enable subgroups\n,;", "                \n  "),
            (
                "/* a /* b */ */ diagnostic(off, x); enable subgroups; // é",
                "/* a /* b */ */ diagnostic(off, x);                   // é",
            ),
            ("enable f16; enable /* c */ subgroups;", "enable f16;                          "),
        ] {
            assert_eq!(readable(text), (Cow::Borrowed(expected), true), "{text}");
        }
        for text in [
            "",
            "fn f() {} enable subgroups;",
            "// enable subgroups;\nfn f() {}",
            "enable f16;",
            "enable subgroups",
            "enable subgroups f16;",
            "/* enable subgroups;",
            "enable subgroups2;",
            "enable ;",
        ] {
            assert_eq!(readable(text), (Cow::Borrowed(text), false), "{text}");
        }
    }
}
