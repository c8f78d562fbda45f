//! Secrets in queries: the values of parameters with certain names are not shown, however their names are spelled.

use super::escape::{self, Style};

/// What stands where a secret was.
pub(super) const REDACTED: &[u8] = b"(redacted)";

/// Longest name of a parameter that is told apart, in bytes. None that is configured is longer.
const NAME_BYTES_MAX: usize = 64;

/// Appends a query whose secrets are not shown.
pub(super) fn query(query: &[u8], secret: &[Box<str>], style: Style, out: &mut Vec<u8>) {
    let end = out.len() + escape::TEXT_BYTES_MAX;
    for pair in query.split_inclusive(|byte| matches!(byte, b'&' | b';')) {
        // Each part has the length of a text at most, and so have all of them.
        if out.len() > end {
            return out.extend_from_slice(b"...");
        }
        let (pair, separator) = match pair.split_last() {
            Some((last @ (b'&' | b';'), rest)) => (rest, Some(*last)),
            _ => (pair, None),
        };
        let at = pair.iter().position(|byte| *byte == b'=');
        match at.and_then(|at| pair.split_at_checked(at + 1)) {
            Some((name, value)) if !value.is_empty() && is_secret(name, secret) => {
                escape::text(name, style, out);
                out.extend_from_slice(REDACTED);
            }
            _ => escape::text(pair, style, out),
        }
        out.extend(separator);
    }
}

/// Appends a URL, or the path and query of one, with what is secret in query and fragment not shown.
pub(super) fn url(url: &[u8], secret: &[Box<str>], style: Style, out: &mut Vec<u8>) {
    let at = url.iter().position(|byte| matches!(byte, b'?' | b'#')).map_or(url.len(), |at| at + 1);
    let (before, mut rest) = url.split_at_checked(at).unwrap_or((url, &[]));
    user_removed(before, style, out);
    // Answers of identity providers come in fragments, too.
    while let Some(at) = rest.iter().position(|byte| *byte == b'#') {
        let (part, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        query(part, secret, style, out);
        out.push(b'#');
        rest = after.get(1..).unwrap_or_default();
    }
    query(rest, secret, style, out);
}

/// Appends what comes before a query, without the user and password that a URL may name (RFC 3986 section 3.2.1).
fn user_removed(before: &[u8], style: Style, out: &mut Vec<u8>) {
    let begins = before.windows(3).position(|three| three == b"://").map(|at| at + 3);
    let authority = begins.and_then(|at| before.split_at_checked(at));
    let Some((scheme, rest)) = authority else { return escape::text(before, style, out) };
    let ends = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    match rest.get(..ends).and_then(|host| host.iter().rposition(|byte| *byte == b'@')) {
        Some(at) => {
            escape::text(scheme, style, out);
            out.extend_from_slice(REDACTED);
            escape::text(rest.get(at..).unwrap_or_default(), style, out);
        }
        None => escape::text(before, style, out),
    }
}

/// Whether a name, with its `=`, is that of a secret: as it stands, percent-encoded, or as the last part of `user[password]`.
fn is_secret(name: &[u8], secret: &[Box<str>]) -> bool {
    let name = name.strip_suffix(b"=").unwrap_or(name);
    let known = |name: &[u8]| secret.iter().any(|secret| secret.as_bytes().eq_ignore_ascii_case(name));
    if !name.iter().any(|byte| matches!(byte, b'%' | b'[' | b']')) {
        return known(name);
    }
    let mut decoded = [0; NAME_BYTES_MAX];
    let mut length = 0;
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        let hexadecimal = |digit: &u8| char::from(*digit).to_digit(16);
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => match (hexadecimal(high), hexadecimal(low)) {
                (Some(high), Some(low)) => ((high * 16 + low) as u8, after),
                _ => (b'%', after.get(..).unwrap_or_default()),
            },
            _ => (*byte, after),
        };
        let Some(slot) = decoded.get_mut(length) else { return false };
        *slot = byte;
        length += 1;
        rest = after;
    }
    let name = decoded.get(..length).unwrap_or_default();
    let last = name.strip_suffix(b"]").unwrap_or(name).rsplit(|byte| *byte == b'[').next().unwrap_or(name);
    known(name) || known(last)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn secrets() -> Vec<Box<str>> {
        ["token", "api_key", "password"].map(Into::into).to_vec()
    }

    #[test]
    fn secrets_are_found_however_they_are_spelled() {
        let check = |sent: &str, expected: &str| {
            let mut out = Vec::new();
            query(sent.as_bytes(), &secrets(), Style::Plain, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{sent}");
        };
        check("", "");
        check("a=1&b=2", "a=1&b=2");
        check("token=abc", "token=(redacted)");
        check("a=1&TOKEN=abc&b=2", "a=1&TOKEN=(redacted)&b=2");
        check("a=1;token=abc;b", "a=1;token=(redacted);b");
        check("tok%65n=abc&%74%6F%6b%65%6e=x", "tok%65n=(redacted)&%74%6F%6b%65%6e=(redacted)");
        check("user[password]=x&user%5Bpassword%5D=y", "user[password]=(redacted)&user%5Bpassword%5D=(redacted)");
        check("token=a=b==", "token=(redacted)");
        check("tokens=1&token&token=", "tokens=1&token&token=");
        check("&&token=x&", "&&token=(redacted)&");
        check("tok%zzen=1&%=2", "tok%zzen=1&%=2");
        check("q=\"x\"&token=\"", "q=\\\"x\\\"&token=(redacted)");
        check(&format!("{}token=1", "x".repeat(100)), &format!("{}token=1", "x".repeat(100)));
    }

    #[test]
    fn urls_keep_what_is_no_secret() {
        let check = |sent: &str, expected: &str| {
            let mut out = Vec::new();
            url(sent.as_bytes(), &secrets(), Style::Plain, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{sent}");
        };
        check("/a/b", "/a/b");
        check("https://a.example/?token=1&x=2#frag", "https://a.example/?token=(redacted)&x=2#frag");
        check("https://a.example/cb#token=1&x=2", "https://a.example/cb#token=(redacted)&x=2");
        check("https://a.example/?x=1#token=1#token=2", "https://a.example/?x=1#token=(redacted)#token=(redacted)");
        check("https://user:pass@a.example/x?y", "https://(redacted)@a.example/x?y");
        check("https://a.example/@x", "https://a.example/@x");
        check("?token=1", "?token=(redacted)");
    }

    #[test]
    fn a_query_without_end_is_cut_off() {
        let mut out = Vec::new();
        query("a=bcdef&".repeat(100_000).as_bytes(), &secrets(), Style::Json, &mut out);
        assert!(out.len() < escape::TEXT_BYTES_MAX + 32 && out.ends_with(b"..."), "{}", out.len());
    }
}
