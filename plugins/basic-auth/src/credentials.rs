//! Credentials as they come in `Authorization` (RFC 7617 section 2). Pure.

/// A name and a password, as bytes: what was hashed were bytes, too.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    joined: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// Reads all values of the field; none where there are none, or only of another scheme.
    pub(crate) fn read<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, &'static str> {
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err("more than one Authorization field");
        }
        let Some((scheme, rest)) = value.trim_ascii().split_at_checked(5) else { return Ok(None) };
        if !scheme.eq_ignore_ascii_case(b"basic") || !rest.starts_with(b" ") {
            return Ok(None);
        }
        let joined = base64(rest.trim_ascii()).ok_or("credentials that are not base64")?;
        let colon = joined.iter().position(|byte| *byte == b':').ok_or("credentials without a colon")?;
        if joined.iter().any(|byte| byte.is_ascii_control()) {
            return Err("credentials with control characters");
        }
        Ok(Some(Self { joined, colon }))
    }

    pub(crate) fn joined(&self) -> &[u8] {
        &self.joined
    }

    pub(crate) fn name(&self) -> &[u8] {
        self.joined.get(..self.colon).unwrap_or_default()
    }

    pub(crate) fn password(&self) -> &[u8] {
        self.joined.get(self.colon + 1..).unwrap_or_default()
    }
}

/// Base64 (RFC 4648 section 4), with its padding or without.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6
                | u32::from(match digit {
                    b'A'..=b'Z' => digit - b'A',
                    b'a'..=b'z' => digit - b'a' + 26,
                    b'0'..=b'9' => digit - b'0' + 52,
                    b'+' => 62,
                    b'/' => 63,
                    _ => return None,
                });
        }
        let count = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        bits <<= 6 * (4 - group.len());
        bytes.extend(bits.to_be_bytes().into_iter().skip(1).take(count));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_the_standard_says() {
        let read = |values: &[&str]| Credentials::read(values.iter().map(|value| value.as_bytes()));
        let check = |value: &str, name: &str, password: &str| {
            let found = read(&[value]);
            let found = found.as_ref().map(|found| found.as_ref().map(|found| (found.name(), found.password())));
            assert_eq!(found, Ok(Some((name.as_bytes(), password.as_bytes()))), "{value}");
        };
        // RFC 7617 section 2 and 2.1.
        check("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame");
        check("bAsIc dGVzdDoxMjPCow==", "test", "123£");
        check("Basic dGVzdDoxMjPCow", "test", "123£");
        check("Basic Og==", "", "");
        check("Basic YTpiOmM=", "a", "b:c");
        for none in ["", "Bearer abc", "Basic", "Basics abc"] {
            assert_eq!(read(&[none]), Ok(None), "{none}");
        }
        assert_eq!(read(&[]), Ok(None));
        for wrong in ["Basic !!!!", "Basic YQ==", "Basic A", "Basic YTpiCg==", "Basic YTpi AAAA"] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
        assert!(read(&["Basic Og==", "Basic Og=="]).is_err());
    }
}
