//! To which requests a limit applies.

use crate::config::ConditionConfig;
use crate::key::{Facts, Part, number};

/// Which requests. Everything that is named must hold.
#[derive(Debug, Default, Clone)]
pub(crate) struct Condition {
    methods: Vec<Vec<u8>>,
    paths: Vec<Vec<u8>>,
    routes: Vec<Vec<u8>>,
    /// Parts that must be there, with the value that they must have where there is one.
    facts: Vec<(Part, Option<Vec<u8>>)>,
}

impl Condition {
    pub(crate) fn new(written: &ConditionConfig, names: &mut Vec<String>) -> Self {
        let bytes = |texts: &[String]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        let mut facts: Vec<_> = written.headers.iter().map(|name| (Part::Header(number(name, names)), None)).collect();
        facts.extend(written.attributes.iter().map(|name| (Part::Attribute(name.clone()), None)));
        let values = written.attribute_values.iter();
        facts.extend(values.map(|(name, value)| (Part::Attribute(name.clone()), Some(value.as_bytes().to_vec()))));
        Self { methods: bytes(&written.methods), paths: bytes(&written.paths), routes: bytes(&written.routes), facts }
    }

    /// Whether it holds; asks no more than it must.
    pub(crate) fn holds(&self, facts: &dyn Facts) -> bool {
        let among = |part: Part, known: &[Vec<u8>]| {
            known.is_empty() || facts.part(&part).is_some_and(|value| known.contains(&value))
        };
        let path = || facts.part(&Part::Path).unwrap_or_default();
        among(Part::Method, &self.methods)
            && among(Part::Route, &self.routes)
            && (self.paths.is_empty() || {
                let path = path();
                self.paths.iter().any(|pattern| matches(pattern, &path))
            })
            && self.facts.iter().all(|(part, wanted)| match (facts.part(part), wanted) {
                (Some(value), Some(wanted)) => value == *wanted,
                (Some(_), None) => true,
                (None, _) => false,
            })
    }
}

/// Whether a text is what a pattern says, in which `*` stands for anything.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        // The leftmost place of each part leaves most room for the next.
        let found = (0..=rest.len()).find(|at| rest.get(*at..).is_some_and(|tail| tail.starts_with(part)));
        let Some(tail) = found.and_then(|at| rest.get(at + part.len()..)) else { return false };
        rest = tail;
    }
    rest.ends_with(last)
}
