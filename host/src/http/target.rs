//! Paths that could be read differently behind us (RFC 3986 section 3.3): dot segments and doubled slashes.
//!
//! A route decides who may pass. A path that another server would tidy up into another route's must not get by on this one.

use std::borrow::Cow;

/// Whether a path has a segment that is `.` or `..`, percent-encoded ones included.
pub fn has_dot_segment(path: &str) -> bool {
    // Nearly no path has a dot beside a slash; only such ones are looked at closely.
    path.split('/').any(|segment| {
        if segment.is_empty() || segment.len() > 6 || !(segment.starts_with('.') || segment.starts_with('%')) {
            return false;
        }
        matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
    })
}

/// Why a path is refused: others might tidy it up into another route's; none where it is not.
pub fn ambiguity(path: &str) -> Option<&'static str> {
    if has_dot_segment(path) {
        return Some("a dot segment in the path");
    }
    path.contains('\\').then_some("a backslash in the path")
}

/// The path as routes are matched against it: slashes that follow one another count as one.
pub fn merged_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    Cow::Owned(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_found_in_every_spelling() {
        for path in ["/..", "/a/../b", "/a/./b", "/a/%2e%2e/b", "/a/.%2E/b", "/%2e", "/a/%2E."] {
            assert!(has_dot_segment(path), "{path}");
        }
        assert!(ambiguity("/a/./b").is_some() && ambiguity("/a\\b").is_some());
        assert_eq!(ambiguity("/a/b"), None);
        for path in ["/", "/a.b/c", "/.well-known/x", "/...", "/a/..b", "/%2e%2ex", "/a/%2f", "*"] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }

    #[test]
    fn slashes_count_once() {
        let check = |path: &str, expected: &str| assert_eq!(merged_slashes(path), expected);
        check("/a/b", "/a/b");
        check("//a///b/", "/a/b/");
        check("//", "/");
    }
}
