//! The `tojson` filter of chat templates: Python's `json.dumps`, which by default does not escape
//! non-ASCII characters here.

use minijinja::value::Kwargs;
use minijinja::{State, Value};

use super::args::Arguments;
use super::python::{DEEPEST, Done, Type, error, float, order, pay, text};

struct Style {
    ensure_ascii: bool,
    /// Indentation of one level; `None` writes all on one line.
    indent: Option<String>,
    comma: String,
    colon: String,
    sort_keys: bool,
}

/// `tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`; arguments may also
/// be positional.
pub(super) fn to_json(
    state: &State,
    value: &Value,
    rest: &[Value],
    options: Kwargs,
) -> Done<Value> {
    let arguments = Arguments::new(
        "tojson",
        rest,
        &options,
        &["ensure_ascii", "indent", "separators", "sort_keys"],
    )?;
    let indent = match arguments.given(1) {
        None => None,
        Some(given) if given.as_str().is_some() => Some(text(given, "tojson")?.to_owned()),
        Some(given) => {
            let width = i64::try_from(given.clone())?.clamp(0, 1000);
            Some(" ".repeat(usize::try_from(width).unwrap_or(0)))
        }
    };
    let (comma, colon) = match arguments.given(2) {
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        Some(pair) => match &super::python::items(pair)?[..] {
            [comma, colon] => {
                (text(comma, "separators")?.to_owned(), text(colon, "separators")?.to_owned())
            }
            _ => return Err(error("tojson: separators are two texts")),
        },
    };
    let is_true = |index| arguments.given(index).is_some_and(Value::is_true);
    let style = Style { ensure_ascii: is_true(0), indent, comma, colon, sort_keys: is_true(3) };
    let mut out = String::new();
    let mut paid = 0;
    style.write(state, value, &mut out, &mut paid, 0)?;
    Ok(Value::from(out))
}

impl Style {
    fn line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            *out += &indent.repeat(depth);
        }
    }

    fn write(
        &self,
        state: &State,
        value: &Value,
        out: &mut String,
        paid: &mut usize,
        depth: usize,
    ) -> Done<()> {
        if depth > DEEPEST {
            return Err(error("tojson: a value is nested too deeply"));
        }
        if out.len() > *paid + 4096 {
            pay(state, out.len() - *paid)?;
            *paid = out.len();
        }
        match Type::of(value) {
            Type::None => *out += "null",
            Type::Bool => *out += if value.is_true() { "true" } else { "false" },
            Type::Int => *out += &value.to_string(),
            Type::Float => *out += &number(f64::try_from(value.clone())?),
            Type::Text => self.quote(value.as_str().unwrap_or_default(), out),
            Type::List | Type::Tuple => {
                out.push('[');
                let mut count = 0;
                for item in value.try_iter()?.checked() {
                    *out += if count > 0 { &self.comma } else { "" };
                    count += 1;
                    self.line(out, depth + 1);
                    self.write(state, &item?, out, paid, depth + 1)?;
                }
                if count > 0 {
                    self.line(out, depth);
                }
                out.push(']');
            }
            Type::Dict => {
                let mut keys = value.try_iter()?.checked().collect::<Done<Vec<Value>>>()?;
                if self.sort_keys {
                    let mut wrong = None;
                    keys.sort_by(|a, b| match order(a, b, "<", 0) {
                        Ok(found) => found.unwrap_or(std::cmp::Ordering::Equal),
                        Err(why) => {
                            wrong.get_or_insert(why);
                            std::cmp::Ordering::Equal
                        }
                    });
                    wrong.map_or(Ok(()), Err)?;
                }
                out.push('{');
                for (index, key) in keys.iter().enumerate() {
                    *out += if index > 0 { &self.comma } else { "" };
                    self.line(out, depth + 1);
                    self.quote(&key_text(key)?, out);
                    *out += &self.colon;
                    self.write(state, &value.get_item(key)?, out, paid, depth + 1)?;
                }
                if !keys.is_empty() {
                    self.line(out, depth);
                }
                out.push('}');
            }
            other => {
                return Err(error(format!(
                    "Object of type {} is not JSON serializable",
                    other.name()
                )));
            }
        }
        Ok(())
    }

    fn quote(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => *out += "\\n",
                '\r' => *out += "\\r",
                '\t' => *out += "\\t",
                '\u{8}' => *out += "\\b",
                '\u{c}' => *out += "\\f",
                c if c < ' ' || (self.ensure_ascii && c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        *out += &format!("\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => {
            if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
        }
        value => float(value),
    }
}

fn key_text(key: &Value) -> Done<String> {
    Ok(match Type::of(key) {
        Type::Text => key.as_str().unwrap_or_default().to_owned(),
        Type::None => "null".to_owned(),
        Type::Bool => if key.is_true() { "true" } else { "false" }.to_owned(),
        Type::Int => key.to_string(),
        Type::Float => number(f64::try_from(key.clone())?),
        other => {
            return Err(error(format!(
                "keys must be str, int, float, bool or None, not {}",
                other.name()
            )));
        }
    })
}
