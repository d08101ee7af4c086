//! Python's `format % values`.

use minijinja::formatting::{FormatStyle, format};
use minijinja::{State, Value};

use super::python::{Done, Type, error, items, pay, repr, str};

/// One conversion: `%(key)flags width.precision letter`.
struct Conversion<'a> {
    key: Option<&'a str>,
    flags: &'a str,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

/// Largest width; larger ones are mistakes.
const WIDEST: usize = 1 << 20;

/// `format % given`.
pub(super) fn percent(state: &State, template: &str, given: &Value) -> Done<Value> {
    let is_tuple = Type::of(given) == Type::Tuple;
    let list = if is_tuple { items(given)? } else { vec![given.clone()] };
    let mut next = list.iter();
    let (mut out, mut rest, mut by_key) = (String::new(), template, false);
    while let Some(at) = rest.find('%') {
        out += &rest[..at];
        let (conversion, after) = parse(&rest[at + 1..], &mut next)?;
        rest = after;
        if conversion.letter == '%' {
            out.push('%');
            continue;
        }
        let value = match conversion.key {
            Some(key) if Type::of(given) == Type::Dict => {
                by_key = true;
                let found = given.get_item(&Value::from(key))?;
                if found.is_undefined() {
                    return Err(error(format!("%: no key {key:?}")));
                }
                found
            }
            Some(_) => return Err(error("format requires a mapping")),
            None => next
                .next()
                .cloned()
                .ok_or_else(|| error("not enough arguments for format string"))?,
        };
        pay(state, conversion.width.max(conversion.precision.unwrap_or(0)))?;
        out += &conversion.of(&value)?;
    }
    out += rest;
    let may_stay = by_key || matches!(Type::of(given), Type::Dict | Type::List);
    if next.next().is_some() && !may_stay {
        return Err(error("not all arguments converted during string formatting"));
    }
    Ok(Value::from(out))
}

fn parse<'a>(rest: &'a str, next: &mut std::slice::Iter<Value>) -> Done<(Conversion<'a>, &'a str)> {
    let (key, rest) = match rest.strip_prefix('(') {
        Some(inside) => inside
            .split_once(')')
            .map(|(key, rest)| (Some(key), rest))
            .ok_or_else(|| error("incomplete format key"))?,
        None => (None, rest),
    };
    let end = rest.find(|c| !"-+ #0".contains(c)).unwrap_or(rest.len());
    let (flags, rest) = rest.split_at(end);
    let mut number = |rest: &'a str| -> Done<(usize, &'a str)> {
        if let Some(rest) = rest.strip_prefix('*') {
            let value =
                next.next().ok_or_else(|| error("not enough arguments for format string"))?;
            let width = usize::try_from(value.clone()).map_err(|_| error("* wants int"))?;
            return Ok((width, rest));
        }
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        Ok((if digits.is_empty() { 0 } else { digits.parse().unwrap_or(usize::MAX) }, rest))
    };
    let (width, rest) = number(rest)?;
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => number(rest).map(|(precision, rest)| (Some(precision), rest))?,
        None => (None, rest),
    };
    let rest = rest.strip_prefix(['l', 'h', 'L']).unwrap_or(rest);
    let letter = rest.chars().next().ok_or_else(|| error("incomplete format"))?;
    if width.max(precision.unwrap_or(0)) > WIDEST {
        return Err(error("a width or precision of % is too large"));
    }
    Ok((Conversion { key, flags, width, precision, letter }, &rest[letter.len_utf8()..]))
}

impl Conversion<'_> {
    fn of(&self, value: &Value) -> Done<String> {
        let shown = match self.letter {
            's' => str(value)?,
            'r' | 'a' => repr(value)?,
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                return self.number(value);
            }
            'c' => match value.as_str() {
                Some(text) if text.chars().count() == 1 => text.to_owned(),
                Some(_) => return Err(error("%c requires int or char")),
                None => u32::try_from(value.clone())
                    .ok()
                    .and_then(char::from_u32)
                    .ok_or_else(|| error("%c requires int or char"))?
                    .to_string(),
            },
            other => return Err(error(format!("unsupported format character {other:?}"))),
        };
        let shown: String = match self.precision {
            Some(most) if self.letter != 'c' => shown.chars().take(most).collect(),
            _ => shown,
        };
        let fill = " ".repeat(self.width.saturating_sub(shown.chars().count()));
        Ok(if self.flags.contains('-') { shown + &fill } else { fill + &shown })
    }

    fn number(&self, value: &Value) -> Done<String> {
        let kind = Type::of(value);
        if !kind.is_number() {
            return Err(error(format!(
                "%{} format: a number is required, not {}",
                self.letter,
                kind.name()
            )));
        }
        let whole = matches!(self.letter, 'd' | 'i' | 'u' | 'x' | 'X' | 'o');
        if kind == Type::Float && matches!(self.letter, 'x' | 'X' | 'o') {
            return Err(error(format!(
                "%{} format: an integer is required, not float",
                self.letter
            )));
        }
        let number = match kind {
            Type::Float if whole => {
                let float = f64::try_from(value.clone())?;
                if !float.is_finite() {
                    return Err(error("cannot convert float to integer"));
                }
                Value::from(float.trunc() as i128)
            }
            Type::Bool => Value::from(i32::from(value.is_true())),
            _ => value.clone(),
        };
        let width = if self.width > 0 { self.width.to_string() } else { String::new() };
        let precision = self.precision.map(|precision| format!(".{precision}")).unwrap_or_default();
        let letter = if matches!(self.letter, 'i' | 'u') { 'd' } else { self.letter };
        format(
            FormatStyle::Printf,
            &format!("%{}{width}{precision}{letter}", self.flags),
            &[number],
        )
    }
}
