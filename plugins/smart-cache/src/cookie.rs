//! Cookies of a request (RFC 6265 section 4.2.1): `name=value; name=value`.

/// The pairs of a Cookie header, as bytes: a cookie may hold anything.
pub(crate) fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|&b| b == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|&b| b == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        Some((name, value.strip_prefix(b"=").unwrap_or(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_split_at_semicolons_and_the_first_equals_sign() {
        let header = b"a=1; b=x=y ;; flag; c=; \xff=\xfe";
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b"x=y"), (b"c", b""), (b"\xff", b"\xfe")];
        assert_eq!(pairs(header).collect::<Vec<_>>(), expected);
    }
}
