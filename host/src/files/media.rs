//! The media type of a file, by the end of its name. Texts are UTF-8.

use std::ffi::OsStr;
use std::path::Path;

use http::HeaderValue;

/// What nobody knows (RFC 9110 section 8.3).
const UNKNOWN: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// `Content-Type`.
pub(super) fn of(path: &Path) -> HeaderValue {
    let Some(extension) = path.extension().and_then(OsStr::to_str) else { return UNKNOWN };
    let known = match mime_guess::from_ext(extension).first_raw() {
        Some(known) => known,
        None => return UNKNOWN,
    };
    // The ones of every page are at hand.
    match known {
        "text/html" => HeaderValue::from_static("text/html; charset=utf-8"),
        "text/css" => HeaderValue::from_static("text/css; charset=utf-8"),
        "text/javascript" | "application/javascript" => HeaderValue::from_static("text/javascript; charset=utf-8"),
        "text/plain" => HeaderValue::from_static("text/plain; charset=utf-8"),
        _ if known.starts_with("text/") => HeaderValue::try_from(format!("{known}; charset=utf-8")).unwrap_or(UNKNOWN),
        _ => HeaderValue::from_str(known).unwrap_or(UNKNOWN),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_the_end_of_the_name() {
        let check = |path: &str, expected: &str| assert_eq!(of(Path::new(path)).to_str().unwrap(), expected, "{path}");
        check("a/index.html", "text/html; charset=utf-8");
        check("A.HTM", "text/html; charset=utf-8");
        check("a.css", "text/css; charset=utf-8");
        check("a.js", "text/javascript; charset=utf-8");
        check("a.mjs", "text/javascript; charset=utf-8");
        check("a.md", "text/markdown; charset=utf-8");
        check("a.json", "application/json");
        check("a.svg", "image/svg+xml");
        check("a.png", "image/png");
        check("a.woff2", "font/woff2");
        check("a.wasm", "application/wasm");
        check("a.tar.gz", "application/gzip");
        check("a.unheard-of", "application/octet-stream");
        check("html", "application/octet-stream");
    }
}
