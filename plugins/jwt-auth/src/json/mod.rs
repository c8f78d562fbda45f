//! Reads JSON (RFC 8259) in one pass, strictly, and without allocating: where the members of an object are, not what
//! they all mean.
//!
//! Border: text in, places in the text out. Invariants: what it accepts serde_json accepts, too (but for numbers beyond
//! a double); a [`Value`] has been checked to its end, so looking into it again cannot find anything new.

use std::borrow::Cow;

/// Deepest nesting, the outermost object included. Identity providers nest claims three deep.
pub(crate) const DEPTH_MAX: u32 = 16;

/// Not JSON, nested too deep, or a name twice in an object that was looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is none.
    Absent,
    /// A string whose text stands there as it is.
    Text,
    /// A string with escapes.
    Escaped,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
    /// An array.
    List,
    /// An object.
    Object,
}

/// Where a value stands: strings without their quotes, everything else from its first to its last character.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    kind: Kind,
    start: usize,
    end: usize,
}

impl Span {
    /// No value.
    pub(crate) const ABSENT: Self = Self { kind: Kind::Absent, start: 0, end: 0 };

    /// The value in the text it was found in.
    pub(crate) fn of(self, text: &str) -> Value<'_> {
        Value { kind: self.kind, raw: text.get(self.start..self.end).unwrap_or_default() }
    }

    /// Whether there is a value.
    pub(crate) fn is_present(self) -> bool {
        self.kind != Kind::Absent
    }
}

/// A value that has been read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    kind: Kind,
    raw: &'a str,
}

impl<'a> Value<'a> {
    /// What it is.
    pub(crate) fn kind(self) -> Kind {
        self.kind
    }

    /// As it stands in the text, strings without quotes.
    pub(crate) fn raw(self) -> &'a str {
        self.raw
    }

    /// The text of a string.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::Text => Some(Cow::Borrowed(self.raw)),
            Kind::Escaped => Some(Cow::Owned(unescape(self.raw))),
            _ => None,
        }
    }

    /// Whether it is this string.
    pub(crate) fn is_text(self, text: &str) -> bool {
        match self.kind {
            Kind::Text => self.raw == text,
            Kind::Escaped => unescape(self.raw) == text,
            _ => false,
        }
    }

    /// The member of this name; absent where this is not an object.
    pub(crate) fn member(self, name: &str) -> Result<Value<'a>, Malformed> {
        let mut found = Span::ABSENT;
        if self.kind == Kind::Object {
            object(self.raw, |key, value| {
                if key.of(self.raw).is_text(name) {
                    if found.is_present() {
                        return Err(Malformed);
                    }
                    found = value;
                }
                Ok(())
            })?;
        }
        Ok(found.of(self.raw))
    }

    /// Visits the elements of a list until one gives something.
    pub(crate) fn find<T>(self, mut visit: impl FnMut(Value<'a>) -> Option<T>) -> Option<T> {
        if self.kind != Kind::List {
            return None;
        }
        let mut scanner = Scanner { text: self.raw.as_bytes(), at: 1 };
        scanner.space();
        while scanner.peek()? != b']' {
            let element = scanner.value(DEPTH_MAX).ok()?;
            let found = visit(element.of(self.raw));
            if found.is_some() {
                return found;
            }
            scanner.space();
            scanner.take(b',');
            scanner.space();
        }
        None
    }
}

/// Visits the members of the object that `text` must be. Names are strings; whether one appears twice is the visitor's
/// business.
pub(crate) fn object(text: &str, visit: impl FnMut(Span, Span) -> Result<(), Malformed>) -> Result<(), Malformed> {
    let mut scanner = Scanner { text: text.as_bytes(), at: 0 };
    scanner.space();
    scanner.object(DEPTH_MAX, visit)?;
    scanner.space();
    if scanner.at == text.len() { Ok(()) } else { Err(Malformed) }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, expected: u8) -> bool {
        let is = self.peek() == Some(expected);
        self.at += usize::from(is);
        is
    }

    fn must(&mut self, expected: u8) -> Result<(), Malformed> {
        if self.take(expected) { Ok(()) } else { Err(Malformed) }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: u32) -> Result<Span, Malformed> {
        let start = self.at;
        let kind = match self.peek().ok_or(Malformed)? {
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Kind::Number
            }
            b't' => self.word(b"true", Kind::True)?,
            b'f' => self.word(b"false", Kind::False)?,
            b'n' => self.word(b"null", Kind::Null)?,
            b'[' => {
                self.list(depth)?;
                Kind::List
            }
            _ => {
                self.object(depth, |_, _| Ok(()))?;
                Kind::Object
            }
        };
        Ok(Span { kind, start, end: self.at })
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Malformed> {
        let end = self.at + word.len();
        if self.text.get(self.at..end) != Some(word) {
            return Err(Malformed);
        }
        self.at = end;
        Ok(kind)
    }

    fn object(
        &mut self,
        depth: u32,
        mut visit: impl FnMut(Span, Span) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        self.must(b'{')?;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.space();
            self.must(b':')?;
            self.space();
            let value = self.value(depth)?;
            visit(name, value)?;
            self.space();
            if !self.take(b',') {
                return self.must(b'}');
            }
            self.space();
        }
    }

    fn list(&mut self, depth: u32) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        self.must(b'[')?;
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.space();
            if !self.take(b',') {
                return self.must(b']');
            }
            self.space();
        }
    }

    /// Section 6.
    fn number(&mut self) -> Result<(), Malformed> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(Malformed) } else { Ok(()) }
    }

    /// Section 7. That the text is UTF-8 has been checked before.
    fn string(&mut self) -> Result<Span, Malformed> {
        self.must(b'"')?;
        let start = self.at;
        let mut kind = Kind::Text;
        loop {
            match self.peek().ok_or(Malformed)? {
                b'"' => break,
                b'\\' => {
                    self.escape()?;
                    kind = Kind::Escaped;
                }
                0..=0x1f => return Err(Malformed),
                _ => self.at += 1,
            }
        }
        let span = Span { kind, start, end: self.at };
        self.at += 1;
        Ok(span)
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        let escaped = self.peek().ok_or(Malformed)?;
        self.at += 1;
        match escaped {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.unit()? {
                // Halves of a pair mean something only together (section 8.2).
                0xd800..=0xdbff => {
                    self.must(b'\\')?;
                    self.must(b'u')?;
                    let low = self.unit()?;
                    if (0xdc00..=0xdfff).contains(&low) { Ok(()) } else { Err(Malformed) }
                }
                0xdc00..=0xdfff => Err(Malformed),
                _ => Ok(()),
            },
            _ => Err(Malformed),
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u16, Malformed> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Malformed)?;
        self.at += 4;
        digits.iter().try_fold(0, |sum, digit| {
            let value = char::from(*digit).to_digit(16).and_then(|value| u16::try_from(value).ok());
            value.map(|value| sum << 4 | value).ok_or(Malformed)
        })
    }
}

/// The text of a string whose escapes have been checked.
fn unescape(raw: &str) -> String {
    let mut units = Vec::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
            continue;
        }
        let plain = match rest.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let digits = rest.by_ref().take(4).filter_map(|digit| digit.to_digit(16));
                units.push(digits.fold(0, |sum, digit| sum << 4 | u16::try_from(digit).unwrap_or(0)));
                continue;
            }
            other => other.unwrap_or('\\'),
        };
        units.push(u16::try_from(u32::from(plain)).unwrap_or(0));
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests;
