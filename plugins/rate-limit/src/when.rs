//! To which requests a limit applies.

use portcullis_sdk::Path;
use portcullis_sdk::pattern::{self, Pattern};

use crate::config::ConditionConfig;
use crate::key::{Facts, Part, number};

/// Which requests. Everything that is named must hold.
#[derive(Debug, Default, Clone)]
pub(crate) struct Condition {
    methods: Vec<Vec<u8>>,
    paths: Vec<Pattern>,
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
        let paths = pattern::of_paths(&written.paths);
        Self { methods: bytes(&written.methods), paths, routes: bytes(&written.routes), facts }
    }

    /// Whether it holds, or may hold where the path can be read in two ways. Asks no more than it must.
    pub(crate) fn may_hold(&self, facts: &dyn Facts) -> bool {
        self.holds(facts, pattern::possibly)
    }

    /// Whether it holds however the path is read: what exempts from a limit.
    pub(crate) fn surely_holds(&self, facts: &dyn Facts) -> bool {
        self.holds(facts, pattern::surely)
    }

    fn holds(&self, facts: &dyn Facts, match_path: fn(&[Pattern], &Path) -> bool) -> bool {
        let among = |part: Part, known: &[Vec<u8>]| {
            known.is_empty() || facts.part(&part).is_some_and(|value| known.contains(&value))
        };
        among(Part::Method, &self.methods)
            && among(Part::Route, &self.routes)
            && (self.paths.is_empty() || match_path(&self.paths, &facts.path()))
            && self.facts.iter().all(|(part, wanted)| match (facts.part(part), wanted) {
                (Some(value), Some(wanted)) => value == *wanted,
                (Some(_), None) => true,
                (None, _) => false,
            })
    }
}
