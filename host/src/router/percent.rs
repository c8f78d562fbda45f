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
        assert!(is_sound("a%20") && is_sound("") && !is_sound("%2") && !is_sound("a%2g"));
    }
}
