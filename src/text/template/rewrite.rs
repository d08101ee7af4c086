//! Translates Python's Jinja for the engine: operators and methods that differ become calls.
//!
//! The source is edited in place, token by token. Text outside tags and the order of everything
//! within tags stay the same, and so do the line numbers in errors.

use std::collections::{BTreeMap, HashSet};

use super::lexer::{self, Kind, Tag, Token, Wrong};

/// Largest number of operators, filters and the like in one chain; the engine needs one level of a
/// tree for each.
const MOST_LINKS: usize = 1000;

/// Text to insert at positions of the source, after what is closed there, and replacements of
/// tokens.
#[derive(Default)]
pub(super) struct Edits {
    closing: BTreeMap<usize, String>,
    opening: BTreeMap<usize, String>,
    instead: BTreeMap<usize, (usize, String)>,
}

impl Edits {
    /// An outer expression is recorded after its inner ones, so it closes after them and opens
    /// before them.
    pub(super) fn close(&mut self, at: usize, text: &str) {
        *self.closing.entry(at).or_default() += text;
    }

    pub(super) fn open(&mut self, at: usize, text: &str) {
        self.opening.entry(at).or_default().insert_str(0, text);
    }

    pub(super) fn replace(&mut self, token: &Token, text: impl Into<String>) {
        self.instead.insert(token.place.start, (token.place.end, text.into()));
    }

    fn apply(&self, source: &str) -> String {
        let mut places: Vec<usize> = self
            .closing
            .keys()
            .chain(self.opening.keys())
            .chain(self.instead.keys())
            .copied()
            .collect();
        places.sort_unstable();
        places.dedup();
        let (mut text, mut done) = (String::with_capacity(source.len() * 2), 0);
        for place in places {
            text += &source[done..place];
            done = place;
            for inserted in
                [self.closing.get(&place), self.opening.get(&place)].into_iter().flatten()
            {
                text += inserted;
            }
            if let Some((end, instead)) = self.instead.get(&place) {
                text += instead;
                done = *end;
            }
        }
        text + &source[done..]
    }
}

/// The template for the engine. All newlines become LF, as in Python.
pub(super) fn rewritten(source: &str) -> Result<String, Wrong> {
    let (tags, raw) = lexer::tags(source)?;
    let mut edits = Edits::default();
    // Unlike other blocks, raw blocks keep the newline after their opening tag.
    for end in raw.into_iter().filter(|end| !source[..*end].ends_with(['-', '+'])) {
        edits.open(end, "+");
    }
    let spread = super::statements::spreading_macros(&tags);
    for tag in &tags {
        let mut parser =
            Parser { tag, at: 0, depth: 0, links: 0, edits: &mut edits, spread: &spread };
        if tag.is_block {
            parser.statement()?
        } else {
            parser.tuple(true)?
        }
        parser.expect_end()?;
    }
    Ok(edits.apply(source))
}

/// Walks through the tokens of one tag by Jinja's grammar.
pub(super) struct Parser<'a, 'b> {
    pub tag: &'b Tag<'a>,
    pub at: usize,
    pub depth: usize,
    pub links: usize,
    pub edits: &'b mut Edits,
    /// Macros that accept any arguments.
    pub spread: &'b HashSet<&'a str>,
}

pub(super) type Parsed = Result<(), Wrong>;

impl<'a, 'b> Parser<'a, 'b> {
    pub(super) fn token(&self) -> Option<&'b Token<'a>> {
        self.tag.tokens.get(self.at)
    }

    pub(super) fn is_operator(&self, mark: &str) -> bool {
        matches!(self.token(), Some(Token { kind: Kind::Operator(found), .. }) if *found == mark)
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        matches!(self.token(), Some(Token { kind: Kind::Name(found), .. }) if *found == name)
    }

    pub(super) fn skip(&mut self, mark: &str) -> bool {
        let found = self.is_operator(mark) || self.is_name(mark);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, mark: &str) -> Parsed {
        if self.skip(mark) { Ok(()) } else { Err(self.unexpected(&format!(", expected {mark:?}"))) }
    }

    pub(super) fn name(&mut self) -> Result<&'a str, Wrong> {
        match self.token() {
            Some(Token { kind: Kind::Name(name), .. }) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected(", expected a name")),
        }
    }

    pub(super) fn unexpected(&self, more: &str) -> Wrong {
        match self.token() {
            Some(token) => {
                let what = match &token.kind {
                    Kind::Name(text) | Kind::Operator(text) => (*text).to_owned(),
                    Kind::Text(text) => format!("{text:?}"),
                    Kind::Number(text) => text.clone(),
                };
                Wrong::new(token.place.start, format!("unexpected {what}{more}"))
            }
            None => Wrong::new(self.tag.end, format!("unexpected end of the tag{more}")),
        }
    }

    /// Counts one more link of a chain.
    pub(super) fn link(&mut self) -> Parsed {
        self.links += 1;
        if self.links > MOST_LINKS {
            Err(Wrong::new(self.start(), "an expression has too many parts"))
        } else {
            Ok(())
        }
    }

    pub(super) fn expect_end(&self) -> Parsed {
        if self.token().is_none() { Ok(()) } else { Err(self.unexpected("")) }
    }

    /// Where the next token begins.
    pub(super) fn start(&self) -> usize {
        self.token().map_or(self.tag.end, |token| token.place.start)
    }

    /// Where the last token ended.
    pub(super) fn end(&self) -> usize {
        self.at.checked_sub(1).map_or(self.tag.end, |last| self.tag.tokens[last].place.end)
    }

    /// Wraps everything that was read since `start` in a call.
    pub(super) fn call(&mut self, start: usize, function: &str) {
        self.edits.open(start, &format!("{function}("));
        let end = self.end();
        self.edits.close(end, ")");
    }
}
