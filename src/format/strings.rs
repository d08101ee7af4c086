//! The strings of an array.

use std::fmt;

/// Many strings in one allocation: a vocabulary has up to some hundred thousand.
///
/// Old vocabularies have pieces that are no UTF-8. As texts they have U+FFFD in them; their bytes
/// are kept too.
#[derive(Clone, PartialEq, Default)]
pub struct Strings {
    text: String,
    /// Where string i ends in `text`; it starts where its predecessor ends.
    ends: Vec<usize>,
    /// The bytes of those that are no UTF-8.
    raw: Vec<(usize, Box<[u8]>)>,
}

impl Strings {
    /// Strings of these bytes.
    pub fn from_bytes<B: AsRef<[u8]>>(strings: impl IntoIterator<Item = B>) -> Self {
        let mut all = Self::default();
        strings.into_iter().for_each(|bytes| all.push_bytes(bytes.as_ref()));
        all
    }

    /// None, with room for `count`.
    pub(super) fn with_room(count: usize) -> Self {
        Self { ends: Vec::with_capacity(count), ..Self::default() }
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// String `i`, counted from 0.
    pub fn get(&self, i: usize) -> Option<&str> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        Some(&self.text[start..end])
    }

    /// The bytes of string `i`, if they are no UTF-8.
    pub fn raw(&self, i: usize) -> Option<&[u8]> {
        let at = self.raw.binary_search_by_key(&i, |(i, _)| *i).ok()?;
        Some(&self.raw[at].1)
    }

    /// The bytes of string `i` as the file has them.
    pub fn bytes(&self, i: usize) -> Option<&[u8]> {
        self.raw(i).or_else(|| self.get(i).map(str::as_bytes))
    }

    /// The strings whose bytes are no UTF-8, by their numbers.
    pub fn all_raw(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.raw.iter().map(|(i, bytes)| (*i, &**bytes))
    }

    /// All strings in order.
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
