//! What clients sent, made harmless: in a line, it can end neither the line nor the text that it stands in.
//!
//! Invariant: what is appended is valid UTF-8 without control characters, and without quotes and backslashes that mean anything else than
//! themselves. What is not UTF-8 appears as `\xff`, in hexadecimal digits.

use super::number;

/// In what a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A string of JSON (RFC 8259 section 7).
    Json,
    /// A template.
    Plain,
}

/// Longest text in a line. Longer ones are cut off, so that one client cannot fill the log alone.
pub(super) const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Whether all of these bytes stand for themselves in both styles: printable ASCII without `"` and `\`. Looks at all of them, so that it can be
/// done for many at once.
fn are_sound(bytes: &[u8]) -> bool {
    let is_sound = |byte: u8| (byte.wrapping_sub(0x20) < 0x5f) & (byte != b'"') & (byte != b'\\');
    bytes.iter().fold(true, |sound, byte| sound & is_sound(*byte))
}

/// Appends a text from outside.
pub(super) fn text(bytes: &[u8], style: Style, out: &mut Vec<u8>) {
    let kept = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
    match are_sound(kept) {
        true => out.extend_from_slice(kept),
        false => odd(kept, style, out),
    }
    if kept.len() < bytes.len() {
        out.extend_from_slice(b"...");
    }
}

#[cold]
fn odd(bytes: &[u8], style: Style, out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            one(character, style, out);
        }
        for byte in chunk.invalid() {
            byte_of_none(*byte, style, out);
        }
    }
}

fn one(character: char, style: Style, out: &mut Vec<u8>) {
    match (character, style) {
        ('"' | '\\', _) => out.extend_from_slice(&[b'\\', character as u8]),
        (odd, Style::Json) if is_odd(odd) => {
            let mut units = [0; 2];
            for unit in odd.encode_utf16(&mut units) {
                let [high, low] = unit.to_be_bytes();
                out.extend_from_slice(b"\\u");
                hexadecimal(high, out);
                hexadecimal(low, out);
            }
        }
        (odd, Style::Plain) if is_odd(odd) => {
            let mut bytes = [0; 4];
            odd.encode_utf8(&mut bytes).bytes().for_each(|byte| byte_of_none(byte, style, out));
        }
        (sound, _) => {
            let mut bytes = [0; 4];
            out.extend_from_slice(sound.encode_utf8(&mut bytes).as_bytes());
        }
    }
}

/// Whether a character does something to those around it: ends a line, steers a terminal, turns the direction of writing.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A byte that is no part of any character.
fn byte_of_none(byte: u8, style: Style, out: &mut Vec<u8>) {
    // In JSON the backslash itself must be escaped.
    out.extend_from_slice(if style == Style::Json { b"\\\\x" } else { b"\\x" });
    hexadecimal(byte, out);
}

fn hexadecimal(byte: u8, out: &mut Vec<u8>) {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
}

/// Appends what displays itself, such as an address. What it displays is a text from outside.
pub(super) fn display(shown: &dyn std::fmt::Display, style: Style, out: &mut Vec<u8>) {
    struct Escaping<'a>(Style, &'a mut Vec<u8>);
    impl std::fmt::Write for Escaping<'_> {
        fn write_str(&mut self, part: &str) -> std::fmt::Result {
            text(part.as_bytes(), self.0, self.1);
            Ok(())
        }
    }
    // Only what displays itself could fail, and then what is there is all that can be had.
    let _ = std::fmt::Write::write_fmt(&mut Escaping(style, out), format_args!("{shown}"));
}

/// Appends a socket address. By hand, since it stands in every line.
pub(super) fn address(address: std::net::SocketAddr, style: Style, out: &mut Vec<u8>) {
    match address {
        std::net::SocketAddr::V4(four) => {
            for (index, octet) in four.ip().octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                number::whole(u64::from(octet), out);
            }
            out.push(b':');
            number::whole(u64::from(four.port()), out);
        }
        six => display(&six, style, out),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[u8], style: Style) -> String {
        let mut out = Vec::new();
        text(bytes, style, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_clients_send_stays_one_harmless_text() {
        let check = |sent: &[u8], json: &str, plain: &str| {
            assert_eq!(shown(sent, Style::Json), json);
            assert_eq!(shown(sent, Style::Plain), plain);
        };
        check(b"/a?b=c d", "/a?b=c d", "/a?b=c d");
        check(b"a\"b\\c", "a\\\"b\\\\c", "a\\\"b\\\\c");
        check(b"a\r\nb\0\x1b[31m\x7f", "a\\u000d\\u000ab\\u0000\\u001b[31m\\u007f", "a\\x0d\\x0ab\\x00\\x1b[31m\\x7f");
        check("ü€🎉".as_bytes(), "ü€🎉", "ü€🎉");
        check(b"a\xff\xc3(", "a\\\\xff\\\\xc3(", "a\\xff\\xc3(");
        check(
            "a\u{2028}\u{85}\u{202e}".as_bytes(),
            "a\\u2028\\u0085\\u202e",
            "a\\xe2\\x80\\xa8\\xc2\\x85\\xe2\\x80\\xae",
        );
        let long = vec![b'x'; TEXT_BYTES_MAX + 1];
        assert_eq!(shown(&long, Style::Plain), format!("{}...", "x".repeat(TEXT_BYTES_MAX)));
    }

    #[test]
    fn addresses_are_as_the_library_writes_them() {
        for text in ["127.0.0.1:80", "255.100.10.1:65535", "[::1]:443", "[2001:db8::7]:1"] {
            let mut out = Vec::new();
            address(text.parse().unwrap(), Style::Plain, &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn json_gives_back_what_was_sent(sent in ".{0,40}") {
            let line = format!("\"{}\"", shown(sent.as_bytes(), Style::Json));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), sent);
        }

        #[test]
        fn nothing_ends_a_line_or_a_quoted_text(sent: Vec<u8>) {
            for style in [Style::Json, Style::Plain] {
                let shown = shown(&sent, style);
                prop_assert!(!shown.chars().any(is_odd));
                let mut escaped = false;
                for character in shown.chars() {
                    prop_assert!(escaped || character != '"');
                    escaped = !escaped && character == '\\';
                }
                prop_assert!(!escaped);
            }
        }
    }
}
