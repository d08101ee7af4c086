//! A template in pieces: text, comments, and the tokens of `{{ … }}` and `{% … %}`.

use std::ops::Range;

use super::literals;

/// What is wrong with a template, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub at: usize,
    pub what: String,
}

impl Wrong {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// What a token is.
#[derive(Debug, PartialEq)]
pub(super) enum Kind<'a> {
    Name(&'a str),
    Operator(&'a str),
    /// The text of a string, its escapes read.
    Text(String),
    /// The number as the engine reads it.
    Number(String),
}

/// A token with its place in the source.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind<'a>,
    pub place: Range<usize>,
}

/// The tokens of one `{{ … }}` or `{% … %}`.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    pub is_block: bool,
    pub tokens: Vec<Token<'a>>,
    /// Where the closing mark begins.
    pub end: usize,
}

impl<'a> Tag<'a> {
    /// The word a block begins with.
    pub(super) fn keyword(&self) -> Option<&'a str> {
        match self.tokens.first().map(|token| &token.kind) {
            Some(Kind::Name(name)) if self.is_block => Some(name),
            _ => None,
        }
    }
}

const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", ".", ",", ":", "|", "=", ">",
    "<", "(", ")", "[", "]", "{", "}",
];

/// All tags of a template, and where the first tags of raw blocks end. Comments and raw blocks hold
/// no tags.
pub(super) fn tags(source: &str) -> Result<(Vec<Tag<'_>>, Vec<usize>), Wrong> {
    let (mut found, mut raw) = (vec![], vec![]);
    let mut at = 0;
    while let Some(start) = next_mark(source, at) {
        let inside = start + 2;
        at = match source.as_bytes()[start + 1] {
            b'#' => match source[inside..].find("#}") {
                Some(end) => inside + end + 2,
                None => return Err(Wrong::new(start, "a comment without an end")),
            },
            b'%' => match raw_block(source, inside) {
                Some((begun, end)) => {
                    raw.push(begun - 2);
                    end.ok_or_else(|| Wrong::new(start, "raw without endraw"))?
                }
                None => tag(source, start, "%}", &mut found)?,
            },
            _ => tag(source, start, "}}", &mut found)?,
        };
    }
    Ok((found, raw))
}

fn next_mark(source: &str, from: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    (from..bytes.len().saturating_sub(1))
        .find(|&i| bytes[i] == b'{' && matches!(bytes[i + 1], b'{' | b'%' | b'#'))
}

/// The end of `word` with its closing mark, where it is all that a block holds.
fn only_word(source: &str, at: usize, word: &str) -> Option<usize> {
    let rest = &source[at..];
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix(word)?.trim_start();
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(source.len() - rest.len())
}

/// Where the first tag of a raw block ends, if one begins here, and where the last does, if there
/// is one.
fn raw_block(source: &str, at: usize) -> Option<(usize, Option<usize>)> {
    let begun = only_word(source, at, "raw")?;
    let mut at = begun;
    let end = loop {
        let Some(mark) = source[at..].find("{%") else { break None };
        at += mark + 2;
        if let Some(end) = only_word(source, at, "endraw") {
            break Some(end);
        }
    };
    Some((begun, end))
}

/// Reads the tag that begins at `start`, and gives the place behind its end.
fn tag<'a>(
    source: &'a str,
    start: usize,
    close: &str,
    found: &mut Vec<Tag<'a>>,
) -> Result<usize, Wrong> {
    let bytes = source.as_bytes();
    let mut at = start + 2;
    if matches!(bytes.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    let (mut tokens, mut open) = (vec![], vec![]);
    loop {
        let rest = &source[at..];
        let Some(first) = rest.chars().next() else {
            return Err(Wrong::new(start, format!("no {close} behind this")));
        };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if open.is_empty() {
            let signed =
                rest.strip_prefix(if close == "%}" { &['-', '+'][..] } else { &['-'][..] });
            let end = if rest.starts_with(close) {
                Some(at)
            } else {
                signed.filter(|r| r.starts_with(close)).map(|_| at)
            };
            if let Some(end) = end {
                let length = if rest.starts_with(close) { 2 } else { 3 };
                found.push(Tag { is_block: close == "%}", tokens, end });
                return Ok(at + length);
            }
        }
        let (kind, length) = token(rest, tokens.last()).map_err(|what| Wrong::new(at, what))?;
        if let Kind::Operator(mark) = kind {
            match mark {
                "(" => open.push(")"),
                "[" => open.push("]"),
                "{" => open.push("}"),
                ")" | "]" | "}" if open.pop() != Some(mark) => {
                    return Err(Wrong::new(at, format!("unexpected {mark}")));
                }
                _ => {}
            }
        }
        tokens.push(Token { kind, place: at..at + length });
        at += length;
    }
}

fn token<'a>(rest: &'a str, before: Option<&Token>) -> Result<(Kind<'a>, usize), String> {
    let first = rest.as_bytes()[0];
    if first == b'"' || first == b'\'' {
        let (text, length) = literals::string(rest)?;
        return Ok((Kind::Text(text), length));
    }
    if first.is_ascii_digit() {
        let after_dot = matches!(before, Some(Token { kind: Kind::Operator("."), .. }));
        let (number, length) = literals::number(rest, after_dot)?;
        return Ok((Kind::Number(number), length));
    }
    if first == b'_' || first.is_ascii_alphabetic() {
        let length =
            rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        return Ok((Kind::Name(&rest[..length]), length));
    }
    match OPERATORS.iter().find(|mark| rest.starts_with(**mark)) {
        Some(mark) => Ok((Kind::Operator(mark), mark.len())),
        None => Err(format!("unexpected character {:?}", rest.chars().next().unwrap_or_default())),
    }
}
