//! The expressions of Jinja's grammar, and which of them are rewritten as calls.

use super::lexer::{Kind, Token, Wrong};
use super::rewrite::{Parsed, Parser};
use super::{literals, methods};

/// Deepest nesting of expressions, which bounds the use of the stack.
const DEEPEST: usize = 100;

impl Parser<'_, '_> {
    /// Expressions separated by commas: a tuple without parentheses.
    pub(super) fn tuple(&mut self, with_condition: bool) -> Parsed {
        let start = self.start();
        let mut is_tuple = false;
        loop {
            if with_condition {
                self.expression()?
            } else {
                self.either()?
            }
            if !self.skip(",") {
                break;
            }
            is_tuple = true;
            if self.token().is_none() || self.is_name("in") {
                break;
            }
        }
        if is_tuple {
            self.call(start, "");
        }
        Ok(())
    }

    pub(super) fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Wrong::new(self.start(), "an expression is nested too deeply"));
        }
        self.either()?;
        while self.skip("if") {
            self.either()?;
            if self.skip("else") {
                self.expression()?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// An expression that is not followed by a condition.
    pub(super) fn either(&mut self) -> Parsed {
        loop {
            loop {
                while self.skip("not") {
                    self.link()?;
                }
                self.comparison()?;
                if !self.skip("and") {
                    break;
                }
                self.link()?;
            }
            if !self.skip("or") {
                return Ok(());
            }
            self.link()?;
        }
    }

    fn comparison(&mut self) -> Parsed {
        let start = self.start();
        self.sum()?;
        let mut marks = vec![];
        loop {
            let at = self.at;
            let function = match self.token().map(|token| &token.kind) {
                Some(Kind::Operator("<")) => "__lt",
                Some(Kind::Operator("<=")) => "__le",
                Some(Kind::Operator(">")) => "__gt",
                Some(Kind::Operator(">=")) => "__ge",
                Some(Kind::Operator("==")) => "__eq",
                Some(Kind::Operator("!=")) => "__ne",
                Some(Kind::Name("in")) => "__in",
                Some(Kind::Name("not")) => {
                    self.at += 1;
                    if !self.is_name("in") {
                        return Err(self.unexpected(", expected \"in\""));
                    }
                    "__not_in"
                }
                _ => break,
            };
            self.at += 1;
            self.link()?;
            marks.push((function, at..self.at));
            self.sum()?;
        }
        // Each expression of a chained comparison is evaluated once, which the engine's own chain
        // does.
        if let [(function, tokens)] = &marks[..] {
            self.call(start, function);
            for (index, token) in self.tag.tokens[tokens.clone()].iter().enumerate() {
                self.edits.replace(token, if index == 0 { "," } else { " " });
            }
        }
        Ok(())
    }

    fn sum(&mut self) -> Parsed {
        let start = self.start();
        self.concatenation()?;
        // A sum of many terms becomes one call, so that it does not nest.
        let mut adds = false;
        while let Some(token) = self.token() {
            let is_sum = self.is_operator("+");
            if !is_sum && !self.is_operator("-") {
                break;
            }
            if is_sum {
                self.edits.replace(token, ",");
            } else {
                self.link()?;
                if adds {
                    self.call(start, "__add");
                }
            }
            self.at += 1;
            self.concatenation()?;
            adds = is_sum;
        }
        if adds {
            self.call(start, "__add");
        }
        Ok(())
    }

    fn concatenation(&mut self) -> Parsed {
        let (start, mut several) = (self.start(), false);
        loop {
            self.product()?;
            let Some(token) = self.token().filter(|_| self.is_operator("~")) else { break };
            self.edits.replace(token, ",");
            self.at += 1;
            several = true;
        }
        if several {
            self.call(start, "__concat");
        }
        Ok(())
    }

    fn product(&mut self) -> Parsed {
        let start = self.start();
        self.power()?;
        while let Some(token) = self.token() {
            if self.skip("%") {
                self.link()?;
                self.edits.replace(token, ",");
                self.power()?;
                self.call(start, "__mod");
            } else if self.skip("*") || self.skip("/") || self.skip("//") {
                self.link()?;
                self.power()?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn power(&mut self) -> Parsed {
        self.unary(true)?;
        while self.skip("**") {
            self.link()?;
            self.unary(true)?;
        }
        Ok(())
    }

    fn unary(&mut self, with_filters: bool) -> Parsed {
        let start = self.start();
        while let Some(token) = self.token() {
            if self.skip("+") {
                self.edits.replace(token, " ");
            } else if !self.skip("-") {
                break;
            }
            self.link()?;
        }
        let operand = self.start();
        self.primary()?;
        self.postfix(operand)?;
        if with_filters { self.filters(start) } else { Ok(()) }
    }

    pub(super) fn primary(&mut self) -> Parsed {
        let Some(token) = self.token() else { return Err(self.unexpected("")) };
        match &token.kind {
            Kind::Name(_) => self.at += 1,
            Kind::Number(number) => {
                self.edits.replace(token, number);
                self.at += 1;
            }
            Kind::Text(_) => {
                while let Some(token @ Token { kind: Kind::Text(text), .. }) = self.token() {
                    self.edits.replace(token, literals::quoted(text));
                    self.at += 1;
                }
            }
            Kind::Operator("(") => self.list(")", false)?,
            Kind::Operator("[") => self.list("]", false)?,
            Kind::Operator("{") => self.list("}", true)?,
            Kind::Operator(_) => return Err(self.unexpected("")),
        }
        Ok(())
    }

    /// The elements between brackets.
    fn list(&mut self, close: &str, pairs: bool) -> Parsed {
        self.at += 1;
        while !self.skip(close) {
            self.expression()?;
            if pairs {
                self.expect(":")?;
                self.expression()?;
            }
            if !self.is_operator(close) {
                self.expect(",")?;
            }
        }
        Ok(())
    }

    /// Attributes, items and calls that follow the expression that began at `start`.
    pub(super) fn postfix(&mut self, start: usize) -> Parsed {
        let first = self.at - 1;
        while let Some(token) = self.token() {
            if self.skip(".") {
                self.link()?;
                let named = self.token();
                if matches!(named, Some(Token { kind: Kind::Number(_), .. })) {
                    self.at += 1;
                    continue;
                }
                let name = self.name()?;
                let Some(named) = named.filter(|_| methods::NAMES.contains(&name)) else {
                    continue;
                };
                self.edits.replace(named, format!("{name:?}"));
                self.edits.replace(token, ",");
                if self.is_operator("(") {
                    self.edits.open(start, "__call(");
                    self.arguments_of(",")?;
                } else {
                    self.call(start, "__attribute");
                }
            } else if self.is_operator("[") {
                self.link()?;
                self.subscript(start)?;
            } else if self.is_operator("(") {
                self.link()?;
                match &self.tag.tokens[first].kind {
                    Kind::Name(name) if self.at == first + 1 && self.spread.contains(name) => {
                        self.edits.open(start, "__spread(");
                        self.arguments_of(",")?;
                    }
                    _ => self.arguments()?,
                }
            } else {
                break;
            }
        }
        Ok(())
    }

    /// An item becomes a call; a slice stays as it is.
    fn subscript(&mut self, start: usize) -> Parsed {
        let open = self.at;
        self.at += 1;
        let mut is_slice = false;
        while !self.is_operator("]") {
            if self.skip(":") {
                is_slice = true;
            } else {
                self.expression()?;
                if !self.is_operator(":") && !self.is_operator("]") {
                    return Err(self.unexpected(""));
                }
            }
        }
        self.at += 1;
        if !is_slice {
            let [open, close] = [open, self.at - 1].map(|at| &self.tag.tokens[at]);
            self.edits.open(start, "__item(");
            self.edits.replace(open, ",");
            self.edits.replace(close, ")");
        }
        Ok(())
    }

    /// The arguments of a call, whose opening bracket is replaced by `instead`.
    fn arguments_of(&mut self, instead: &str) -> Parsed {
        if let Some(token) = self.token() {
            self.edits.replace(token, instead);
        }
        self.arguments()
    }

    pub(super) fn arguments(&mut self) -> Parsed {
        self.expect("(")?;
        while !self.skip(")") {
            if !self.skip("**") && !self.skip("*") {
                let is_named = matches!(self.token(), Some(Token { kind: Kind::Name(_), .. }))
                    && matches!(
                        self.tag.tokens.get(self.at + 1),
                        Some(Token { kind: Kind::Operator("="), .. })
                    );
                self.at += if is_named { 2 } else { 0 };
            }
            self.expression()?;
            if !self.is_operator(")") {
                self.expect(",")?;
            }
        }
        Ok(())
    }

    /// Filters and tests that follow an expression.
    pub(super) fn filters(&mut self, start: usize) -> Parsed {
        loop {
            if self.skip("|") {
                self.link()?;
                self.filter()?;
            } else if self.skip("is") {
                self.link()?;
                self.skip("not");
                self.name()?;
                self.test_argument()?;
            } else if self.is_operator("(") {
                self.arguments_of(",")?;
                self.edits.open(start, "__apply(");
            } else {
                return Ok(());
            }
        }
    }

    /// The name of a filter, and its arguments.
    pub(super) fn filter(&mut self) -> Parsed {
        self.name()?;
        if self.is_operator("(") { self.arguments() } else { Ok(()) }
    }

    fn test_argument(&mut self) -> Parsed {
        let starts = match self.token().map(|token| &token.kind) {
            Some(Kind::Name(name)) => {
                if *name == "is" {
                    return Err(self.unexpected(": tests cannot be chained"));
                }
                !matches!(*name, "else" | "or" | "and")
            }
            Some(Kind::Operator("(")) => return self.arguments(),
            Some(Kind::Operator(mark)) => matches!(*mark, "[" | "{"),
            Some(_) => true,
            None => false,
        };
        if starts {
            let start = self.start();
            self.primary()?;
            self.postfix(start)?;
        }
        Ok(())
    }
}
