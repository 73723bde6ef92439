//! The fast path for clean records: it goes from one comma or line end to the next, without looking at the bytes between them.

/// The fields of some records, one after the other. Outside of quotes no carriage return stands without a line feed: where one does, the
/// records are found byte by byte first.
pub struct Fields<'a> {
    text: &'a str,
    at: usize,
    /// A field whose quotes are not simply around it.
    unquoted: String,
}

impl<'a> Fields<'a> {
    /// The fields of a text that begins with a record.
    pub fn of(text: &'a str) -> Self {
        Fields { text, at: 0, unquoted: String::new() }
    }

    /// How far they have been read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes on to the next record, over blank lines; false when there is none.
    pub fn next_record(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        loop {
            match &bytes[self.at..] {
                [] | [b'\r'] => return false,
                [b'\n', ..] => self.at += 1,
                [b'\r', b'\n', ..] => self.at += 2,
                _ => return true,
            }
        }
    }

    /// The next field, without its quotes; none when a quote is not closed or the record has fewer or more fields.
    #[inline]
    pub fn next_field(&mut self, is_last: bool) -> Option<&str> {
        if self.text.as_bytes().get(self.at) == Some(&b'"') {
            return self.quoted_field(is_last);
        }
        let start = self.at;
        let end = self.end_of_field(is_last)?;
        Some(&self.text[start..end])
    }

    /// The end of the unquoted text that begins here. Moves behind it.
    #[inline]
    fn end_of_field(&mut self, is_last: bool) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let length = memchr::memchr2(b',', b'\n', &bytes[self.at..]);
        let end = length.map_or(bytes.len(), |length| self.at + length);
        let ends_record = bytes.get(end) != Some(&b',');
        if ends_record != is_last {
            return None;
        }
        let content = if ends_record && end > self.at && bytes[end - 1] == b'\r' { end - 1 } else { end };
        self.at = (end + 1).min(bytes.len());
        Some(content)
    }

    #[cold]
    fn quoted_field(&mut self, is_last: bool) -> Option<&str> {
        let text = self.text;
        self.unquoted.clear();
        loop {
            let start = self.at + 1;
            let end = start + memchr::memchr(b'"', &text.as_bytes()[start..])?;
            self.unquoted.push_str(&text[start..end]);
            self.at = end + 1;
            if text.as_bytes().get(self.at) != Some(&b'"') {
                break;
            }
            // Two quotes stand for one.
            self.unquoted.push('"');
        }
        let start = self.at;
        let end = self.end_of_field(is_last)?;
        self.unquoted.push_str(&text[start..end]);
        Some(&self.unquoted)
    }
}
