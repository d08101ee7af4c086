//! Ending an answer at a given text, however the text is cut into pieces.

use crate::error::{Error, Result};

/// Watches a stream of text for stop strings, and holds back what might be the start of one.
///
/// The answer ends at the stop string that is complete first (the longest one of those that are
/// complete at the same place), so the result does not depend on how the text was cut into pieces.
#[derive(Clone, Debug, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

/// What [`StopStrings::push`] lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Text that can be shown; never part of a stop string.
    pub text: String,
    /// The stop string that ended the answer, by its place in the list.
    pub stop: Option<usize>,
}

impl StopStrings {
    /// Watches for each of `stops`; an empty list lets everything through.
    pub fn new(stops: Vec<String>) -> Result<Self> {
        if stops.iter().any(String::is_empty) {
            return Err(Error::setting(
                "a stop string",
                "is empty: it would end every answer immediately",
            ));
        }
        Ok(Self { stops, held: String::new(), stopped: false })
    }

    /// True once a stop string was completed; from then on nothing is released.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes the next piece and returns the text that no stop string can claim any more.
    pub fn push(&mut self, piece: &str) -> Released {
        if self.stopped {
            return Released { text: String::new(), stop: None };
        }
        self.held.push_str(piece);
        let first = self
            .stops
            .iter()
            .enumerate()
            .filter_map(|(index, stop)| {
                self.held.find(stop).map(|start| (start + stop.len(), start, index))
            })
            .min();
        if let Some((_, start, index)) = first {
            self.stopped = true;
            let mut text = std::mem::take(&mut self.held);
            text.truncate(start);
            return Released { text, stop: Some(index) };
        }
        let keep = self.possible_start();
        let rest = self.held.split_off(keep);
        Released { text: std::mem::replace(&mut self.held, rest), stop: None }
    }

    /// The answer ended by itself: returns what was held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the longest end of the held text begins that is the beginning of a stop string.
    fn possible_start(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest);
        (from..self.held.len())
            .filter(|&i| self.held.is_char_boundary(i))
            .find(|&i| self.stops.iter().any(|s| s.starts_with(&self.held[i..])))
            .unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(stops: &[&str], pieces: &[&str]) -> (String, Option<usize>) {
        let mut watcher = StopStrings::new(stops.iter().map(|s| s.to_string()).collect()).unwrap();
        let mut text = String::new();
        let mut stop = None;
        for piece in pieces {
            let released = watcher.push(piece);
            text += &released.text;
            stop = stop.or(released.stop);
        }
        text += &watcher.finish();
        (text, stop)
    }

    #[test]
    fn every_cutting_gives_the_same_answer() {
        let rows: [(&[&str], &str, &str, Option<usize>); 12] = [
            (&[], "anything", "anything", None),
            (&["\n\n"], "a\nb\n\nc", "a\nb", Some(0)),
            (&["STOP"], "no stop here, STO", "no stop here, STO", None),
            (&["abcd", "bc"], "xabcd", "xa", Some(1)),
            (&["bc", "abc"], "xabcd", "x", Some(1)),
            (&["aab"], "aaab", "a", Some(0)),
            (&["abab", "abac"], "xababac", "x", Some(0)),
            (&["abab", "abac"], "xabaabac", "xaba", Some(1)),
            (&["é!", "終わり"], "café? 終わ 終わり.", "café? 終わ ", Some(1)),
            (&["x"], "x", "", Some(0)),
            (&["User:", "\nUser"], "ok\nUser: hi", "ok", Some(1)),
            (&["🙂🙃"], "🙂🙂🙃", "🙂", Some(0)),
        ];
        for (stops, text, want, stop) in rows {
            let chars: Vec<String> = text.chars().map(String::from).collect();
            for width in 1..=chars.len() {
                let pieces: Vec<String> = chars.chunks(width).map(|c| c.concat()).collect();
                let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
                assert_eq!(
                    watch(stops, &pieces),
                    (want.to_owned(), stop),
                    "{stops:?} in {pieces:?}"
                );
            }
        }
    }

    #[test]
    fn text_is_released_as_soon_as_it_can_be() {
        let mut watcher = StopStrings::new(vec!["<end>".into()]).unwrap();
        assert_eq!(watcher.push("one <e").text, "one ");
        assert_eq!(watcher.push("lse").text, "<else");
        assert_eq!(watcher.push(" <end").text, " ");
        assert_eq!(watcher.push(">tail"), Released { text: String::new(), stop: Some(0) });
        assert!(watcher.stopped());
        assert_eq!(watcher.push("more"), Released { text: String::new(), stop: None });
        assert_eq!(watcher.finish(), "");
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        assert!(StopStrings::new(vec!["a".into(), String::new()]).is_err());
    }
}
