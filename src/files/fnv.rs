//! A hash of texts that may be stored in files.

/// The 64-bit FNV-1a hash of Fowler, Noll and Vo, which is the same on every machine and in every
/// version.
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds bytes to the hash.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash of all bytes added so far.
    pub(crate) fn value(&self) -> u64 {
        self.0
    }

    /// The hash of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::default();
        hash.add(bytes);
        hash.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The authors' test vectors for the empty text and for "a".
    #[test]
    fn hashes_are_the_published_ones() {
        assert_eq!([Fnv::of(b""), Fnv::of(b"a")], [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c]);
    }
}
