//! Regular expressions that must match the whole of a text, of bounded size.
//!
//! The `regex` crate searches in linear time, so that no request can make one expensive.

use std::fmt;

use regex::{Captures, Regex, RegexBuilder};

/// Memory that a compiled expression may take, in bytes.
const SIZE_MAX: usize = 256 * 1024;

/// A regular expression for a whole text.
#[derive(Debug, Clone)]
pub struct Expression {
    /// As it was written, without what anchors it.
    text: Box<str>,
    regex: Regex,
}

impl Expression {
    /// Compiles an expression. The error says in a sentence what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let anchored = format!("^(?:{text})$");
        match RegexBuilder::new(&anchored).size_limit(SIZE_MAX).build() {
            Ok(regex) => Ok(Self { text: text.into(), regex }),
            Err(regex::Error::CompiledTooBig(_)) => Err("is too large when compiled".to_owned()),
            // The last line says what is wrong, those above point at the place.
            Err(error) => {
                let last = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                Err(last.strip_prefix("error: ").map_or_else(|| last.clone(), str::to_owned))
            }
        }
    }

    /// Whether it matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What its groups matched.
    pub fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.regex.captures(text)
    }

    /// The names of its named groups.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }

    /// How many groups it has, named or not.
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
