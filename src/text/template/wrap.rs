//! Python's `textwrap.wrap` of one line, which keeps its spaces.

use super::text_methods::is_space;

/// Divides `line` into lines of at most `width` characters.
pub(super) fn wrapped(line: &str, width: usize, break_long: bool, at_hyphens: bool) -> Vec<String> {
    let mut chunks = chunks(line, at_hyphens);
    chunks.reverse();
    let length = |text: &str| text.chars().count();
    let is_blank = |text: &str| text.chars().all(is_space);
    let mut lines: Vec<String> = vec![];
    while let Some(first) = chunks.last() {
        if is_blank(first) && !lines.is_empty() {
            chunks.pop();
        }
        let (mut current, mut taken): (Vec<&str>, usize) = (vec![], 0);
        while let Some(chunk) = chunks.last().filter(|chunk| taken + length(chunk) <= width) {
            taken += length(chunk);
            current.push(chunk);
            chunks.pop();
        }
        if let Some(chunk) = chunks.last().copied().filter(|chunk| length(chunk) > width) {
            if break_long {
                let room = (width - taken).max(usize::from(width < 1));
                let cut = cut(chunk, room, at_hyphens);
                current.push(&chunk[..cut]);
                if let Some(last) = chunks.last_mut() {
                    *last = &chunk[cut..];
                }
            } else if current.is_empty() {
                current.push(chunk);
                chunks.pop();
            }
        }
        if current.last().is_some_and(|last| is_blank(last)) {
            current.pop();
        }
        if !current.is_empty() {
            lines.push(current.concat());
        }
    }
    lines
}

/// Where to cut a word that is too long for a line: after a hyphen that fits, or at the end of the
/// line.
fn cut(chunk: &str, room: usize, at_hyphens: bool) -> usize {
    let byte = |at: usize| chunk.char_indices().nth(at).map_or(chunk.len(), |(byte, _)| byte);
    let end = byte(room);
    match chunk[..end].rfind('-') {
        Some(hyphen) if at_hyphens && chunk[..hyphen].chars().any(|c| c != '-') => hyphen + 1,
        _ => end,
    }
}

/// Words and the spaces between them; words are also divided after hyphens between letters.
fn chunks(line: &str, at_hyphens: bool) -> Vec<&str> {
    let mut found = vec![];
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let spaces = is_space(first);
        let end = rest.find(|c| is_space(c) != spaces).unwrap_or(rest.len());
        let (chunk, after) = rest.split_at(end);
        rest = after;
        let mut start = 0;
        if at_hyphens && !spaces {
            for (at, _) in chunk.match_indices('-') {
                if is_hyphenated(&chunk[start..at], &chunk[at + 1..]) {
                    found.push(&chunk[start..=at]);
                    start = at + 1;
                }
            }
        }
        found.push(&chunk[start..]);
    }
    found.retain(|chunk| !chunk.is_empty());
    found
}

fn is_hyphenated(before: &str, after: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c == '_' || c.is_alphabetic());
    let mut back = before.chars().rev();
    let (last, second, third) = (back.next(), back.next(), back.next());
    let two = letter(last) && (letter(second) || (second == Some('-') && letter(third)));
    let mut ahead = after.chars().filter(|c| *c != '-');
    two && !after.starts_with('-') && letter(ahead.next()) && letter(ahead.next())
}
