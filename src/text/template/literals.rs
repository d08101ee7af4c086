//! String and number literals: reads Python's syntax, and writes the engine's.

/// The value of the string literal at the beginning of `rest`, and its length in the source.
pub(super) fn string(rest: &str) -> Result<(String, usize), String> {
    let quote = rest.as_bytes()[0];
    let (bytes, mut end) = (rest.as_bytes(), 1);
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    if end >= bytes.len() {
        return Err("a string without an end".to_owned());
    }
    Ok((unescaped(&rest[1..end])?, end + 1))
}

fn unescaped(inside: &str) -> Result<String, String> {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        text += &rest[..at];
        rest = &rest[at + 1..];
        let Some(letter) = rest.chars().next() else {
            return Err("a string ends with \\".to_owned());
        };
        let behind = &rest[letter.len_utf8()..];
        rest = behind;
        match letter {
            '\n' => {}
            '\\' | '\'' | '"' => text.push(letter),
            'a' => text.push('\x07'),
            'b' => text.push('\x08'),
            'f' => text.push('\x0c'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'v' => text.push('\x0b'),
            '0'..='7' => {
                let more = behind.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let digits = format!("{letter}{}", &behind[..more]);
                rest = &behind[more..];
                text.extend(u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32));
            }
            'x' | 'u' | 'U' => {
                let length = match letter {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let (code, after) = code(behind, length, letter)?;
                rest = after;
                text.push(if (0xd800..0xdc00).contains(&code) {
                    let low =
                        after.strip_prefix("\\u").and_then(|low| self::code(low, 4, 'u').ok());
                    let (low, after) =
                        low.filter(|(low, _)| (0xdc00..0xe000).contains(low)).ok_or_else(lone)?;
                    rest = after;
                    char::from_u32(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00))
                        .ok_or_else(lone)?
                } else {
                    char::from_u32(code).ok_or_else(lone)?
                });
            }
            'N' => {
                return Err(
                    "characters by name (\\N{…}) are not supported; write the character itself"
                        .to_owned(),
                );
            }
            // Python keeps unknown escapes as they are.
            other => text.extend(['\\', other]),
        }
    }
    Ok(text + rest)
}

fn lone() -> String {
    "an escape that stands for no character".to_owned()
}

fn code(rest: &str, length: usize, letter: char) -> Result<(u32, &str), String> {
    let digits = rest.get(..length).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match code {
        Some(code) => Ok((code, &rest[length..])),
        None => Err(format!("\\{letter} needs {length} hexadecimal digits")),
    }
}

/// The string as a literal for the engine. Newlines are kept, so that line numbers stay correct.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\r' => quoted += "\\r",
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The number of bytes of digits with single underscores between them.
fn digits(rest: &[u8], is_digit: impl Fn(u8) -> bool) -> usize {
    let mut end = 0;
    while end < rest.len() {
        let digit = end + usize::from(rest[end] == b'_' && end > 0);
        if !rest.get(digit).is_some_and(|&b| is_digit(b)) {
            break;
        }
        end = digit + 1;
    }
    end
}

/// The number at the beginning of `rest` in the engine's syntax, and its length in the source.
/// After a dot it is an index, which has no fraction.
pub(super) fn number(rest: &str, after_dot: bool) -> Result<(String, usize), String> {
    let bytes = rest.as_bytes();
    let radix = match bytes.get(1).map(u8::to_ascii_lowercase) {
        Some(b'x') if bytes[0] == b'0' => 16,
        Some(b'o') if bytes[0] == b'0' => 8,
        Some(b'b') if bytes[0] == b'0' => 2,
        _ => 10,
    };
    let decimal =
        |from: usize| digits(bytes.get(from..).unwrap_or_default(), |b| b.is_ascii_digit());
    let mut end = if radix == 10 {
        decimal(0)
    } else {
        2 + digits(&bytes[2..], |b| char::from(b).is_digit(radix))
    };
    let mut is_float = false;
    if radix == 10 && !after_dot {
        if bytes.get(end) == Some(&b'.') && decimal(end + 1) > 0 {
            end += 1 + decimal(end + 1);
            is_float = true;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = decimal(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
                is_float = true;
            }
        }
    }
    let plain = rest[..end].replace('_', "");
    let wrong = || format!("{plain} is no number that can be held");
    if is_float {
        let value: f64 = plain.parse().map_err(|_| wrong())?;
        return if value.is_finite() { Ok((format!("{value:?}"), end)) } else { Err(wrong()) };
    }
    let digits = if radix == 10 { &plain } else { &plain[2..] };
    let value = u128::from_str_radix(digits, radix).map_err(|_| wrong())?;
    Ok((value.to_string(), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_as_python_reads_them() {
        let rows = [
            (r"'a\n'", "a\n"),
            (r#""\x41\101\u00e9\U0001F642""#, "AAé🙂"),
            (r"'\/\q\a\v\0'", "\\/\\q\u{7}\u{b}\0"),
            (r"'\ud83d\ude42'", "🙂"),
            ("'a\\\nb'", "ab"),
            (r#"'it\'s "so"'"#, "it's \"so\""),
        ];
        for (source, want) in rows {
            assert_eq!(string(source).unwrap(), (want.to_owned(), source.len()), "{source}");
        }
        for source in [
            "'",
            "'a",
            r"'\'",
            r"'\x4'",
            r"'\u12é4'",
            r"'\ud83d'",
            r"'\U00110000'",
            r"'\N{BULLET}'",
        ] {
            assert!(string(source).is_err(), "{source}");
        }
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        let rows = [
            ("1_000x", "1000", 5),
            ("0x1F", "31", 4),
            ("0b101", "5", 5),
            ("1.5e3", "1500.0", 5),
            ("1e-7", "1e-7", 4),
            ("1.real", "1", 1),
            ("2e", "2", 1),
        ];
        for (source, want, length) in rows {
            assert_eq!(number(source, false).unwrap(), (want.to_owned(), length), "{source}");
        }
        assert_eq!(number("1.0", true).unwrap(), ("1".to_owned(), 1));
        for source in ["0x", "1e999", &"9".repeat(40)] {
            assert!(number(source, false).is_err(), "{source}");
        }
    }
}
