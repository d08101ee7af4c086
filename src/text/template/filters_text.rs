//! Jinja's filters that produce text.

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, State, Value};

use super::args::{Arguments, split};
use super::methods::pairs;
use super::percent::percent;
use super::python::{Done, Type, error, items, pay, str};
use super::wrap;
use super::{data::attribute_of, text_methods};

/// A filter, called with its value and arguments.
pub(super) type Filter = fn(&mut State, &Value, &[Value]) -> Done<Value>;

const FILTERS: [(&str, Filter); 25] = [
    ("upper", |_, value, _| Ok(Value::from(str(value)?.to_uppercase()))),
    ("lower", |_, value, _| Ok(Value::from(str(value)?.to_lowercase()))),
    ("capitalize", |_, value, _| Ok(Value::from(text_methods::capitalized(&str(value)?)))),
    ("title", |_, value, _| Ok(Value::from(title(&str(value)?)))),
    ("string", |_, value, _| Ok(Value::from(str(value)?))),
    ("safe", |_, value, _| Ok(Value::from_safe_string(str(value)?))),
    ("escape", escape),
    ("e", escape),
    ("forceescape", |_, value, _| Ok(Value::from_safe_string(escaped(&str(value)?)))),
    ("trim", trim),
    ("replace", replace),
    ("center", center),
    ("indent", indent),
    ("join", join),
    ("format", format),
    ("truncate", truncate),
    ("wordcount", |_, value, _| Ok(Value::from(words(&str(value)?)))),
    ("wordwrap", wordwrap),
    ("striptags", |_, value, _| Ok(Value::from(strip_tags(&str(value)?)))),
    ("urlencode", urlencode),
    ("xmlattr", xmlattr),
    ("filesizeformat", filesize),
    ("pprint", |_, value, _| Ok(Value::from(super::python::repr(value)?))),
    ("tojson", |state, value, arguments| {
        let (places, named) = split(arguments)?;
        super::json::to_json(state, value, places, named)
    }),
    ("urlize", |_, _, _| {
        Err(error("the filter urlize makes HTML and is not supported in chat templates"))
    }),
];

pub(super) fn add_to(environment: &mut Environment) {
    add(environment, &FILTERS);
}

/// Adds filters that parse their own arguments.
pub(super) fn add(environment: &mut Environment, filters: &'static [(&'static str, Filter)]) {
    for (name, filter) in filters {
        environment.add_filter(
            *name,
            move |state: &mut State, value: &Value, rest: Rest<ValueOrKwargs>| {
                let arguments: Vec<Value> = rest.0.into_iter().map(Value::from).collect();
                filter(state, value, &arguments)
            },
        );
    }
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut starts = true;
    for c in text.chars() {
        if starts {
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
        }
        starts = text_methods::is_space(c) || "-({[<".contains(c);
    }
    out
}

/// Replaces HTML's five special characters by entities.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '\'' => out += "&#39;",
            '"' => out += "&#34;",
            c => out.push(c),
        }
    }
    out
}

fn escape(_: &mut State, value: &Value, _: &[Value]) -> Done<Value> {
    Ok(if value.is_safe() { value.clone() } else { Value::from_safe_string(escaped(&str(value)?)) })
}

fn trim(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("trim", arguments, &["chars"])?;
    Ok(Value::from(text_methods::stripped(&str(value)?, arguments.text(0)?, true, true)))
}

fn replace(state: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("replace", arguments, &["old", "new", "count"])?;
    let count = if arguments.given(2).is_some() { arguments.integer(2, -1)? } else { -1 };
    text_methods::replace(
        state,
        &str(value)?,
        &str(arguments.needed(0)?)?,
        &str(arguments.needed(1)?)?,
        count,
    )
}

fn center(state: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let width = Arguments::of("center", arguments, &["width"])?.integer(0, 80)?;
    text_methods::call(state, &str(value)?, "center", &[Value::from(width)])
}

/// The text of a value, for filters that slice text and accept nothing else.
fn only_text<'a>(value: &'a Value, name: &str) -> Done<&'a str> {
    super::python::text(value, name)
}

fn indent(state: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("indent", arguments, &["width", "first", "blank"])?;
    let by = match arguments.any(0) {
        Some(width) if width.as_str().is_some() => str(width)?,
        _ => {
            let width = usize::try_from(arguments.integer(0, 4)?.max(0)).unwrap_or(usize::MAX);
            pay(state, width)?;
            " ".repeat(width)
        }
    };
    let text = only_text(value, "indent")?.to_owned() + "\n";
    let blank = arguments.is_true(2, false);
    let mut out = String::new();
    for (index, line) in text_methods::lines(&text, false).into_iter().enumerate() {
        out += if index > 0 { "\n" } else { "" };
        if if index == 0 { arguments.is_true(1, false) } else { blank || !line.is_empty() } {
            pay(state, by.len())?;
            out += &by;
        }
        out += line;
    }
    Ok(Value::from(out))
}

fn join(state: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("join", arguments, &["d", "attribute"])?;
    let between = arguments.any(0).map_or(Ok(String::new()), str)?;
    let mut out = String::new();
    for (index, item) in items(value)?.iter().enumerate() {
        if index > 0 {
            pay(state, between.len())?;
            out += &between;
        }
        out += &match arguments.given(1) {
            Some(path) => str(&attribute_of(item, path)?)?,
            None => str(item)?,
        };
    }
    Ok(Value::from(out))
}

fn format(state: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let (places, named) = split(arguments)?;
    let named: Vec<_> = named
        .args()
        .map(|name| Ok((name.to_owned(), named.peek::<Value>(name)?)))
        .collect::<Done<_>>()?;
    let given = match (places.is_empty(), named.is_empty()) {
        (false, false) => {
            return Err(error("can't handle positional and keyword arguments at the same time"));
        }
        (_, true) => Value::from(minijinja::value::Tuple::from(places.to_vec())),
        _ => Value::from_pairs(named),
    };
    percent(state, &str(value)?, &given)
}

fn truncate(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments =
        Arguments::of("truncate", arguments, &["length", "killwords", "end", "leeway"])?;
    let text =
        if value.is_undefined() { String::new() } else { only_text(value, "truncate")?.to_owned() };
    let end = arguments.any(2).map_or(Ok("...".to_owned()), str)?;
    let leeway = if arguments.given(3).is_some() { arguments.integer(3, 5)? } else { 5 };
    let length = arguments.integer(0, 255)?;
    let own = i64::try_from(end.chars().count()).unwrap_or(i64::MAX);
    if length < own || leeway < 0 {
        return Err(error(
            "truncate: the length is less than that of the end, or the leeway is negative",
        ));
    }
    if i64::try_from(text.chars().count()).unwrap_or(i64::MAX) <= length.saturating_add(leeway) {
        return Ok(Value::from(text));
    }
    let kept: String =
        text.chars().take(usize::try_from(length - own).unwrap_or(usize::MAX)).collect();
    let kept = if arguments.is_true(1, false) {
        &kept
    } else {
        kept.rsplit_once(' ').map_or(&kept[..], |(head, _)| head)
    };
    Ok(Value::from(format!("{kept}{end}")))
}

fn words(text: &str) -> usize {
    text.split(|c: char| c != '_' && !c.is_alphanumeric()).filter(|word| !word.is_empty()).count()
}

fn wordwrap(state: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let names = &["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let arguments = Arguments::of("wordwrap", arguments, names)?;
    let width = usize::try_from(arguments.integer(0, 79)?).ok().filter(|width| *width > 0);
    let width = width.ok_or_else(|| error("wordwrap: the width is not positive"))?;
    let between = arguments.given(2).map_or(Ok("\n".to_owned()), str)?;
    let text = only_text(value, "wordwrap")?;
    let mut lines = vec![];
    for line in text_methods::lines(text, false) {
        let wrapped =
            wrap::wrapped(line, width, arguments.is_true(1, true), arguments.is_true(3, true));
        lines.push(wrapped);
    }
    let count: usize = lines.iter().map(Vec::len).sum();
    pay(state, count.saturating_mul(between.len()))?;
    Ok(Value::from(
        lines.into_iter().map(|line| line.join(&between)).collect::<Vec<_>>().join(&between),
    ))
}

fn strip_tags(text: &str) -> String {
    let without = |text: &str, open: &str, close: &str| {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(start) = rest.find(open) {
            let Some(end) = rest[start..].find(close) else { break };
            out += &rest[..start];
            rest = &rest[start + end + close.len()..];
        }
        out + rest
    };
    let text = without(&without(text, "<!--", "-->"), "<", ">");
    let text = text
        .split(text_methods::is_space)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    unescaped(&text)
}

/// Replaces numeric entities and the common named ones by their characters.
fn unescaped(text: &str) -> String {
    const NAMES: [(&str, &str); 7] = [
        ("amp", "&"),
        ("lt", "<"),
        ("gt", ">"),
        ("quot", "\""),
        ("apos", "'"),
        ("nbsp", "\u{a0}"),
        ("copy", "©"),
    ];
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('&') {
        out += &rest[..at];
        rest = &rest[at..];
        let end = rest.find(';').filter(|end| *end < 12);
        let found = end.and_then(|end| {
            let name = &rest[1..end];
            match name.strip_prefix('#') {
                Some(number) => match number.strip_prefix(['x', 'X']) {
                    Some(digits) => u32::from_str_radix(digits, 16).ok(),
                    None => number.parse().ok(),
                }
                .and_then(char::from_u32)
                .map(|c| c.to_string()),
                None => {
                    NAMES.iter().find(|(known, _)| *known == name).map(|(_, c)| (*c).to_owned())
                }
            }
        });
        match (found, end) {
            (Some(found), Some(end)) => {
                out += &found;
                rest = &rest[end + 1..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn quoted(text: &str, in_query: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                out.push(char::from(byte))
            }
            b'/' if !in_query => out.push('/'),
            b' ' if in_query => out.push('+'),
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn urlencode(_: &mut State, value: &Value, _: &[Value]) -> Done<Value> {
    let query = |(key, value): (Value, Value)| {
        Ok(format!("{}={}", quoted(&str(&key)?, true), quoted(&str(&value)?, true)))
    };
    let parts: Done<Vec<String>> = match Type::of(value) {
        Type::Dict => pairs(value)?.into_iter().map(query).collect(),
        Type::List | Type::Tuple => items(value)?
            .iter()
            .map(|pair| match &items(pair)?[..] {
                [key, value] => query((key.clone(), value.clone())),
                _ => Err(error("urlencode takes pairs")),
            })
            .collect(),
        _ => return Ok(Value::from(quoted(&str(value)?, false))),
    };
    Ok(Value::from(parts?.join("&")))
}

fn xmlattr(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let arguments = Arguments::of("xmlattr", arguments, &["autospace"])?;
    let mut parts = vec![];
    for (key, value) in pairs(value)? {
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let key = str(&key)?;
        if key.contains(|c: char| text_methods::is_space(c) || "/>=".contains(c)) {
            return Err(error(format!("xmlattr: invalid character in attribute name {key:?}")));
        }
        parts.push(format!("{}=\"{}\"", escaped(&key), escaped(&str(&value)?)));
    }
    let space = if arguments.is_true(0, true) && !parts.is_empty() { " " } else { "" };
    Ok(Value::from(format!("{space}{}", parts.join(" "))))
}

fn filesize(_: &mut State, value: &Value, arguments: &[Value]) -> Done<Value> {
    let binary = Arguments::of("filesizeformat", arguments, &["binary"])?.is_true(0, false);
    let bytes =
        super::data::to_float(value).ok_or_else(|| error("filesizeformat takes a number"))?;
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::from(format!("{} Bytes", bytes.trunc())));
    }
    let (mut unit, mut shown) = (base * base, String::new());
    for prefix in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
        let prefix =
            if binary { format!("{}iB", prefix.to_uppercase()) } else { format!("{prefix}B") };
        shown = format!("{:.1} {prefix}", base * bytes / unit);
        if bytes < unit {
            break;
        }
        unit *= base;
    }
    Ok(Value::from(shown))
}
