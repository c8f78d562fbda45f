//! Paths in the one spelling in which plugins compare them.
//!
//! Clients may write the same path in many ways: `/%61dmin//x` is `/admin/x`. The gateway's router takes them for the same, so a plugin that did
//! not would decide about another path than the one that is asked for. Nothing here calls the gateway. Invariant: paths that the router
//! takes for the same (decoded part by part, slashes that follow one another as one) have the same text, and others do not.

/// What stays encoded beside what is not ASCII: what browsers encode in a path (URL standard, path percent-encode set), and what would mean
/// something else if it were decoded.
const ENCODED: &[u8] = b" \"#%/<>?\\^`{}";

/// The path of a request.
///
/// Most have one reading. A slash that is encoded, `%2F`, is part of a name for the gateway's router, but some servers decode first and take apart
/// then: for them `/public/..%2Fadmin` is `/admin`. Such a path has two readings, and who guards something has to ask about both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    plain: String,
    resolved: Option<String>,
}

impl Path {
    /// Reads a path as it came ([`Request::path`](crate::Request::path)).
    #[must_use]
    pub fn new(path: String) -> Self {
        let plain = if is_plain(&path) { path } else { plain(&path) };
        let resolved = resolved(&plain);
        Self { plain, resolved }
    }

    /// As the gateway's router reads it: decoded but for what browsers would encode, and without repeated slashes.
    #[must_use]
    pub fn plain(&self) -> &str {
        &self.plain
    }

    /// As a server reads it that decodes slashes before it takes the path apart: encoded slashes are slashes, and dot segments are
    /// gone (RFC 3986 section 5.2.4). Mostly the same as [`Self::plain`].
    #[must_use]
    pub fn resolved(&self) -> &str {
        self.resolved.as_deref().unwrap_or(&self.plain)
    }

    /// All ways in which it may be read: one or two.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.plain.as_str()).chain(self.resolved.as_deref())
    }

    /// What `asked` says of every reading; none where it does not say the same.
    pub fn agreed<T: PartialEq>(&self, asked: impl Fn(&str) -> T) -> Option<T> {
        let first = asked(&self.plain);
        match &self.resolved {
            Some(resolved) if asked(resolved) != first => None,
            _ => Some(first),
        }
    }
}

/// The text as it is compared, of paths and of parts of patterns alike.
pub(crate) fn plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, was_encoded) = match (first, after) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = behind;
                (digit(*high) << 4 | digit(*low), true)
            }
            _ => {
                rest = after;
                (*first, false)
            }
        };
        match byte {
            b'/' if !was_encoded => {
                if !plain.ends_with('/') {
                    plain.push('/');
                }
            }
            b'!'..=b'~' if !ENCODED.contains(&byte) => plain.push(char::from(byte)),
            _ => plain.push_str(&format!("%{byte:02X}")),
        }
    }
    plain
}

/// Whether a path is as it is compared already, like nearly all are.
fn is_plain(path: &str) -> bool {
    let stays = |byte: u8| byte == b'/' || (byte.is_ascii_graphic() && !ENCODED.contains(&byte));
    path.bytes().all(stays) && !path.contains("//")
}

/// The other reading of a plain path, if there is one.
fn resolved(plain: &str) -> Option<String> {
    if !plain.contains("%2F") && !plain.contains("%5C") {
        return None;
    }
    let slashes = plain.replace("%2F", "/").replace("%5C", "/");
    let mut kept = Vec::new();
    let mut parts = slashes.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "" | "." | ".." => {
                if part == ".." {
                    kept.pop();
                }
                // What ends in a slash or a dot segment is a folder.
                if is_last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    Some(format!("/{}", kept.join("/")))
}

/// The value of a hexadecimal digit.
const fn digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_one() {
        let check = |path: &str, expected: &str| assert_eq!(Path::new(path.to_owned()).plain(), expected, "{path}");
        check("/", "/");
        check("/a/b", "/a/b");
        check("/a/", "/a/");
        check("//a///b//", "/a/b/");
        check("/%61dmin/%55sers", "/admin/Users");
        check("/a%2fb%2F%2Fc", "/a%2Fb%2F%2Fc");
        check("/%40ann:(1)*!%2a%7E", "/@ann:(1)*!*~");
        check("/a%20b/caf%c3%a9/\u{e9}", "/a%20b/caf%C3%A9/%C3%A9");
        // A lone percent sign is one (the router reads it so), and an encoded one is not decoded twice.
        check("/100%", "/100%25");
        check("/%2561", "/%2561");
        check("/%zz%4", "/%25zz%254");
        check("/a\"b|c", "/a%22b|c");
        check("/%5cx", "/%5Cx");
        check("/%ff%00", "/%FF%00");
        check("*", "*");
    }

    #[test]
    fn encoded_slashes_have_a_second_reading() {
        let check = |path: &str, expected: &[&str]| {
            let path = Path::new(path.to_owned());
            assert_eq!(path.readings().collect::<Vec<_>>(), expected);
            assert_eq!(Some(&path.resolved()), expected.last());
        };
        check("/a%20b", &["/a%20b"]);
        check("/admin%2fusers", &["/admin%2Fusers", "/admin/users"]);
        check("/public/..%2Fadmin", &["/public/..%2Fadmin", "/admin"]);
        check("/public/%2e%2e%5Cadmin/", &["/public/..%5Cadmin/", "/admin/"]);
        check("/a/b%2f..", &["/a/b%2F..", "/a/"]);
        check("/..%2F..%2Fa%2F%2F.%2Fb", &["/..%2F..%2Fa%2F%2F.%2Fb", "/a/b"]);
        check("/a%252Fb", &["/a%252Fb"]);
        let path = Path::new("/a%2Fb".to_owned());
        assert_eq!(path.agreed(|text| text.starts_with("/a")), Some(true));
        assert_eq!(path.agreed(|text| text.starts_with("/a/")), None);
    }
}
