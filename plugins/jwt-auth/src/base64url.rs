//! Decodes base64url as JOSE writes it (RFC 7515 section 2): no padding, no line breaks, no stray bits.
//!
//! Invariant: exactly one text decodes to given bytes, so that nobody can vary a token that is already known.

/// Not base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Set in a table's entry for what is not in the alphabet.
const BAD: u32 = 0x8000_0000;

/// For each of the four places in a group: the bits of a character where they belong in the three bytes.
const FIRST: [u32; 256] = table(18);
const SECOND: [u32; 256] = table(12);
const THIRD: [u32; 256] = table(6);
const FOURTH: [u32; 256] = table(0);

#[allow(clippy::indexing_slicing, reason = "a byte indexes 256 places, and this runs in the compiler")]
const fn table(shift: u32) -> [u32; 256] {
    let mut table = [BAD; 256];
    let mut rest: &[u8] = ALPHABET;
    let mut value = 0;
    while let [character, after @ ..] = rest {
        table[*character as usize] = value << shift;
        value += 1;
        rest = after;
    }
    table
}

#[inline]
fn bits(table: &[u32; 256], character: u8) -> u32 {
    // The optimiser sees that a byte always finds its place.
    table.get(usize::from(character)).copied().unwrap_or(BAD)
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
        let group = bits(&FIRST, *a) | bits(&SECOND, *b) | bits(&THIRD, *c) | bits(&FOURTH, *d);
        seen |= group;
        let [_, one, two, three] = group.to_be_bytes();
        *triple = [one, two, three];
    }
    // The bits that are left over at the end must be zero.
    match *tail {
        [] => {}
        [a, b] => {
            let group = bits(&FIRST, a) | bits(&SECOND, b);
            seen |= group | if group & 0xffff == 0 { 0 } else { BAD };
            let [_, one, ..] = group.to_be_bytes();
            out.push(one);
        }
        [a, b, c] => {
            let group = bits(&FIRST, a) | bits(&SECOND, b) | bits(&THIRD, c);
            seen |= group | if group & 0xff == 0 { 0 } else { BAD };
            let [_, one, two, _] = group.to_be_bytes();
            out.extend([one, two]);
        }
        _ => return Err(Malformed),
    }
    if seen & BAD == 0 { Ok(()) } else { Err(Malformed) }
}

/// What `bytes` look like as base64url.
pub(crate) fn encode(bytes: &[u8]) -> String {
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
