//! Which tags depend on which.
//!
//! Pure. A tag stands for what was made of something; what was made of that in turn is purged with it, however long the way. Circles
//! are no mistake: what is on one is purged together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which tags depend on which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// What depends directly on each tag.
    dependents: BTreeMap<Box<str>, Vec<Box<str>>>,
}

impl Dependencies {
    /// Of pairs of a tag and one that it depends on.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut dependents: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
        for (tag, needed) in pairs {
            let known = dependents.entry(needed.into()).or_default();
            if !known.iter().any(|known| **known == *tag) {
                known.push(tag.into());
            }
        }
        Self { dependents }
    }

    /// These tags and all that depend on them, each once, nearest first.
    pub fn expanded<'a>(&'a self, tags: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut known = BTreeSet::new();
        let mut waiting: VecDeque<&str> = VecDeque::new();
        waiting.extend(tags.into_iter().filter(|tag| known.insert(*tag)));
        let mut expanded = Vec::with_capacity(waiting.len());
        while let Some(tag) = waiting.pop_front() {
            expanded.push(tag);
            let dependents = self.dependents.get(tag).into_iter().flatten().map(|tag| &**tag);
            waiting.extend(dependents.filter(|tag| known.insert(*tag)));
        }
        expanded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_a_tag_is_found_over_any_way() {
        let dependencies = Dependencies::new([
            ("page-home", "product-list"),
            ("page-home", "header"),
            ("page-shop", "product-list"),
            ("product-list", "product-1"),
            ("product-list", "product-2"),
            // A circle, and one with itself.
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("self", "self"),
        ]);
        let check = |tags: &[&str], expected: &[&str]| {
            assert_eq!(dependencies.expanded(tags.iter().copied()), expected, "{tags:?}");
        };
        check(&["page-home"], &["page-home"]);
        check(&["header"], &["header", "page-home"]);
        check(&["product-1"], &["product-1", "product-list", "page-home", "page-shop"]);
        check(&["header", "product-2", "header"], &["header", "product-2", "page-home", "product-list", "page-shop"]);
        check(&["b"], &["b", "a", "c"]);
        check(&["self"], &["self"]);
        check(&["unknown"], &["unknown"]);
        check(&[], &[]);
    }
}
