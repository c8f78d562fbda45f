//! Tags: the names under which a stored response can be purged.

use portcullis_sdk::prelude::*;

use crate::config::TagChoice;

/// Most tags of one response. Further ones are dropped, since a tag without bound is memory without bound.
const TAGS_MAX: usize = 100;

/// Where tags come from.
pub(crate) struct Tags {
    headers: Vec<HeaderName>,
    separators: Vec<u8>,
    always: Vec<String>,
}

impl Tags {
    pub(crate) fn new(config: &TagChoice) -> Result<Self> {
        if config.separators.is_empty() || !config.separators.is_ascii() {
            return Err("tags.separators: name one or more ASCII characters".into());
        }
        Ok(Self {
            headers: config.headers.iter().map(|name| HeaderName::intern(name)).collect::<Result<_>>()?,
            separators: config.separators.clone().into_bytes(),
            always: config.always.clone(),
        })
    }

    /// The tags of a response, with those of its path.
    pub(crate) fn of(&self, response: &Response, path_tags: &[String]) -> Vec<String> {
        let mut tags = Vec::new();
        for tag in self.always.iter().chain(path_tags) {
            add(tag, &mut tags);
        }
        for name in &self.headers {
            for value in response.headers(*name) {
                split(&value, &self.separators, &mut tags);
            }
        }
        tags
    }
}

fn split(value: &[u8], separators: &[u8], tags: &mut Vec<String>) {
    for tag in value.split(|b| separators.contains(b)) {
        // A tag that is no text could not be named in a purge.
        if let Ok(tag) = std::str::from_utf8(tag) {
            add(tag.trim(), tags);
        }
    }
}

fn add(tag: &str, tags: &mut Vec<String>) {
    if !tag.is_empty() && tags.len() < TAGS_MAX && !tags.iter().any(|known| known == tag) {
        tags.push(tag.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_split_and_named_once() {
        let check = |value: &[u8], separators: &[u8], expected: &[&str]| {
            let mut tags = Vec::new();
            split(value, separators, &mut tags);
            assert_eq!(tags, expected);
        };
        check(b"a b  a,c", b" ,", &["a", "b", "c"]);
        check(b"a b|c", b"|", &["a b", "c"]);
        check(b"\xff ok", b" ", &["ok"]);
        check(b"", b" ", &[]);
        let many: Vec<u8> = (0..200).flat_map(|index| format!("t{index} ").into_bytes()).collect();
        let mut tags = Vec::new();
        split(&many, b" ", &mut tags);
        assert_eq!(tags.len(), TAGS_MAX);
    }
}
