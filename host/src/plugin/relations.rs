//! Whether the plugins of a chain get along: `requires` and `conflicts`, with versions.
//!
//! Pure. The JSON chain is the order; nothing is sorted here. A plugin that needs another before it says so, and a chain in which that is
//! not so is refused with a message.

use super::code::Description;
use crate::names::Name;

/// Two plugins that do not get along, or one that lacks another.
#[derive(Debug, Clone)]
pub(super) struct Clash {
    /// Whose wish is not met.
    pub(super) plugin: Name,
    /// The plugin in the chain that it is about.
    pub(super) other: Option<Name>,
    /// Whether it would be met if `other` left the chain.
    pub(super) conflict: bool,
    /// What is wrong and what to do.
    pub(super) what: String,
}

/// Everything that is wrong with a chain, given in order.
pub(super) fn clashes(chain: &[(&Name, &Description)]) -> Vec<Clash> {
    let mut clashes = Vec::new();
    for (index, (name, description)) in chain.iter().enumerate() {
        let before = chain.get(..index).unwrap_or_default();
        let after = chain.get(index + 1..).unwrap_or_default();
        let clash = |other: Option<&&(&Name, &Description)>, conflict, what| Clash {
            plugin: (*name).clone(),
            other: other.map(|(other, _)| (*other).clone()),
            conflict,
            what,
        };
        for wanted in &description.requires {
            let is_it = |(_, other): &&(&Name, &Description)| other.name == wanted.plugin;
            let (range, needed) = (&wanted.versions, &wanted.plugin);
            let earlier = before.iter().find(is_it);
            let found = earlier.or_else(|| after.iter().find(is_it));
            let what = match found {
                Some((_, other)) if !range.matches(&other.version) => format!(
                    "plugin {name} requires {needed} {range}, but the chain has {}; put a fitting version into the folder",
                    other.version
                ),
                Some(_) if earlier.is_some() => continue,
                Some(_) => {
                    format!("plugin {name} requires {needed} before it; move {needed} up in plugins.chain")
                }
                None => {
                    format!("plugin {name} requires {needed} {range}, which is not in the chain; add it before {name}")
                }
            };
            clashes.push(clash(found.as_ref(), false, what));
        }
        for unwanted in &description.conflicts {
            let is_it = |(_, other): &&(&Name, &Description)| {
                other.name == unwanted.plugin && unwanted.versions.matches(&other.version)
            };
            let found = before.iter().chain(after).find(is_it);
            if let Some((other, description)) = found {
                let what = format!(
                    "plugin {name} conflicts with {other} {}; remove one of them from plugins.chain",
                    description.version
                );
                clashes.push(clash(found.as_ref(), true, what));
            }
        }
    }
    clashes
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
        let found = clashes(&chain);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.what.contains(expected), "{found:?} should contain {expected:?}");
            assert_eq!(found.conflict, found.what.contains("conflicts"));
            assert_eq!(found.other.is_none(), found.what.contains("not in the chain"));
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
