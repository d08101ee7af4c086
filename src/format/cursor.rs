//! A bounds-checked reader of little-endian values; its errors say which byte of the file.

/// What reading yields; the error says what and where, and lacks only the file's path.
pub(super) type Parsed<T> = std::result::Result<T, String>;

/// Reads forward through the bytes of a file, never past their end.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.at as u64
    }

    /// Bytes left before the end of the file.
    pub(super) fn remaining(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: u64) -> Parsed<&'a [u8]> {
        if n > self.remaining() {
            return Err(format!(
                "{n} bytes are due at byte {}, but the file ends at byte {}; it is damaged or was \
                 not fully \
                 downloaded, fetch it again",
                self.at,
                self.bytes.len()
            ));
        }
        let start = self.at;
        self.at += n as usize; // n is at most the length of a slice
        Ok(&self.bytes[start..self.at])
    }

    /// The next `N` bytes, for `from_le_bytes`.
    pub(super) fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A GGUF string as it is stored: its length in bytes (u64), then the bytes.
    pub(super) fn string_bytes(&mut self) -> Parsed<&'a [u8]> {
        let length = self.u64()?;
        self.take(length)
    }

    /// A GGUF string that has to be UTF-8: a name.
    pub(super) fn string(&mut self) -> Parsed<&'a str> {
        let bytes = self.string_bytes()?;
        let at = self.at - bytes.len();
        std::str::from_utf8(bytes).map_err(|e| {
            format!(
                "the text at byte {at} is not UTF-8 (from its byte {} on); the file is damaged",
                e.valid_up_to()
            )
        })
    }

    /// Fails unless `count` items of at least `each` bytes can follow: the check before any
    /// allocation by count.
    pub(super) fn expect_room(&self, count: u64, each: u64, what: &str) -> Parsed<usize> {
        let most = self.remaining() / each;
        if count > most {
            return Err(format!(
                "{count} {what} are announced at byte {}, but the rest of the file has room for \
                 {most} at most; it \
                 is damaged or was not fully downloaded, fetch it again",
                self.at
            ));
        }
        usize::try_from(count)
            .map_err(|_| format!("{count} {what} do not fit this machine's memory"))
    }
}

/// Text from a file as it may appear in a message: quoted, control characters escaped, cut to a
/// readable length.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}
