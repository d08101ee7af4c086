//! The statements of Jinja, and which parts of a block are expressions.

use std::collections::HashSet;

use super::lexer::{Kind, Tag, Token, Wrong};
use super::rewrite::Parser;

impl Parser<'_, '_> {
    /// A block, by its keyword. Blocks without expressions are left to the engine.
    pub(super) fn statement(&mut self) -> Result<(), Wrong> {
        let Some(token) = self.token() else { return Err(self.unexpected("")) };
        match self.name()? {
            "if" | "elif" => self.tuple(false),
            "for" => self.for_loop(),
            "set" => self.assignment(),
            "with" => self.with(),
            "macro" => self.macro_head(),
            "call" => {
                if self.is_operator("(") {
                    self.parameters()?;
                }
                self.expression()
            }
            "filter" => self.filter_chain(),
            "autoescape" => self.expression(),
            // It marks the text that a model learns; for rendering, the block is transparent.
            "generation" => {
                self.edits.replace(token, "with");
                Ok(())
            }
            "endgeneration" => {
                self.edits.replace(token, "endwith");
                Ok(())
            }
            "block" | "endblock" => {
                self.at = self.tag.tokens.len();
                Ok(())
            }
            "else" | "endif" | "endfor" | "endset" | "endwith" | "endmacro" | "endcall"
            | "endfilter" | "endautoescape" | "break" | "continue" => Ok(()),
            "extends" | "include" | "import" | "from" => Err(Wrong::new(
                token.place.start,
                "a chat template is one file; it cannot take in others",
            )),
            other => Err(Wrong::new(token.place.start, format!("unknown statement {other}"))),
        }
    }

    fn for_loop(&mut self) -> Result<(), Wrong> {
        while self.token().is_some() && !self.is_name("in") {
            self.at += 1;
        }
        self.expect("in")?;
        let start = self.start();
        self.tuple(false)?;
        self.call(start, "__iterate");
        if self.skip("if") {
            self.expression()?;
        }
        self.skip("recursive");
        Ok(())
    }

    fn assignment(&mut self) -> Result<(), Wrong> {
        while self.token().is_some() && !self.is_operator("=") && !self.is_operator("|") {
            self.at += 1;
        }
        let is_field =
            self.tag.tokens[..self.at].iter().any(|token| token.kind == Kind::Operator("."));
        if self.skip("=") {
            let start = self.start();
            self.tuple(true)?;
            self.call(start, if is_field { "__field" } else { "__bounded" });
            return Ok(());
        }
        if self.skip("|") { self.filter_chain() } else { Ok(()) }
    }

    fn filter_chain(&mut self) -> Result<(), Wrong> {
        loop {
            self.filter()?;
            if !self.skip("|") {
                return Ok(());
            }
        }
    }

    fn with(&mut self) -> Result<(), Wrong> {
        while self.token().is_some() {
            while self.token().is_some() && !self.is_operator("=") {
                self.at += 1;
            }
            self.expect("=")?;
            self.expression()?;
            if self.token().is_some() {
                self.expect(",")?;
            }
        }
        Ok(())
    }

    fn macro_head(&mut self) -> Result<(), Wrong> {
        let name = self.name()?;
        self.parameters()?;
        if self.spread.contains(name) {
            let at = self.at - 1;
            let first = matches!(self.tag.tokens[at - 1].kind, Kind::Operator("(" | ","));
            let separator = if first { "" } else { ", " };
            self.edits
                .replace(&self.tag.tokens[at], format!("{separator}varargs=(), kwargs={{}})"));
        }
        Ok(())
    }

    fn parameters(&mut self) -> Result<(), Wrong> {
        self.expect("(")?;
        while !self.skip(")") {
            self.name()?;
            if self.skip("=") {
                self.expression()?;
            }
            if !self.is_operator(")") {
                self.expect(",")?;
            }
        }
        Ok(())
    }
}

/// The macros whose bodies use `varargs` or `kwargs`, and which therefore accept any arguments.
pub(super) fn spreading_macros<'a>(tags: &[Tag<'a>]) -> HashSet<&'a str> {
    let mut found = HashSet::new();
    // The macros that are open at this point.
    let mut open: Vec<&'a str> = vec![];
    for tag in tags {
        match (tag.keyword(), tag.tokens.get(1).map(|token| &token.kind)) {
            (Some("macro"), Some(Kind::Name(name))) => open.push(name),
            (Some("endmacro"), _) => {
                open.pop();
            }
            _ => {
                let is_named =
                    |token: &Token| matches!(token.kind, Kind::Name("varargs" | "kwargs"));
                if let (Some(name), true) = (open.last(), tag.tokens.iter().any(is_named)) {
                    found.insert(*name);
                }
            }
        }
    }
    found
}
