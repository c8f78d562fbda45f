//! Who is in the chain: the plugins of one moment, and how they become those of the next.
//!
//! A change is made aside and only then taken over. A file that is wrong keeps the version that was serving; a configuration that is wrong is
//! refused as a whole. What did not change keeps its instances.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::code::Code;
use super::folder::{File, Folder};
use super::loaded::Loaded;
use super::relations::{self, Clash};
use super::services::Services;
use super::settings::{Entry, Unlisted};
use crate::names::Name;

/// What the configuration wants.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The names in the chain, in order.
    pub order: Vec<&'a Name>,
    /// Every entry that runs anywhere: on all requests, or as a route asks for it.
    pub entries: Vec<&'a Entry>,
    /// What happens with other files.
    pub unlisted: Unlisted,
    /// Plugins that are named but switched off: not unlisted either.
    pub disabled: &'a [Name],
}

/// What caused a change, which decides what a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A configuration, at start or later: everything it names must work.
    Configuration,
    /// The folder: each plugin on its own keeps its old version where the new one does not work.
    Folder,
}

/// Something that is wrong with a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which plugin.
    pub plugin: Name,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, what } = self;
        write!(f, "plugin {plugin}: {what}")
    }
}

/// A change that was not made.
#[derive(Debug)]
pub struct Refused(pub Vec<Problem>);

/// One plugin's code and its variants.
#[derive(Debug, Clone)]
struct Member {
    code: Arc<Code>,
    /// One per distinct entry, in the order in which the configuration has them.
    variants: Vec<Arc<Loaded>>,
}

/// The plugins of one moment.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    members: BTreeMap<Name, Member>,
    /// Names in chain order: listed, then unlisted.
    order: Vec<Name>,
    unlisted: Vec<Name>,
}

impl Roster {
    /// The plugin that serves an entry.
    pub fn find(&self, entry: &Entry) -> Option<&Arc<Loaded>> {
        let member = self.members.get(&entry.plugin)?;
        member.variants.iter().find(|loaded| loaded.entry.asks_the_same(entry))
    }

    /// The plugins that are in the chain only because their file is in the folder.
    pub fn unlisted(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.unlisted.iter().filter_map(|name| self.members.get(name)?.variants.first())
    }

    /// All plugins in chain order, with their variants.
    pub fn plugins(&self) -> impl Iterator<Item = (&Name, &Arc<Code>, &[Arc<Loaded>])> {
        let member = |name| self.members.get(name).map(|member| (name, &member.code, member.variants.as_slice()));
        self.order.iter().filter_map(member)
    }

    /// Whether both have the same plugins in the same order, down to their instances.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&Member, &Member)| {
            one.variants.len() == other.variants.len()
                && one.variants.iter().zip(&other.variants).all(|(one, other)| Arc::ptr_eq(one, other))
        };
        self.order == other.order
            && self.unlisted == other.unlisted
            && self.members.values().zip(other.members.values()).all(same)
    }

    /// The roster after a change, and what is wrong but tolerable. `self` stays as it is.
    pub fn next(
        &self,
        services: &Arc<Services>,
        folder: &Folder,
        wanted: &Wanted<'_>,
        change: Change,
    ) -> Result<(Self, Vec<Problem>), Refused> {
        let mut builder = Builder { now: self, services, folder, change, next: Self::default(), problems: Vec::new() };
        let mut fatal = Vec::new();
        for (name, entries) in by_name(wanted) {
            match builder.member(&name, &entries) {
                Ok(member) => builder.add(name, member),
                Err(problems) => fatal.extend(problems),
            }
        }
        builder.add_unlisted(wanted);
        if !fatal.is_empty() {
            return Err(Refused(fatal));
        }
        let Builder { next, mut problems, .. } = builder;
        match next.settle(self, change, &mut problems) {
            Ok(settled) => Ok((settled, problems)),
            Err(clashes) => Err(Refused(clashes)),
        }
    }

    /// Makes the plugins get along: where they do not, what is new gives way, and then what nobody asked for. `now` is what serves.
    fn settle(mut self, now: &Self, change: Change, problems: &mut Vec<Problem>) -> Result<Self, Vec<Problem>> {
        loop {
            let clashes = self.clashes();
            // The last one first: what comes late in the chain rests on what comes before.
            let Some(clash) = clashes.last().cloned() else { return Ok(self) };
            let problem = |clash: Clash, outcome: &str| {
                let Clash { plugin, what, .. } = clash;
                Problem { plugin, what: format!("{what}{outcome}") }
            };
            let both: Vec<&Name> = std::iter::once(&clash.plugin).chain(&clash.other).collect();
            let may_leave = |name: &Name| self.unlisted.contains(name) && (clash.conflict || *name == clash.plugin);
            let is_new = |name: &Name| !now.members.contains_key(name);
            // A configuration decides about what it names; about other files the folder decides.
            let may_stay_old = |name: &Name| {
                self.replaces(now, name)
                    && (change == Change::Folder || self.unlisted.contains(name) && now.unlisted.contains(name))
            };
            let newcomer = both.iter().find(|name| may_leave(name) && is_new(name));
            if newcomer.is_none()
                && let Some(name) = both.iter().find(|name| may_stay_old(name)).map(|name| (*name).clone())
                && let Some(old) = now.members.get(&name)
            {
                let outcome = format!("; version {} of {name} goes on serving", old.code.description.version);
                problems.push(problem(clash, &outcome));
                self.members.insert(name, old.clone());
                continue;
            }
            let leaving = newcomer.or_else(|| both.iter().find(|name| may_leave(name)));
            if let Some(name) = leaving.map(|name| (*name).clone()) {
                let outcome = format!("; {name} is left out, since plugins.chain does not name it");
                problems.push(problem(clash, &outcome));
                self.leave_out(&name);
                continue;
            }
            let mut clashes: Vec<_> = clashes.into_iter().map(|clash| problem(clash, "")).collect();
            if change == Change::Configuration {
                return Err(clashes);
            }
            // Whatever is behind it, all plugins stay as they are.
            problems.append(&mut clashes);
            return Ok(now.clone());
        }
    }

    /// Whether a plugin is there with other code than `now`.
    fn replaces(&self, now: &Self, name: &Name) -> bool {
        let hash = |roster: &Self| roster.members.get(name).map(|member| member.code.hash);
        hash(now).is_some_and(|old| hash(self).is_some_and(|new| new != old))
    }

    fn leave_out(&mut self, plugin: &Name) {
        self.members.remove(plugin);
        self.order.retain(|name| name != plugin);
        self.unlisted.retain(|name| name != plugin);
    }

    fn clashes(&self) -> Vec<Clash> {
        let chain: Vec<_> = self.plugins().map(|(name, code, _)| (name, &code.description)).collect();
        relations::clashes(&chain)
    }
}

/// The wanted entries by plugin, in chain order. A plugin that runs nowhere is left out.
fn by_name<'a>(wanted: &Wanted<'a>) -> Vec<(Name, Vec<&'a Entry>)> {
    let distinct = |name: &&Name| {
        let mut entries: Vec<&Entry> = Vec::new();
        for entry in wanted.entries.iter().filter(|entry| entry.plugin == **name) {
            if entries.iter().all(|known| !known.asks_the_same(entry)) {
                entries.push(entry);
            }
        }
        ((*name).clone(), entries)
    };
    wanted.order.iter().map(distinct).filter(|(_, entries)| !entries.is_empty()).collect()
}

struct Builder<'a> {
    now: &'a Roster,
    services: &'a Arc<Services>,
    folder: &'a Folder,
    change: Change,
    next: Roster,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn add(&mut self, name: Name, member: Member) {
        self.next.order.push(name.clone());
        self.next.members.insert(name, member);
    }

    /// The plugin with the code that its file has now, or with the one that was serving where that does not work.
    fn member(&mut self, name: &Name, entries: &[&Entry]) -> Result<Member, Vec<Problem>> {
        let serving = self.now.members.get(name).map(|member| Arc::clone(&member.code));
        let newest = match self.folder.file(name) {
            Some(File::Good(code)) => self.with_code(name, code, entries),
            Some(File::Bad(error)) => Err(vec![error.to_string()]),
            None => {
                let path = self.folder.path().display();
                Err(vec![format!("there is no {name}.wasm in {path}; put it there, or remove it from plugins.chain")])
            }
        };
        let whats = match newest {
            Ok(member) => return Ok(member),
            Err(whats) => whats,
        };
        let problem = |what| Problem { plugin: name.clone(), what };
        // The version that was serving is there for a file that went bad, not for a configuration that asks for something else.
        let file_is_bad = !matches!(self.folder.file(name), Some(File::Good(_)));
        if let Some(serving) = serving
            && (self.change == Change::Folder || file_is_bad && self.folder.file(name).is_some())
            && let Ok(member) = self.with_code(name, &serving, entries)
        {
            let version = &serving.description.version;
            let kept = |what| problem(format!("{what}; version {version} goes on serving"));
            self.problems.extend(whats.into_iter().map(kept));
            return Ok(member);
        }
        Err(whats.into_iter().map(problem).collect())
    }

    /// The plugin with this code, keeping the variants that are the same.
    fn with_code(&self, name: &Name, code: &Arc<Code>, entries: &[&Entry]) -> Result<Member, Vec<String>> {
        let known = self.now.members.get(name).map_or(&[][..], |member| &member.variants);
        let mut variants = Vec::with_capacity(entries.len());
        let mut whats = Vec::new();
        for entry in entries {
            match known.iter().find(|loaded| loaded.is(code, entry)) {
                Some(loaded) => variants.push(Arc::clone(loaded)),
                None => match Loaded::new(self.services, code, (*entry).clone()) {
                    Ok(loaded) => variants.push(loaded),
                    Err(error) => whats.push(error.to_string()),
                },
            }
        }
        if whats.is_empty() { Ok(Member { code: Arc::clone(code), variants }) } else { Err(whats) }
    }

    /// Files that the chain does not name. One that does not work is only reported: nobody asked for it.
    fn add_unlisted(&mut self, wanted: &Wanted<'_>) {
        if wanted.unlisted == Unlisted::Ignore {
            return;
        }
        let listed = |name: &Name| wanted.order.contains(&name) || wanted.disabled.contains(name);
        let names: Vec<Name> = self.folder.files().map(|(name, _)| name.clone()).filter(|name| !listed(name)).collect();
        for name in names {
            let entry = Entry::unlisted(name.clone());
            let change = std::mem::replace(&mut self.change, Change::Folder);
            let member = self.member(&name, &[&entry]);
            self.change = change;
            match member {
                Ok(member) => {
                    self.next.unlisted.push(name.clone());
                    self.add(name, member);
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::slice::from_ref;

    use wasmtime::component::Component;

    use super::*;
    use crate::plugin::metrics::Registry;
    use crate::plugin::{ContentHash, Description, Relation};

    type Relations<'a> = &'a [(&'a str, &'a str)];

    fn member(name: &str, version: &str, requires: Relations<'_>, conflicts: Relations<'_>) -> Member {
        let services = Services::new(Arc::new(Registry::default())).unwrap();
        let empty = b"\0asm\x0d\0\x01\0";
        let relation = |(plugin, versions): &(&str, &str)| Relation {
            plugin: (*plugin).into(),
            versions: versions.parse().unwrap(),
        };
        let code = Code {
            component: Component::new(&services.engine, empty).unwrap(),
            hash: ContentHash::of(format!("{name} {version}").as_bytes()),
            bytes: empty.as_slice().into(),
            hooks: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            imports: Vec::new(),
            description: Description {
                name: name.to_owned(),
                version: version.parse().unwrap(),
                summary: String::new(),
                requires: requires.iter().map(relation).collect(),
                conflicts: conflicts.iter().map(relation).collect(),
                config_schema: None,
                grants: Vec::new(),
            },
            schema: None,
        };
        Member { code: Arc::new(code), variants: Vec::new() }
    }

    fn roster(listed: &[Member], unlisted: &[Member]) -> Roster {
        let name = |member: &Member| member.code.description.name.parse::<Name>().unwrap();
        let all = || listed.iter().chain(unlisted);
        Roster {
            members: all().map(|member| (name(member), member.clone())).collect(),
            order: all().map(name).collect(),
            unlisted: unlisted.iter().map(name).collect(),
        }
    }

    /// Settles and gives the chain, as `name version`, and who has a problem.
    fn settle(next: Roster, now: &Roster, change: Change) -> Result<(String, Vec<String>), String> {
        let text = |problems: &[Problem]| problems.iter().map(|problem| problem.plugin.to_string()).collect::<Vec<_>>();
        let mut problems = Vec::new();
        let settled = next.settle(now, change, &mut problems).map_err(|refused| text(&refused).join(" "))?;
        let one = |(name, code, _): (&Name, &Arc<Code>, _)| format!("{name} {}", code.description.version);
        Ok((settled.plugins().map(one).collect::<Vec<_>>().join(", "), text(&problems)))
    }

    fn expect(chain: &str, problems: &[&str]) -> Result<(String, Vec<String>), String> {
        Ok((chain.to_owned(), problems.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[test]
    fn an_unlisted_plugin_that_does_not_fit_is_left_out() {
        let (auth, none) = (member("auth", "1.0.0", &[], &[]), Roster::default());
        let lacks = member("lacks", "1.0.0", &[("absent", "*")], &[]);
        let needs_it = member("needs", "1.0.0", &[("lacks", "*")], &[]);
        let rival = member("rival", "1.0.0", &[], &[("auth", "*")]);
        let fine = member("fine", "1.0.0", &[("auth", "^1")], &[]);
        for change in [Change::Configuration, Change::Folder] {
            let unlisted = [fine.clone(), lacks.clone(), needs_it.clone(), rival.clone()];
            let found = settle(roster(from_ref(&auth), &unlisted), &none, change);
            assert_eq!(found, expect("auth 1.0.0, fine 1.0.0", &["rival", "lacks", "needs"]));
            // Also where the listed one does not want it.
            let found = settle(roster(from_ref(&rival), from_ref(&auth)), &none, change);
            assert_eq!(found, expect("rival 1.0.0", &["rival"]));
        }
        // Of two that nobody asked for, the one that served first stays.
        let found = settle(roster(&[], &[auth.clone(), rival.clone()]), &roster(&[], from_ref(&rival)), Change::Folder);
        assert_eq!(found, expect("rival 1.0.0", &["rival"]));
        let found = settle(roster(&[], &[auth.clone(), rival.clone()]), &roster(&[], &[auth]), Change::Folder);
        assert_eq!(found, expect("auth 1.0.0", &["rival"]));
        assert_eq!(settle(roster(&[rival, lacks], &[]), &none, Change::Configuration), Err("lacks".to_owned()));
    }

    #[test]
    fn a_new_version_that_does_not_fit_leaves_the_old_one_and_no_other() {
        let old = |name| member(name, "1.0.0", &[], &[]);
        let needs = member("needs", "1.0.0", &[("auth", "^1")], &[]);
        let (auth, other) = (member("auth", "2.0.0", &[], &[]), member("other", "2.0.0", &[], &[]));
        let now = roster(&[old("auth"), needs.clone(), old("other")], &[]);
        let next = roster(&[auth, needs, other], &[]);
        let found = settle(next.clone(), &now, Change::Folder);
        assert_eq!(found, expect("auth 1.0.0, needs 1.0.0, other 2.0.0", &["needs"]));
        assert_eq!(settle(next, &now, Change::Configuration), Err("needs".to_owned()));
        let picky = member("extra", "2.0.0", &[("absent", "*")], &[]);
        let (now, next) = (roster(&[], &[old("extra")]), roster(&[], &[picky]));
        assert_eq!(settle(next, &now, Change::Configuration), expect("extra 1.0.0", &["extra"]));
    }
}
