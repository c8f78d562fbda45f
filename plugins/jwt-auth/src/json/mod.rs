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
    #[inline]
    pub(crate) fn of(self, text: &str) -> Value<'_> {
        Value { kind: self.kind, raw: text.as_bytes().get(self.start..self.end).unwrap_or_default() }
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
    /// Bytes rather than text: comparing names is most of the work, and cutting text costs a look at both ends.
    raw: &'a [u8],
}

impl<'a> Value<'a> {
    /// What it is.
    pub(crate) fn kind(self) -> Kind {
        self.kind
    }

    /// As it stands in the text, strings without quotes.
    pub(crate) fn raw(self) -> &'a str {
        // It was cut out of text between ASCII characters.
        std::str::from_utf8(self.raw).unwrap_or_default()
    }

    /// The same as bytes.
    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.raw
    }

    /// The text of a string.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::Text => Some(Cow::Borrowed(self.raw())),
            Kind::Escaped => Some(Cow::Owned(unescape(self.raw()))),
            _ => None,
        }
    }

    /// Whether it is this string.
    pub(crate) fn is_text(self, text: &str) -> bool {
        match self.kind {
            Kind::Text => is_same(self.raw, text.as_bytes()),
            Kind::Escaped => unescape(self.raw()) == text,
            _ => false,
        }
    }

    /// The member of this name; absent where this is not an object.
    pub(crate) fn member(self, name: &str) -> Result<Value<'a>, Malformed> {
        let mut found = Span::ABSENT;
        if self.kind == Kind::Object {
            let text = self.raw();
            object(text, |key, value| {
                if key.of(text).is_text(name) {
                    if found.is_present() {
                        return Err(Malformed);
                    }
                    found = value;
                }
                Ok(())
            })?;
        }
        Ok(found.of(self.raw()))
    }

    /// Visits the elements of a list until one gives something.
    pub(crate) fn find<T>(self, mut visit: impl FnMut(Value<'a>) -> Option<T>) -> Option<T> {
        if self.kind != Kind::List {
            return None;
        }
        let text = self.raw;
        let mut at = space(text, 1);
        while peek(text, at)? != b']' {
            let (element, end) = value(text, at, DEPTH_MAX).ok()?;
            let raw = text.get(element.start..element.end).unwrap_or_default();
            let found = visit(Value { kind: element.kind, raw });
            if found.is_some() {
                return found;
            }
            at = space(text, skip(text, space(text, end), b','));
        }
        None
    }
}

/// Visits the members of the object that `text` must be. Names are strings; whether one appears twice is the visitor's
/// business.
pub(crate) fn object(text: &str, visit: impl FnMut(Span, Span) -> Result<(), Malformed>) -> Result<(), Malformed> {
    let bytes = text.as_bytes();
    let end = space(bytes, members(bytes, space(bytes, 0), DEPTH_MAX, visit)?);
    if end == bytes.len() { Ok(()) } else { Err(Malformed) }
}

// Each of the following reads what starts at `at` and gives where it ends. The place goes from hand to hand, so that it
// stays in a register: kept in a struct, it costs a store and a load for every byte.

#[inline]
fn peek(text: &[u8], at: usize) -> Option<u8> {
    text.get(at).copied()
}

#[inline]
fn must(text: &[u8], at: usize, expected: u8) -> Result<usize, Malformed> {
    if peek(text, at) == Some(expected) { Ok(at + 1) } else { Err(Malformed) }
}

/// Steps over this byte, where it is there.
#[inline]
fn skip(text: &[u8], at: usize, expected: u8) -> usize {
    at + usize::from(peek(text, at) == Some(expected))
}

#[inline]
fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = peek(text, at) {
        at += 1;
    }
    at
}

/// Any value, and where the text goes on behind it.
#[inline]
fn value(text: &[u8], at: usize, depth: u32) -> Result<(Span, usize), Malformed> {
    let (kind, end) = match peek(text, at).ok_or(Malformed)? {
        b'"' => return string(text, at),
        b'-' | b'0'..=b'9' => (Kind::Number, number(text, at)?),
        b't' => (Kind::True, word(text, at, b"true")?),
        b'f' => (Kind::False, word(text, at, b"false")?),
        b'n' => (Kind::Null, word(text, at, b"null")?),
        b'[' => (Kind::List, list(text, at, depth)?),
        _ => (Kind::Object, members(text, at, depth, |_, _| Ok(()))?),
    };
    Ok((Span { kind, start: at, end }, end))
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Malformed> {
    let end = at + word.len();
    if text.get(at..end) == Some(word) { Ok(end) } else { Err(Malformed) }
}

fn members(
    text: &[u8],
    at: usize,
    depth: u32,
    mut visit: impl FnMut(Span, Span) -> Result<(), Malformed>,
) -> Result<usize, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut at = space(text, must(text, at, b'{')?);
    if peek(text, at) == Some(b'}') {
        return Ok(at + 1);
    }
    loop {
        let (name, end) = string(text, at)?;
        at = must(text, space(text, end), b':')?;
        let (member, end) = value(text, space(text, at), depth)?;
        visit(name, member)?;
        at = space(text, end);
        if peek(text, at) != Some(b',') {
            return must(text, at, b'}');
        }
        at = space(text, at + 1);
    }
}

fn list(text: &[u8], at: usize, depth: u32) -> Result<usize, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut at = space(text, must(text, at, b'[')?);
    if peek(text, at) == Some(b']') {
        return Ok(at + 1);
    }
    loop {
        let (_, end) = value(text, at, depth)?;
        at = space(text, end);
        if peek(text, at) != Some(b',') {
            return must(text, at, b']');
        }
        at = space(text, at + 1);
    }
}

/// Section 6.
#[inline]
fn number(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut at = skip(text, at, b'-');
    at = if peek(text, at) == Some(b'0') { at + 1 } else { digits(text, at)? };
    if peek(text, at) == Some(b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = peek(text, at) {
        let signed = at + 1;
        let digit = if peek(text, signed) == Some(b'+') { signed + 1 } else { skip(text, signed, b'-') };
        at = digits(text, digit)?;
    }
    Ok(at)
}

#[inline]
fn digits(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    while let Some(b'0'..=b'9') = peek(text, at) {
        at += 1;
    }
    if at == start { Err(Malformed) } else { Ok(at) }
}

/// Section 7. That the text is UTF-8 has been checked before.
#[inline]
fn string(text: &[u8], at: usize) -> Result<(Span, usize), Malformed> {
    let start = must(text, at, b'"')?;
    let (mut kind, mut at) = (Kind::Text, start);
    loop {
        at += plain_bytes(text.get(at..).unwrap_or_default());
        match peek(text, at).ok_or(Malformed)? {
            b'"' => return Ok((Span { kind, start, end: at }, at + 1)),
            b'\\' => {
                at = escape(text, at + 1)?;
                kind = Kind::Escaped;
            }
            0..=0x1f => return Err(Malformed),
            _ => at += 1,
        }
    }
}

#[cold]
fn escape(text: &[u8], at: usize) -> Result<usize, Malformed> {
    match peek(text, at).ok_or(Malformed)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 1),
        b'u' => match unit(text, at + 1)? {
            // Halves of a pair mean something only together (section 8.2).
            (0xd800..=0xdbff, end) => match unit(text, must(text, must(text, end, b'\\')?, b'u')?)? {
                (0xdc00..=0xdfff, end) => Ok(end),
                _ => Err(Malformed),
            },
            (0xdc00..=0xdfff, _) => Err(Malformed),
            (_, end) => Ok(end),
        },
        _ => Err(Malformed),
    }
}

/// Four hexadecimal digits.
fn unit(text: &[u8], at: usize) -> Result<(u16, usize), Malformed> {
    let end = at + 4;
    let mut unit = 0;
    for digit in text.get(at..end).ok_or(Malformed)? {
        let value = char::from(*digit).to_digit(16).and_then(|value| u16::try_from(value).ok());
        unit = unit << 4 | value.ok_or(Malformed)?;
    }
    Ok((unit, end))
}

/// Whether both are the same, eight bytes at a time: what `==` calls in a component goes byte by byte.
#[inline]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let pairs = words.iter().zip(other_words);
    pairs.fold(true, |same, (one, other)| same & (u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other)))
        && rest.iter().zip(other_rest).all(|(one, other)| one == other)
}

/// How many bytes at the start certainly need no closer look: eight at a time, none of them a quote, a backslash or a
/// control character. The last group is left to the caller unless something in it was found.
#[inline]
fn plain_bytes(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    // The high bit of each byte that is zero. Borrows reach only bytes above the first that is, and the first counts.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, _) = text.as_chunks::<8>();
    let mut plain = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c)) | below_space;
        if special != 0 {
            return plain + (special.trailing_zeros() / 8) as usize;
        }
        plain += 8;
    }
    plain
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
