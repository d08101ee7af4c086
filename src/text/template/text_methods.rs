//! Methods of Python's `str`.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::Tuple;
use minijinja::{State, Value};

use super::args::Arguments;
use super::methods::place;
use super::python::{Done, Type, error, items, pay, str, text};

/// Whether Python's `str` treats a character as white space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Calls `text.name(arguments)`.
pub(super) fn call(state: &State, value: &str, name: &str, arguments: &[Value]) -> Done<Value> {
    let none = || Arguments::of("the method", arguments, &[]);
    let all = |test: fn(char) -> bool| {
        none().map(|_| Value::from(!value.is_empty() && value.chars().all(test)))
    };
    let made = |made: String| none().map(|_| Value::from(made));
    match name {
        "upper" => made(value.to_uppercase()),
        "lower" | "casefold" => made(if name == "lower" {
            value.to_lowercase()
        } else {
            value.replace('ß', "ss").to_lowercase()
        }),
        "swapcase" => made(value.chars().map(swapped).collect()),
        "capitalize" => made(capitalized(value)),
        "title" => made(titled(value)),
        "isspace" => all(is_space),
        "isalpha" => all(char::is_alphabetic),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(|c| is_decimal(c) || is_raised(c)),
        "isnumeric" => all(char::is_numeric),
        "isalnum" => all(char::is_alphanumeric),
        "isascii" => none().map(|_| Value::from(value.is_ascii())),
        "isprintable" => none().map(|_| {
            Value::from(value.chars().all(|c| c == ' ' || !(c.is_control() || c.is_whitespace())))
        }),
        "isidentifier" => {
            let mut rest = value.chars();
            let starts = rest.next().is_some_and(|c| c == '_' || c.is_alphabetic());
            none().map(|_| Value::from(starts && rest.all(|c| c == '_' || c.is_alphanumeric())))
        }
        "islower" => {
            none().map(|_| Value::from(has_case(value, char::is_lowercase, char::is_uppercase)))
        }
        "isupper" => {
            none().map(|_| Value::from(has_case(value, char::is_uppercase, char::is_lowercase)))
        }
        "istitle" => none().map(|_| Value::from(is_title(value))),
        "strip" => strip(value, arguments, true, true),
        "lstrip" => strip(value, arguments, true, false),
        "rstrip" => strip(value, arguments, false, true),
        "split" | "rsplit" => split(value, arguments, name == "rsplit"),
        "splitlines" => {
            let arguments = Arguments::of("splitlines", arguments, &["keepends"])?;
            Ok(lines(value, arguments.is_true(0, false)).into_iter().map(Value::from).collect())
        }
        "partition" | "rpartition" => partition(value, arguments, name == "rpartition"),
        "removeprefix" | "removesuffix" => {
            let arguments = Arguments::of("removeprefix", arguments, &["affix"])?;
            let affix = arguments.needed_text(0)?;
            let rest = if name == "removeprefix" {
                value.strip_prefix(affix)
            } else {
                value.strip_suffix(affix)
            };
            Ok(Value::from(rest.unwrap_or(value)))
        }
        "replace" => {
            let arguments = Arguments::of("replace", arguments, &["old", "new", "count"])?;
            replace(
                state,
                value,
                arguments.needed_text(0)?,
                arguments.needed_text(1)?,
                arguments.integer(2, -1)?,
            )
        }
        "find" | "rfind" | "index" | "rindex" | "count" => search(value, name, arguments),
        "startswith" | "endswith" => affix(value, arguments, name == "startswith"),
        "join" => {
            let arguments = Arguments::of("join", arguments, &["iterable"])?;
            let list = items(arguments.needed(0)?)?;
            let parts = list.iter().map(|item| text(item, "join")).collect::<Done<Vec<_>>>()?;
            pay(state, parts.len().saturating_mul(value.len()))?;
            Ok(Value::from(parts.join(value)))
        }
        "center" | "ljust" | "rjust" | "zfill" => justify(state, value, name, arguments),
        "expandtabs" => {
            let size = Arguments::of("expandtabs", arguments, &["tabsize"])?.integer(0, 8)?;
            let size = usize::try_from(size.max(0)).unwrap_or(usize::MAX);
            pay(state, size.saturating_mul(value.matches('\t').count()))?;
            Ok(Value::from(expanded(value, size)))
        }
        "format" => {
            pay(state, widest(value))?;
            format(FormatStyle::StrFormat, value, arguments).map(Value::from)
        }
        "encode" => Err(error("encode: bytes are not supported in templates")),
        _ => Err(error(format!("the method {name} of text is not supported in templates"))),
    }
}

/// The largest number in a format, which may be a width.
pub(super) fn widest(format: &str) -> usize {
    format
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(if n.is_empty() { 0 } else { usize::MAX }))
        .max()
        .unwrap_or(0)
}

fn is_decimal(c: char) -> bool {
    // The zero of each block of ten digits, in the order of Unicode.
    const ZEROS: [u32; 24] = [
        0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
        0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0xa620, 0xff10,
    ];
    ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&(c as u32)))
}

/// Superscript, subscript and circled digits.
fn is_raised(c: char) -> bool {
    matches!(c as u32, 0xb2 | 0xb3 | 0xb9 | 0x2070 | 0x2074..=0x2079 | 0x2080..=0x2089 | 0x2460..=0x2468 | 0x2474..=0x247c | 0x2488..=0x2490)
}

fn swapped(c: char) -> String {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

pub(super) fn capitalized(value: &str) -> String {
    let mut rest = value.chars();
    rest.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(rest.as_str().to_lowercase().chars()).collect()
    })
}

fn titled(value: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(value.len()), false);
    for c in value.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c.is_lowercase() || c.is_uppercase();
    }
    out
}

fn has_case(value: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    value.chars().any(wanted) && !value.chars().any(other)
}

fn is_title(value: &str) -> bool {
    let (mut inside, mut any) = (false, false);
    for c in value.chars() {
        let (upper, lower) = (c.is_uppercase(), c.is_lowercase());
        if (upper && inside) || (lower && !inside) {
            return false;
        }
        inside = upper || lower;
        any |= inside;
    }
    any
}

fn strip(value: &str, arguments: &[Value], left: bool, right: bool) -> Done<Value> {
    let arguments = Arguments::of("strip", arguments, &["chars"])?;
    let chars = arguments.text(0)?;
    Ok(Value::from(stripped(value, chars, left, right)))
}

/// Removes characters of `chars`, or white space, from the ends of a text.
pub(super) fn stripped<'a>(
    value: &'a str,
    chars: Option<&str>,
    left: bool,
    right: bool,
) -> &'a str {
    let goes = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let value = if left { value.trim_start_matches(goes) } else { value };
    if right { value.trim_end_matches(goes) } else { value }
}

fn split(value: &str, arguments: &[Value], from_right: bool) -> Done<Value> {
    let arguments = Arguments::of("split", arguments, &["sep", "maxsplit"])?;
    let most = usize::try_from(arguments.integer(1, -1)?).ok();
    let parts = match arguments.text(0)? {
        Some("") => return Err(error("split: the separator is empty")),
        Some(separator) => {
            let limit = most.unwrap_or(usize::MAX - 1).saturating_add(1);
            if from_right {
                let mut parts: Vec<&str> = value.rsplitn(limit, separator).collect();
                parts.reverse();
                parts
            } else {
                value.splitn(limit, separator).collect()
            }
        }
        None => words(value, most, from_right),
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

fn words(value: &str, most: Option<usize>, from_right: bool) -> Vec<&str> {
    let (mut parts, mut rest) = (vec![], value);
    loop {
        rest = stripped(rest, None, !from_right, from_right);
        if rest.is_empty() {
            break;
        }
        if most.is_some_and(|most| parts.len() >= most) {
            parts.push(rest);
            break;
        }
        let (part, left) = if from_right {
            match rest.char_indices().rev().find(|(_, c)| is_space(*c)) {
                Some((at, c)) => (&rest[at + c.len_utf8()..], &rest[..at]),
                None => (rest, ""),
            }
        } else {
            let at = rest.find(is_space).unwrap_or(rest.len());
            (&rest[..at], &rest[at..])
        };
        parts.push(part);
        rest = left;
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// Splits a text at any of Python's line ends.
pub(super) fn lines(value: &str, keep: bool) -> Vec<&str> {
    let ends =
        ['\n', '\r', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}'];
    let (mut found, mut rest) = (vec![], value);
    while !rest.is_empty() {
        let at = rest.find(ends).unwrap_or(rest.len());
        let end = match &rest[at..] {
            tail if tail.starts_with("\r\n") => at + 2,
            tail => at + tail.chars().next().map_or(0, char::len_utf8),
        };
        found.push(&rest[..if keep { end } else { at }]);
        rest = &rest[end..];
    }
    found
}

fn partition(value: &str, arguments: &[Value], from_right: bool) -> Done<Value> {
    let arguments = Arguments::of("partition", arguments, &["sep"])?;
    let separator = arguments.needed_text(0)?;
    if separator.is_empty() {
        return Err(error("partition: the separator is empty"));
    }
    let found = if from_right { value.rsplit_once(separator) } else { value.split_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if from_right => ["", "", value],
        None => [value, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

pub(super) fn replace(state: &State, value: &str, old: &str, new: &str, count: i64) -> Done<Value> {
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let found = (value.len() / old.len().max(1) + 1).min(most);
    pay(state, found.saturating_mul(new.len().saturating_sub(old.len())))?;
    Ok(Value::from(if most == usize::MAX {
        value.replace(old, new)
    } else {
        value.replacen(old, new, most)
    }))
}

/// The part of `value` between two indices, as byte offsets; `None` if the first comes after the
/// second.
fn window(value: &str, arguments: &Arguments) -> Done<Option<(usize, usize)>> {
    let length = value.chars().count();
    let bound = |index, otherwise: usize| -> Done<usize> {
        Ok(match arguments.given(index) {
            None => otherwise,
            Some(given) => place(super::args::integer(given, "find")?, length),
        })
    };
    let beyond = arguments.given(1).is_some_and(|at| {
        i64::try_from(at.clone()).is_ok_and(|at| usize::try_from(at).is_ok_and(|at| at > length))
    });
    let (start, stop) = (bound(1, 0)?, bound(2, length)?);
    if start > stop || beyond {
        return Ok(None);
    }
    let byte = |at: usize| value.char_indices().nth(at).map_or(value.len(), |(byte, _)| byte);
    Ok(Some((byte(start), byte(stop))))
}

fn search(value: &str, name: &str, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("find", arguments, &["sub", "start", "end"])?;
    let wanted = arguments.needed_text(0)?;
    let window = window(value, &arguments)?;
    if name == "count" {
        let inside = window.map(|(start, stop)| &value[start..stop]);
        return Ok(Value::from(inside.map_or(0, |inside| inside.matches(wanted).count())));
    }
    let found = window.and_then(|(start, stop)| {
        let inside = &value[start..stop];
        let at = if name.starts_with('r') { inside.rfind(wanted) } else { inside.find(wanted) };
        at.map(|at| value[..start + at].chars().count())
    });
    match found {
        Some(at) => Ok(Value::from(at)),
        None if name.ends_with("find") => Ok(Value::from(-1)),
        None => Err(error("substring not found")),
    }
}

fn affix(value: &str, arguments: &[Value], at_start: bool) -> Done<Value> {
    let arguments = Arguments::of("startswith", arguments, &["prefix", "start", "end"])?;
    let Some((start, stop)) = window(value, &arguments)? else { return Ok(Value::from(false)) };
    let inside = &value[start..stop];
    let has = |wanted: &Value| -> Done<bool> {
        let wanted = text(wanted, "startswith")?;
        Ok(if at_start { inside.starts_with(wanted) } else { inside.ends_with(wanted) })
    };
    let wanted = arguments.needed(0)?;
    if Type::of(wanted) == Type::Tuple {
        for wanted in items(wanted)? {
            if has(&wanted)? {
                return Ok(Value::from(true));
            }
        }
        return Ok(Value::from(false));
    }
    has(wanted).map(Value::from)
}

fn justify(state: &State, value: &str, name: &str, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of(
        "justify",
        arguments,
        if name == "zfill" { &["width"] } else { &["width", "fillchar"] },
    )?;
    arguments.needed(0)?;
    let width = usize::try_from(arguments.integer(0, 0)?.max(0)).unwrap_or(usize::MAX);
    let mut fill = if name == "zfill" { "0".to_owned() } else { " ".to_owned() };
    if name != "zfill"
        && let Some(given) = arguments.any(1)
    {
        fill = str(given)?;
        if fill.chars().count() != 1 || given.as_str().is_none() {
            return Err(error("the fill is one character"));
        }
    }
    let missing = width.saturating_sub(value.chars().count());
    pay(state, missing.saturating_mul(fill.len()))?;
    let left = match name {
        "ljust" => 0,
        "rjust" | "zfill" => missing,
        _ => missing / 2 + (missing & width & 1),
    };
    if name == "zfill"
        && let Some(digits) = value.strip_prefix(['-', '+'])
    {
        return Ok(Value::from(format!("{}{}{digits}", &value[..1], fill.repeat(left))));
    }
    Ok(Value::from(format!("{}{value}{}", fill.repeat(left), fill.repeat(missing - left))))
}

fn expanded(value: &str, size: usize) -> String {
    let (mut out, mut column) = (String::with_capacity(value.len()), 0);
    for c in value.chars() {
        match c {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            '\t' => {}
            c => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    out
}
