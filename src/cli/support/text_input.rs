//! Texts as people give them: an argument, standard input, a file, or a line of a file each.

use crate::cli::support::failure::{usage, within};
use crate::{Error, Result};
use clap::Args;
use std::io::Read;
use std::path::Path;

const STDIN: &str = "standard input";

/// How a text is taken.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(in crate::cli) struct Reading {
    /// Take \n, \t, \r, \\, \', \", \0, \x41 and \u{e9} in the text for the characters that they
    /// name
    #[arg(short = 'e', long)]
    pub escapes: bool,
    /// Keep the newline at the end of standard input or a file; without this, the last one is no
    /// part of the text
    #[arg(long)]
    keep_newline: bool,
}

impl Reading {
    /// A text argument; `-` stands for standard input.
    pub(in crate::cli) fn argument(self, text: &str) -> Result<String> {
        if text == "-" { self.file(Path::new("-")) } else { self.unescaped(text) }
    }

    /// The text of a file; `-` is standard input.
    pub(in crate::cli) fn file(self, path: &Path) -> Result<String> {
        let text = whole(path)?;
        self.unescaped(if self.keep_newline { &text } else { without_newline(&text) })
    }

    /// The lines of a file, each a text; `-` is standard input.
    pub(in crate::cli) fn lines(self, path: &Path) -> Result<Vec<String>> {
        let lines = whole(path)?;
        let line = |(at, line)| self.unescaped(line).map_err(|error| at_line(path, at, error));
        lines.lines().enumerate().map(line).collect()
    }

    /// The text with its escapes read, if they are to be.
    pub(in crate::cli) fn unescaped(self, text: &str) -> Result<String> {
        if self.escapes { unescape(text) } else { Ok(text.to_owned()) }
    }
}

/// All of a file as it is, but for a byte-order mark; `-` is standard input.
pub(in crate::cli) fn whole(path: &Path) -> Result<String> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = vec![];
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(Error::io("read", STDIN))?;
        bytes
    } else {
        std::fs::read(path).map_err(Error::io("read", path))?
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(usage(format!("{} is UTF-16; save it as UTF-8", name(path))));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        usage(format!("{} is not UTF-8 (byte {at}); give a text file", name(path)))
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}

/// What some editors put before a text; it is no part of it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a file is called in messages.
pub(in crate::cli) fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { STDIN.into() } else { path.display().to_string() }
}

/// Says in which line of a file something is wrong; lines count from 0 here and from 1 for people.
pub(in crate::cli) fn at_line(path: &Path, line: usize, error: Error) -> Error {
    within(&format!("{}, line {}", name(path), line + 1), &error)
}

fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Reads the escapes that C and Rust have in common, and those of code points.
fn unescape(text: &str) -> Result<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        let simple = match after.next() {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some('0') => Some('\0'),
            Some(same @ ('\\' | '\'' | '"')) => Some(same),
            _ => None,
        };
        let (c, bytes) = match simple {
            Some(c) => (c, 2),
            None => code_point(&rest[at..]).ok_or_else(|| no_escape(&rest[at..]))?,
        };
        plain.push(c);
        rest = &rest[at + bytes..];
    }
    plain.push_str(rest);
    Ok(plain)
}

/// The character of `\x41`, `\u00e9` or `\u{e9}` at the beginning, and the bytes that this takes.
fn code_point(text: &str) -> Option<(char, usize)> {
    let (digits, bytes) = if let Some(rest) = text.strip_prefix("\\u{") {
        let digits = &rest[..rest.find('}')?];
        (digits, digits.len() + 4)
    } else if text.starts_with("\\u") {
        (text.get(2..6)?, 6)
    } else {
        (text.strip_prefix("\\x")?.get(..2)?, 4)
    };
    let hexadecimal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = hexadecimal.then(|| u32::from_str_radix(digits, 16).ok()).flatten()?;
    // Two digits name a byte, which is a character of its own only in ASCII.
    let alone = bytes != 4 || text.starts_with("\\u{") || code < 0x80;
    alone.then(|| char::from_u32(code)).flatten().map(|c| (c, bytes))
}

fn no_escape(text: &str) -> Error {
    let start: String = text.chars().take(4).collect();
    usage(format!(
        "{start:?} begins with no escape that --escapes knows: \\n \\t \\r \\0 \\\\ \\' \\\" \\x41 \\u{{e9}}; \
         \\\\ is a backslash"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_the_characters_they_name() {
        let rows = [
            ("", ""),
            ("plain é", "plain é"),
            (r"a\nb\tc\r\0", "a\nb\tc\r\0"),
            (r#"\\n \' \""#, r#"\n ' ""#),
            (r"\x41\u{e9}\u00e9\u{1F642}é", "Aéé🙂é"),
        ];
        for (written, meant) in rows {
            assert_eq!(unescape(written).unwrap(), meant, "{written}");
        }
        let wrong = [
            r"\q",
            "\\",
            r"\x4",
            r"\xe9",
            r"\x4g",
            r"\u{}",
            r"\u{d800}",
            r"\u{110000}",
            r"\u12",
            r"\u{e9",
            r"\x+1",
            r"\é",
        ];
        for written in wrong {
            let message = unescape(written).unwrap_err().to_string();
            assert!(message.contains("--escapes"), "{written}: {message}");
        }
    }

    #[test]
    fn one_newline_goes_from_the_end() {
        for (read, taken) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("\n", ""), ("", "")]
        {
            assert_eq!(without_newline(read), taken, "{read:?}");
        }
    }
}
