//! Decodes base64url as JOSE writes it (RFC 7515 section 2): no padding, no line breaks, no stray bits.
//!
//! Invariant: exactly one text decodes to given bytes, so that nobody can vary a token that is already known.

/// Not base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The value of each character; the high bit where it is not one of the alphabet.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut table = [0x80; 256];
    let mut rest: &[u8] = alphabet;
    let mut value = 0;
    while let [character, after @ ..] = rest {
        // The indices are a byte and 256 is the length of the table; this runs in the compiler.
        #[allow(clippy::indexing_slicing, reason = "a byte indexes 256 places")]
        {
            table[*character as usize] = value;
        }
        value += 1;
        rest = after;
    }
    table
}

#[inline]
fn value(character: u8) -> u8 {
    // The optimiser sees that a byte always finds its place.
    VALUES.get(usize::from(character)).copied().unwrap_or(0x80)
}

/// Replaces the contents of `out` by what `text` says.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.clear();
    out.resize(text.len() / 4 * 3, 0);
    let (quads, tail) = text.as_chunks::<4>();
    let (triples, _) = out.as_chunks_mut::<3>();
    // Errors are gathered rather than answered at once, which keeps the loop free of branches.
    let mut seen = 0;
    for ([a, b, c, d], triple) in quads.iter().zip(triples) {
        let [a, b, c, d] = [value(*a), value(*b), value(*c), value(*d)];
        seen |= a | b | c | d;
        *triple = [(a << 2) | (b >> 4), (b << 4) | (c >> 2), (c << 6) | d];
    }
    match *tail {
        [] => {}
        [a, b] => {
            let [a, b] = [value(a), value(b)];
            // The bits that are left over must be zero.
            seen |= a | b | if b & 0x0f == 0 { 0 } else { 0x80 };
            out.push((a << 2) | (b >> 4));
        }
        [a, b, c] => {
            let [a, b, c] = [value(a), value(b), value(c)];
            seen |= a | b | c | if c & 0x03 == 0 { 0 } else { 0x80 };
            out.extend([(a << 2) | (b >> 4), (b << 4) | (c >> 2)]);
        }
        _ => return Err(Malformed),
    }
    if seen & 0x80 == 0 { Ok(()) } else { Err(Malformed) }
}

/// What `bytes` look like as base64url.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let character = |six: u8| char::from(ALPHABET.get(usize::from(six & 0x3f)).copied().unwrap_or(b'A'));
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let (a, b, c) = match *chunk {
            [a, b, c] => (a, b, c),
            [a, b] => (a, b, 0),
            [a] => (a, 0, 0),
            _ => continue,
        };
        let all = [a >> 2, (a << 4) | (b >> 4), (b << 2) | (c >> 6), c];
        out.extend(all.iter().take(chunk.len() + 1).map(|six| character(*six)));
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = b"left over".to_vec();
        decode(text, &mut out).map(|()| out)
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        assert_eq!(decoded(b"").unwrap(), b"");
        assert_eq!(decoded(b"Zg").unwrap(), b"f");
        for bad in ["Z", "Zh", "Zg==", "Zm8=", "Zm9", "Zm9v=", "Zm+v", "Zm/v", "Zm v", "Zm9v\n", "Zm.v", "Zmöv"] {
            assert_eq!(decoded(bad.as_bytes()), Err(Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn decodes_what_the_crate_decodes(text in "[A-Za-z0-9_=+/. -]{0,40}") {
            prop_assert_eq!(decoded(text.as_bytes()).ok(), URL_SAFE_NO_PAD.decode(&text).ok());
        }

        #[test]
        fn decodes_every_text_of_the_alphabet(text in "[A-Za-z0-9_-]{0,80}") {
            prop_assert_eq!(decoded(text.as_bytes()).ok(), URL_SAFE_NO_PAD.decode(&text).ok());
        }

        #[test]
        fn encodes_what_it_decodes(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(&text, &URL_SAFE_NO_PAD.encode(&bytes));
            prop_assert_eq!(decoded(text.as_bytes()), Ok(bytes));
        }
    }
}
