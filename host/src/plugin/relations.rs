//! Whether the plugins of a chain get along: `requires` and `conflicts`, with versions.
//!
//! Pure. The JSON chain is the order; nothing is sorted here. A plugin that needs another before it says so, and a chain in which that is
//! not so is refused with a message.

use super::code::Description;
use crate::names::Name;

/// Everything that is wrong with a chain, given in order.
pub(super) fn problems(chain: &[(&Name, &Description)]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, (name, description)) in chain.iter().enumerate() {
        let before = chain.get(..index).unwrap_or_default();
        let after = chain.get(index + 1..).unwrap_or_default();
        for wanted in &description.requires {
            let is_it = |(_, other): &&(&Name, &Description)| other.name == wanted.plugin;
            let range = &wanted.versions;
            match (before.iter().find(is_it), after.iter().find(is_it)) {
                (Some((_, other)), _) if range.matches(&other.version) => {}
                (Some((_, other)), _) | (None, Some((_, other))) if !range.matches(&other.version) => problems.push(format!(
                    "plugin {name} requires {} {range}, but the chain has {}; put a fitting version into the folder",
                    wanted.plugin, other.version
                )),
                (None, Some(_)) => problems.push(format!(
                    "plugin {name} requires {} before it; move {} up in plugins.chain",
                    wanted.plugin, wanted.plugin
                )),
                _ => problems.push(format!(
                    "plugin {name} requires {} {range}, which is not in the chain; add it before {name}",
                    wanted.plugin
                )),
            }
        }
        for unwanted in &description.conflicts {
            let clash = before
                .iter()
                .chain(after)
                .find(|(_, other)| other.name == unwanted.plugin && unwanted.versions.matches(&other.version));
            if let Some((other, description)) = clash {
                problems.push(format!(
                    "plugin {name} conflicts with {other} {}; remove one of them from plugins.chain",
                    description.version
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::plugin::Relation;

    fn plugin(name: &str, version: &str, requires: &[(&str, &str)], conflicts: &[(&str, &str)]) -> (Name, Description) {
        let relations = |pairs: &[(&str, &str)]| {
            let one = |(plugin, versions): &(&str, &str)| Relation {
                plugin: (*plugin).to_owned(),
                versions: versions.parse().unwrap(),
            };
            pairs.iter().map(one).collect()
        };
        let description = Description {
            name: name.to_owned(),
            version: version.parse().unwrap(),
            summary: String::new(),
            requires: relations(requires),
            conflicts: relations(conflicts),
            config_schema: None,
            grants: Vec::new(),
        };
        (name.parse().unwrap(), description)
    }

    fn check(chain: &[(Name, Description)], expected: &[&str]) {
        let chain: Vec<_> = chain.iter().map(|(name, description)| (name, description)).collect();
        let found = problems(&chain);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found:?} should contain {expected:?}");
        }
    }

    #[test]
    fn order_presence_versions_and_conflicts() {
        let auth = plugin("auth", "1.2.3", &[], &[]);
        let roles = plugin("roles", "1.0.0", &[("auth", "^1.2")], &[]);
        let newer = plugin("newer", "1.0.0", &[("auth", "^2")], &[]);
        let rival = plugin("rival", "1.0.0", &[], &[("auth", "*")]);
        let loop_a = plugin("a", "1.0.0", &[("b", "*")], &[]);
        let loop_b = plugin("b", "1.0.0", &[("a", "*")], &[]);
        check(&[auth.clone(), roles.clone()], &[]);
        check(&[roles.clone(), auth.clone()], &["requires auth before it"]);
        check(&[roles], &["which is not in the chain"]);
        check(&[auth.clone(), newer], &["requires auth ^2, but the chain has 1.2.3"]);
        check(&[auth.clone(), rival.clone()], &["rival conflicts with auth"]);
        check(&[rival, auth], &["rival conflicts with auth"]);
        check(&[loop_a, loop_b], &["a requires b before it"]);
    }
}
