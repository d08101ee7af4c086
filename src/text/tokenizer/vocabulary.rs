//! Many short texts with their ids, in one allocation for each direction.

use std::hash::{BuildHasher, RandomState};

use crate::format::Strings;

const EMPTY: u32 = u32::MAX;

/// A table from id to text, and a hash index from text to id that stores only ids: a vocabulary of
/// 262144 pieces stores its text once, plus 4 bytes for each piece's end and 8 for the index.
#[derive(Clone, Debug)]
pub(in crate::text) struct Vocabulary {
    text: String,
    ends: Vec<u32>,
    /// Open addressing, at most half full; the length is a power of two.
    slots: Vec<u32>,
    /// Randomly keyed, so that a malicious file cannot choose colliding texts.
    hasher: RandomState,
    longest: usize,
}

impl Vocabulary {
    /// Stores all of `tokens` by id; only the `findable` ones that are valid UTF-8 can be found by
    /// text. The last of equal texts is found. `None` if there are more than 2^32 - 2 tokens or
    /// bytes.
    pub fn new(tokens: &Strings, findable: impl Fn(u32) -> bool) -> Option<Self> {
        let bytes: usize = tokens.iter().map(str::len).sum();
        if bytes >= EMPTY as usize || tokens.len() >= EMPTY as usize {
            return None;
        }
        let mut all = Self {
            text: String::with_capacity(bytes),
            ends: Vec::with_capacity(tokens.len()),
            slots: vec![EMPTY; (tokens.len() * 2).next_power_of_two()],
            hasher: RandomState::new(),
            longest: 0,
        };
        for (id, token) in (0u32..).zip(tokens.iter()) {
            all.text.push_str(token);
            all.ends.push(all.text.len() as u32);
            if findable(id) && tokens.raw(id as usize).is_none() {
                let slot = all.slot(token);
                all.slots[slot] = id;
                all.longest = all.longest.max(token.len());
            }
        }
        Some(all)
    }

    /// The text of an id.
    pub fn get(&self, id: u32) -> Option<&str> {
        let end = *self.ends.get(id as usize)? as usize;
        let start = if id == 0 { 0 } else { self.ends[id as usize - 1] as usize };
        Some(&self.text[start..end])
    }

    /// The id of a text.
    pub fn id(&self, text: &str) -> Option<u32> {
        if text.len() > self.longest {
            return None;
        }
        Some(self.slots[self.slot(text)]).filter(|&id| id != EMPTY)
    }

    /// The slot that holds `text`, or the empty slot where it belongs.
    fn slot(&self, text: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(text) as usize & mask;
        while self.slots[slot] != EMPTY && self.get(self.slots[slot]) != Some(text) {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_it_should_and_nothing_else() {
        let words: Vec<String> = (0..3000).map(|i| format!("w{}", i * 7)).collect();
        let tokens: Strings = words.iter().collect();
        let vocabulary = Vocabulary::new(&tokens, |id| id % 3 != 0).unwrap();
        for (id, word) in (0u32..).zip(&words) {
            assert_eq!(vocabulary.get(id), Some(word.as_str()));
            assert_eq!(vocabulary.id(word), (id % 3 != 0).then_some(id), "{word}");
        }
        assert_eq!(vocabulary.get(3000), None);
        for absent in ["", "w", "w1", "a text longer than any of them"] {
            assert_eq!(vocabulary.id(absent), None, "{absent:?}");
        }
    }

    #[test]
    fn of_equal_texts_the_last_is_found_and_empty_works() {
        let tokens: Strings = ["a", "b", "a", ""].iter().collect();
        let vocabulary = Vocabulary::new(&tokens, |_| true).unwrap();
        assert_eq!(
            (vocabulary.id("a"), vocabulary.id("b"), vocabulary.id("")),
            (Some(2), Some(1), Some(3))
        );
        assert_eq!(vocabulary.get(0), Some("a"));
        let nothing = Vocabulary::new(&Strings::default(), |_| true).unwrap();
        assert_eq!((nothing.id(""), nothing.get(0)), (None, None));
    }
}
