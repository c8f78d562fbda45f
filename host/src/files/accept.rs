//! Whether the client wants a page (RFC 9110 section 12.5.1).

use std::path::Path;

use http::{HeaderMap, header};

use crate::http::weighted;

/// Whether the client wants a page from a path at which there is no file. A browser that goes somewhere names `text/html`;
/// where anything is accepted, a path that looks like the name of a file (a script, an image) is not to be answered by a page.
pub(super) fn wants_page(headers: &HeaderMap, path: &Path) -> bool {
    if !headers.contains_key(header::ACCEPT) {
        return path.extension().is_none();
    }
    // The most specific member counts.
    let quality = |wanted: &str| {
        let mut found = weighted(headers, &header::ACCEPT).filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, quality)| quality)
    };
    match (quality("text/html"), quality("text/*").or_else(|| quality("*/*"))) {
        (Some(quality), _) => quality > 0,
        (None, Some(quality)) => quality > 0 && path.extension().is_none(),
        (None, None) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::HeaderName;

    use super::*;

    fn with(name: HeaderName, text: &str) -> HeaderMap {
        text.split('|').filter(|line| !line.is_empty()).map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn pages_are_for_those_who_want_them() {
        let check = |text: &str, path: &str, expected| {
            assert_eq!(wants_page(&with(header::ACCEPT, text), Path::new(path)), expected, "{text} {path}");
        };
        check("text/html,application/xhtml+xml,*/*;q=0.8", "users/j.doe", true);
        check("", "users", true);
        check("", "app.js", false);
        check("*/*", "users", true);
        check("*/*", "app.js", false);
        check("text/html;q=0, */*", "users", false);
        check("application/json", "users", false);
        check("image/avif,image/webp,*/*;q=0.8", "logo.png", false);
    }
}
