//! Messages that span several lines.

/// Begins and ends a message of several lines.
const QUOTES: &str = "\"\"\"";

/// The state of a text that may still be incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block<'a> {
    /// A text without quotes around it. Three quotes in its middle are part of the text.
    Plain(&'a str),
    /// A text that begins with three quotes that are not closed yet.
    Open,
    /// The text between three quotes at the beginning and at the end.
    Closed(&'a str),
}

impl<'a> Block<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let Some(inside) = text.trim_start().strip_prefix(QUOTES) else { return Self::Plain(text) };
        match inside.trim_end().strip_suffix(QUOTES) {
            Some(inside) => Self::Closed(without_line_ends(inside)),
            None if inside.contains(QUOTES) => Self::Plain(text),
            None => Self::Open,
        }
    }

    /// The text of a block that will not be closed.
    pub(super) fn unclosed(text: &str) -> &str {
        let text = text.trim_start();
        without_line_ends(text.strip_prefix(QUOTES).unwrap_or(text))
    }
}

/// The text without the line ends next to the quotes.
fn without_line_ends(text: &str) -> &str {
    let text = text.strip_prefix('\n').or_else(|| text.strip_prefix("\r\n")).unwrap_or(text);
    text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

/// Whether the last line continues in the next one: it ends with a backslash.
pub(super) fn goes_on(text: &str) -> bool {
    text.ends_with('\\')
}

/// The lines without their continuation backslashes.
pub(super) fn joined(text: &str) -> String {
    text.replace("\\\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_what_is_between_three_quotes() {
        let rows = [
            ("a line", Block::Plain("a line")),
            ("say \"\"\"this\"\"\"", Block::Plain("say \"\"\"this\"\"\"")),
            ("\"\"\"", Block::Open),
            ("\"\"\"\n", Block::Open),
            ("  \"\"\"one\ntwo", Block::Open),
            ("\"\"\"one\"\"\"", Block::Closed("one")),
            ("\"\"\"\"\"\"", Block::Closed("")),
            ("\"\"\"\none\n\n two\n\"\"\"\n", Block::Closed("one\n\n two")),
            ("\"\"\"\r\none\r\n\"\"\"\r\n", Block::Closed("one")),
            ("\"\"\"Help.\"\"\"\nimport os\n", Block::Plain("\"\"\"Help.\"\"\"\nimport os\n")),
        ];
        for (text, expected) in rows {
            assert_eq!(Block::of(text), expected, "{text:?}");
        }
        assert_eq!(Block::unclosed("\"\"\"\none\ntwo\n"), "one\ntwo");
    }

    #[test]
    fn backslashes_at_line_ends_go() {
        assert!(goes_on("one\\") && !goes_on("one\\ ") && !goes_on(""));
        assert_eq!(joined("one\\\ntwo \\n\\\nthree"), "one\ntwo \\n\nthree");
    }
}
