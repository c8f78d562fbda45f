//! From the path of a URL to a path below the folder.
//!
//! Pure. What could be read in two ways is refused, not interpreted: no segment may hold a slash, a backslash or NUL, be a dot
//! segment, or begin with a dot (`.well-known` may, RFC 8615).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use crate::exchange::{Failure, Reason};

/// A path as it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Where the file would be: relative, `.` for the folder itself.
    pub(super) path: PathBuf,
    /// Whether it ends with a slash.
    pub(super) is_folder: bool,
}

/// Takes apart the path of a URL. `strip_prefix` is not looked for in the folder; what does not begin with it is not there.
pub(super) fn read(path: &str, strip_prefix: Option<&str>) -> Result<Asked, Failure> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    for wanted in strip_prefix.iter().flat_map(|prefix| prefix.split('/')).filter(|segment| !segment.is_empty()) {
        let mut segment = Vec::new();
        push_decoded(segments.next().unwrap_or_default(), &mut segment)?;
        if segment != wanted.as_bytes() {
            return Err(Failure::new(Reason::NoFile, "the path does not begin with what is stripped off"));
        }
    }
    let mut joined = Vec::with_capacity(path.len());
    for segment in segments {
        if !joined.is_empty() {
            joined.push(b'/');
        }
        let start = joined.len();
        push_decoded(segment, &mut joined)?;
        check(joined.get(start..).unwrap_or_default())?;
    }
    if joined.is_empty() {
        joined.push(b'.');
    }
    Ok(Asked { path: PathBuf::from(OsString::from_vec(joined)), is_folder: path.ends_with('/') })
}

/// What a segment of a URL's path says, for people.
pub(super) fn shown(path: &str) -> String {
    let mut decoded = Vec::new();
    match push_decoded(path, &mut decoded) {
        Ok(()) => String::from_utf8_lossy(&decoded).into_owned(),
        Err(_) => path.to_owned(),
    }
}

/// RFC 3986 section 2.1.
fn push_decoded(segment: &str, decoded: &mut Vec<u8>) -> Result<(), Failure> {
    let mut rest = segment.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let (plain, after) = rest.split_at(at);
        decoded.extend_from_slice(plain);
        let [_, high, low, after @ ..] = after else { return Err(malformed()) };
        decoded.push(digit(*high)? << 4 | digit(*low)?);
        rest = after;
    }
    decoded.extend_from_slice(rest);
    Ok(())
}

fn digit(byte: u8) -> Result<u8, Failure> {
    let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digit.ok_or_else(malformed)
}

fn malformed() -> Failure {
    Failure::new(Reason::BadRequest, "a percent sign in the path that encodes nothing")
}

fn check(segment: &[u8]) -> Result<(), Failure> {
    let bad = |detail: &'static str| Err(Failure::new(Reason::BadRequest, detail));
    match segment {
        b"." | b".." => bad("a dot segment in the path"),
        b".well-known" => Ok(()),
        [b'.', ..] => Err(Failure::new(Reason::NoFile, "hidden files are not shown")),
        _ if segment.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) => {
            bad("an encoded slash, backslash or NUL in the path")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_become_relative() {
        let check = |path: &str, expected: &str, is_folder: bool| {
            assert_eq!(read(path, None).unwrap(), Asked { path: expected.into(), is_folder }, "{path}");
        };
        check("/", ".", true);
        check("//", ".", true);
        check("/a/b.css", "a/b.css", false);
        check("//a///b/", "a/b", true);
        check("/a%20b/%C3%A4?", "a b/ä?", false);
        check("/a..b/c...", "a..b/c...", false);
        check("/.well-known/security.txt", ".well-known/security.txt", false);
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let check = |path: &str, reason| assert_eq!(read(path, None).map_err(|e| e.reason), Err(reason), "{path}");
        for path in [
            "/..",
            "/a/../b",
            "/./a",
            "/%2e%2e/etc/passwd",
            "/.%2E/a",
            "/a%2f..%2fb",
            "/%2Fetc",
            "/a%5C..%5Cb",
            "/a%00.html",
            "/a\\b",
            "/%",
            "/%2",
            "/%zz",
            "/a%+1",
        ] {
            check(path, Reason::BadRequest);
        }
        for path in ["/.git/config", "/%2egit/config", "/a/.env", "/.well-known/.x", "/..a", "/.well-known2"] {
            check(path, Reason::NoFile);
        }
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let check = |path: &str, expected: Option<&str>| {
            let read = read(path, Some("/static/x")).ok();
            assert_eq!(read.map(|asked| asked.path), expected.map(PathBuf::from), "{path}");
        };
        check("/static/x/a", Some("a"));
        check("//static/%78/a", Some("a"));
        check("/static/x", Some("."));
        check("/static/xa", None);
        check("/static", None);
        check("/", None);
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_folder(path in "(/|%2[eEfF]|%5c|%00|\\.|\\\\|a|%61|%){0,12}") {
            if let Ok(asked) = read(&format!("/{path}"), None) {
                let normal = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(asked.path.as_os_str() == "." || asked.path.components().all(normal), "{asked:?}");
            }
        }
    }
}
