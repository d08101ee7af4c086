//! Splits a WGSL text into tokens, enough to find what a shader declares.

use std::ops::Range;

/// A word or number, or one other character, with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gpu) struct Token<'a> {
    pub text: &'a str,
    pub at: usize,
}

impl Token<'_> {
    /// The range of bytes that the token takes.
    pub fn range(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length in bytes of the space or comment that `text` starts with; 0 if it starts with a
/// token.
fn skipped(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        let (mut depth, mut at) = (1, 2);
        while depth > 0 {
            let rest = &text[at..];
            let Some(next) = rest.find("/*").into_iter().chain(rest.find("*/")).min() else {
                return text.len();
            };
            if rest[next..].starts_with("/*") {
                depth += 1;
            } else {
                depth -= 1;
            }
            at += next + 2;
        }
        return at;
    }
    text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len())
}

/// The tokens of a text, without spaces and comments.
pub(in crate::gpu) fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut at) = (vec![], 0);
    while at < text.len() {
        let rest = &text[at..];
        let skip = skipped(rest);
        if skip > 0 {
            at += skip;
            continue;
        }
        let word = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let length = if word > 0 { word } else { rest.chars().next().map_or(1, char::len_utf8) };
        tokens.push(Token { text: &rest[..length], at });
        at += length;
    }
    tokens
}

/// A declaration outside of functions.
pub(in crate::gpu) struct Declaration<'a, 't> {
    /// `fn`, `struct`, `const`, `override`, `alias` or `var`.
    pub kind: &'a str,
    pub name: Token<'a>,
    /// The tokens after the name, up to the brace or semicolon that ends it.
    pub rest: &'t [Token<'a>],
}

/// The declarations in the text of these tokens, in order.
pub(in crate::gpu) fn declarations<'a, 't>(tokens: &'t [Token<'a>]) -> Vec<Declaration<'a, 't>> {
    const KINDS: [&str; 6] = ["fn", "struct", "const", "override", "alias", "var"];
    let (mut all, mut at) = (vec![], 0);
    while at < tokens.len() {
        let kind = tokens[at].text;
        at += 1;
        if !KINDS.contains(&kind) {
            continue;
        }
        // Skip the address space of a variable.
        if tokens.get(at).is_some_and(|token| token.text == "<") {
            at += tokens[at..].iter().take_while(|token| token.text != ">").count() + 1;
        }
        let Some(&name) = tokens.get(at) else { break };
        let from = at + 1;
        let mut depth = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.text {
                "{" => depth += 1,
                "}" => depth -= 1,
                ";" => {}
                _ => continue,
            }
            if depth == 0 {
                break;
            }
        }
        all.push(Declaration { kind, name, rest: &tokens[from.min(at)..at] });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{declarations, tokens};

    #[test]
    fn declarations_are_found_wherever_a_line_ends() {
        let text = "// fn no() {}
            alias Real = f32; /* struct /* no */ No {} */ struct S { fn_: u32,
            }
            const N: u32 = 4u;
            var < private > n: u32; @group(0) @binding(1)
            var<uniform> p: S;
            @compute @workgroup_size(8) fn
            f(a: u32) -> u32 { if a > 1 { let c = 1; } return c; } fn g() {}";
        let tokens = tokens(text);
        let declared = declarations(&tokens);
        let found: Vec<_> =
            declared.iter().map(|declared| (declared.kind, declared.name.text)).collect();
        let expected = [
            ("alias", "Real"),
            ("struct", "S"),
            ("const", "N"),
            ("var", "n"),
            ("var", "p"),
            ("fn", "f"),
            ("fn", "g"),
        ];
        assert_eq!(found, expected);
        let f = &declared[5];
        let [first, .., last] = f.rest else { panic!("a function has tokens") };
        let (from, to) = (text.find("(a").unwrap(), text.find(" fn g").unwrap());
        assert_eq!(&text[first.at..last.range().end], &text[from..to]);
    }
}
