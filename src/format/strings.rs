//! A compact array of strings.

use std::fmt;

/// Many strings in one allocation, because a vocabulary may have several hundred thousand.
///
/// Some old vocabularies contain entries that are not UTF-8. As text these contain U+FFFD, and
/// their bytes are kept separately.
#[derive(Clone, PartialEq, Default)]
pub struct Strings {
    text: String,
    /// The end of string i in `text`; it starts at the end of its predecessor.
    ends: Vec<usize>,
    /// The bytes of strings that are not UTF-8, by index.
    raw: Vec<(usize, Box<[u8]>)>,
}

impl Strings {
    /// Makes an array of strings from their bytes.
    pub fn from_bytes<B: AsRef<[u8]>>(strings: impl IntoIterator<Item = B>) -> Self {
        let mut all = Self::default();
        strings.into_iter().for_each(|bytes| all.push_bytes(bytes.as_ref()));
        all
    }

    /// An empty array with capacity for `count` strings.
    pub(super) fn with_room(count: usize) -> Self {
        Self { ends: Vec::with_capacity(count), ..Self::default() }
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no strings.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// String number `i`, starting from 0.
    pub fn get(&self, i: usize) -> Option<&str> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        Some(&self.text[start..end])
    }

    /// The bytes of string `i` if they are not UTF-8.
    pub fn raw(&self, i: usize) -> Option<&[u8]> {
        let at = self.raw.binary_search_by_key(&i, |(i, _)| *i).ok()?;
        Some(&self.raw[at].1)
    }

    /// The bytes of string `i` as in the file.
    pub fn bytes(&self, i: usize) -> Option<&[u8]> {
        self.raw(i).or_else(|| self.get(i).map(str::as_bytes))
    }

    /// The strings that are not UTF-8, by index.
    pub fn all_raw(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.raw.iter().map(|(i, bytes)| (*i, &**bytes))
    }

    /// All strings, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator + Clone {
        (0..self.len()).map(|i| self.get(i).unwrap_or_default())
    }

    fn push(&mut self, string: &str) {
        self.text.push_str(string);
        self.ends.push(self.text.len());
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.push(text),
            Err(_) => {
                self.raw.push((self.len(), bytes.into()));
                self.push(&String::from_utf8_lossy(bytes));
            }
        }
    }
}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Self {
        let mut all = Strings::default();
        strings.into_iter().for_each(|string| all.push(string.as_ref()));
        all
    }
}
