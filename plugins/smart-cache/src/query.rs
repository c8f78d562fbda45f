//! Query strings: which parameters stay, and in which order. Nothing is decoded, so that what is different to the origin
//! stays different here.

use portcullis_sdk::prelude::*;

use crate::config::QueryChoice;
use portcullis_sdk::pattern::{self, Pattern};

/// What becomes of a query in the key.
#[derive(Debug)]
pub(crate) struct Query {
    choice: Choice,
    sort: bool,
}

#[derive(Debug)]
enum Choice {
    All,
    Only(Vec<Pattern>),
    Without(Vec<Pattern>),
}

impl Query {
    pub(crate) fn new(config: &QueryChoice, sort: bool) -> Result<Self> {
        let choice = match (&config.allow, &config.deny) {
            (Some(_), Some(_)) => return Err("key.query: `allow` and `deny` exclude each other".into()),
            (Some(names), None) => Choice::Only(pattern::all(names)),
            (None, Some(names)) if !names.is_empty() => Choice::Without(pattern::all(names)),
            (None, _) => Choice::All,
        };
        Ok(Self { choice, sort })
    }

    /// Whether a query stays as it is.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.choice, Choice::All) && !self.sort
    }

    /// The query as it goes into the key. Sorting is by name and stable, since the order of equal names may mean something.
    pub(crate) fn normal(&self, query: &str) -> String {
        if self.is_plain() {
            return query.to_owned();
        }
        let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && self.stays(name(pair))).collect();
        if self.sort {
            pairs.sort_by_key(|pair| name(pair));
        }
        pairs.join("&")
    }

    fn stays(&self, name: &str) -> bool {
        match &self.choice {
            Choice::All => true,
            Choice::Only(names) => pattern::any(names, name),
            Choice::Without(names) => !pattern::any(names, name),
        }
    }
}

/// The name of `name=value`.
pub(crate) fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn query(allow: Option<&[&str]>, deny: Option<&[&str]>, sort: bool) -> Result<Query> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Query::new(&QueryChoice { allow: allow.map(owned), deny: deny.map(owned) }, sort)
    }

    #[test]
    fn parameters_are_chosen_and_sorted_by_name() {
        let check = |allow, deny, sort, text: &str, expected: &str| {
            assert_eq!(query(allow, deny, sort).unwrap().normal(text), expected, "{text}");
        };
        check(None, None, false, "b=1&&a=2", "b=1&&a=2");
        check(None, None, true, "b=2&a=2&b=1&a", "a=2&a&b=2&b=1");
        check(None, Some(&["utm_*", "gclid"]), false, "utm_source=x&id=1&gclid=2&q=utm_", "id=1&q=utm_");
        check(Some(&["id", "page"]), None, true, "page=2&x=1&id=3", "id=3&page=2");
        check(Some(&[]), None, false, "a=1", "");
        check(None, Some(&[]), false, "a=1", "a=1");
    }

    #[test]
    fn two_choices_are_refused() {
        assert!(query(Some(&["a"]), Some(&["b"]), false).is_err());
    }
}
