//! Percent-decoding of path segments (RFC 3986 section 2.1), without refusing anything.

use std::borrow::Cow;

/// The decoded bytes; a `%` that is not followed by two hexadecimal digits stays as it is.
pub(super) fn decode(segment: &str) -> Cow<'_, [u8]> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment.as_bytes());
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    Cow::Owned(decoded)
}

/// The decoded text; a segment that does not decode to UTF-8 stays as it is.
pub(super) fn decode_text(segment: &str) -> String {
    String::from_utf8(decode(segment).into_owned()).unwrap_or_else(|_| segment.to_owned())
}

/// The text with those characters decoded that need no encoding (RFC 3986 section 6.2.2.2), and nothing else: what is left encoded means
/// something else than the character itself.
pub(super) fn plain(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                plain.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                plain.push('%');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Whether every `%` begins an encoded byte.
pub(super) fn is_sound(segment: &str) -> bool {
    let mut rest = segment.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        rest = match rest.get(at + 1..) {
            Some([high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            _ => return false,
        };
    }
    true
}

/// The value of a hexadecimal digit.
fn digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_decoded_is() {
        let check = |given, expected: &str| assert_eq!(decode_text(given), expected, "{given}");
        check("plain", "plain");
        check("a%20b%2Fc%2fd", "a b/c/d");
        check("%C3%A4", "ä");
        check("%", "%");
        check("%4", "%4");
        check("%zz%41", "%zzA");
        check("%25%32%30", "%20");
        check("%ff", "%ff");
        assert!(matches!(decode("plain"), Cow::Borrowed(_)));
        assert_eq!(plain("/%61%2Fb%2e%zz%4/%20"), "/a%2Fb.%zz%4/%20");
        assert!(is_sound("a%20") && is_sound("") && !is_sound("%2") && !is_sound("a%2g"));
    }
}
