//! Patterns of paths and names with `*`, which stands for anything, also for nothing.
//!
//! What operators write in a plugin's configuration, made once in `init`. Nothing here calls the gateway.

use crate::path::{self, Path};

/// A pattern, sorted into what is cheap to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `*`
    Any,
    /// `/a`
    Exact(String),
    /// `/static/*`
    Prefix(String),
    /// `*.css`
    Suffix(String),
    /// Text before the first `*`, texts between, text behind the last.
    Parts(String, Vec<String>, String),
}

impl Pattern {
    /// Makes a pattern of its text. Every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::of(text.split('*').map(str::to_owned).collect())
    }

    /// Makes a pattern of paths of its text, whichever way that is spelled: `/caf%C3%A9/*` and `/café/*` are the same, and `%2A` is a star that
    /// stands for itself. To be matched against the readings of a [`Path`].
    #[must_use]
    pub fn of_paths(text: &str) -> Self {
        Self::of(text.split('*').map(path::plain).collect())
    }

    /// Of the texts around its stars.
    fn of(mut parts: Vec<String>) -> Self {
        let last = parts.pop().unwrap_or_default();
        if parts.is_empty() {
            return Self::Exact(last);
        }
        let first = parts.remove(0);
        parts.retain(|part| !part.is_empty());
        match (first.is_empty(), parts.is_empty(), last.is_empty()) {
            (true, true, true) => Self::Any,
            (false, true, true) => Self::Prefix(first),
            (true, true, false) => Self::Suffix(last),
            _ => Self::Parts(first, parts, last),
        }
    }

    /// How many `*` it has; several in a row are one.
    #[must_use]
    pub fn stars(&self) -> usize {
        match self {
            Self::Exact(_) => 0,
            Self::Any | Self::Prefix(_) | Self::Suffix(_) => 1,
            Self::Parts(_, between, _) => between.len() + 1,
        }
    }

    /// What each `*` stands for. None where it does not match.
    #[must_use]
    pub fn captures<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        match self {
            Self::Any => Some(vec![text]),
            Self::Exact(whole) => (text == whole).then(Vec::new),
            Self::Prefix(prefix) => Some(vec![text.strip_prefix(prefix.as_str())?]),
            Self::Suffix(suffix) => Some(vec![text.strip_suffix(suffix.as_str())?]),
            Self::Parts(first, between, last) => {
                let mut rest = text.strip_prefix(first.as_str())?.strip_suffix(last.as_str())?;
                let mut captures = Vec::with_capacity(between.len() + 1);
                for part in between {
                    let (before, behind) = rest.split_once(part.as_str())?;
                    captures.push(before);
                    rest = behind;
                }
                captures.push(rest);
                Some(captures)
            }
        }
    }

    /// Whether it matches all of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(whole) => text == whole,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::Parts(first, between, last) => {
                let inner = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
                let mut rest = match inner {
                    Some(inner) => inner,
                    None => return false,
                };
                // The leftmost place of each part leaves most room for the next.
                between.iter().all(|part| match rest.split_once(part.as_str()) {
                    Some((_, behind)) => {
                        rest = behind;
                        true
                    }
                    None => false,
                })
            }
        }
    }
}

/// Patterns of which one has to match.
#[must_use]
pub fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// Whether, in every way in which the path may be read, one of these matches. For what opens something: exceptions, what is left out.
#[must_use]
pub fn surely(patterns: &[Pattern], path: &Path) -> bool {
    path.readings().all(|reading| any(patterns, reading))
}

/// Whether, in some way in which the path may be read, one of these matches. For what guards something.
#[must_use]
pub fn possibly(patterns: &[Pattern], path: &Path) -> bool {
    path.readings().any(|reading| any(patterns, reading))
}

/// Patterns from their texts.
#[must_use]
pub fn all(texts: &[String]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

/// Patterns of paths from their texts.
#[must_use]
pub fn of_paths(texts: &[String]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::of_paths(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} on {text}");
        };
        check("/a", "/a", true);
        check("/a", "/ab", false);
        check("", "", true);
        check("*", "", true);
        check("**", "/x", true);
        check("/static/*", "/static/", true);
        check("/static/*", "/static/a/b.css", true);
        check("/static/*", "/static", false);
        check("*.css", "/a/b.css", true);
        check("*.css", "/a/b.css.map", false);
        check("/a/*/c", "/a/b/c", true);
        check("/a/*/c", "/a/c", false);
        check("/a/*/c", "/a//c", true);
        check("*/v*/x*", "/api/v1/x", true);
        check("*/v*/x*", "/api/x/v1", false);
        check("ab*ba", "aba", false);
        check("utm_*", "utm_source", true);
    }

    #[test]
    fn patterns_of_paths_match_every_spelling() {
        let check = |pattern: &str, path: &str, [surely, possibly]: [bool; 2]| {
            let (patterns, path) = ([Pattern::of_paths(pattern)], Path::new(path.to_owned()));
            assert_eq!(super::surely(&patterns, &path), surely, "{pattern} on {path:?}");
            assert_eq!(super::possibly(&patterns, &path), possibly, "{pattern} on {path:?}");
        };
        check("/admin/*", "/%61dmin/x", [true, true]);
        check("/admin/*", "//admin//x", [true, true]);
        check("/admin/*", "/admin%2Fx", [false, true]);
        check("/public/*", "/public/..%2Fadmin", [false, true]);
        check("/admin", "/public/..%2Fadmin", [false, true]);
        check("/public/*", "/public/a%2Fb", [true, true]);
        check("/caf%c3%A9/*", "/caf%C3%a9/1", [true, true]);
        check("/café/*", "/caf%C3%A9/1", [true, true]);
        check("/a//b", "/a/b", [true, true]);
        check("/%2a", "/x", [false, false]);
        check("/%2A", "/*", [true, true]);
        check("/a%2Fb", "/a%2fb", [false, true]);
    }

    #[test]
    fn every_star_stands_for_something() {
        let check = |pattern: &str, text: &str, expected: Option<&[&str]>| {
            let pattern = Pattern::new(pattern);
            assert_eq!(pattern.captures(text).as_deref(), expected, "{pattern:?} on {text}");
            assert_eq!(pattern.matches(text), expected.is_some());
            if let Some(expected) = expected {
                assert_eq!(pattern.stars(), expected.len());
            }
        };
        check("/a", "/a", Some(&[]));
        check("/a", "/b", None);
        check("*", "/x", Some(&["/x"]));
        check("/a/*", "/a/b/c", Some(&["b/c"]));
        check("*.css", "/a.css", Some(&["/a"]));
        check("/u/*/p/*", "/u/1/p/2", Some(&["1", "2"]));
        check("/u/**/p/*", "/u/1/p/2", Some(&["1", "2"]));
        check("*/p/*.x", "/u/p/2.x", Some(&["/u", "2"]));
        check("ab*ba", "aba", None);
    }
}
