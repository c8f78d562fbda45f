//! The nonce of a Content-Security-Policy: 128 random bits in base64.

use portcullis_sdk::prelude::*;
use portcullis_sdk::random;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A new nonce.
pub(crate) fn make() -> Result<String> {
    // CSP Level 3 section 2.3.1 asks for at least 128 bits.
    let mut bytes = [0; 16];
    if random::fill(&mut bytes) { Ok(base64(bytes)) } else { Err("no random bytes for a nonce".into()) }
}

/// A nonce that another plugin left must fit between the quotes of `'nonce-…'`.
pub(crate) fn check(nonce: &str) -> Result<()> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b);
    if !nonce.is_empty() && nonce.bytes().all(fits) { Ok(()) } else { Err("attribute csp.nonce is not base64".into()) }
}

/// Base64 without padding: 22 characters, six bits each.
fn base64(bytes: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(bytes);
    let digit = |index: u32| {
        // The last digit has only two bits left; they are its upper ones.
        let six = if index < 21 { bits >> (122 - 6 * index) } else { bits << 4 } & 0x3f;
        ALPHABET.get(six as usize).map_or('A', |&byte| char::from(byte))
    };
    (0..22).map(digit).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_in_rfc_4648() {
        assert_eq!(base64([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64([0xff; 16]), "/////////////////////w");
        assert_eq!(base64(*b"0123456789abcdef"), "MDEyMzQ1Njc4OWFiY2RlZg");
    }

    #[test]
    fn nonces_differ_and_pass_their_own_check() {
        let (one, other) = (make().unwrap(), make().unwrap());
        assert_ne!(one, other);
        assert!(check(&one).is_ok());
        assert!(check("a' 'unsafe-inline").is_err());
        assert!(check("").is_err());
    }
}
