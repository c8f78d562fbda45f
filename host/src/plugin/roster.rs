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
use super::relations;
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
        let clashes = next.clashes();
        if clashes.is_empty() {
            return Ok((next, problems));
        }
        if change == Change::Folder {
            // A new version does not get along with the rest: all plugins stay as they are.
            problems.extend(clashes);
            return Ok((self.clone(), problems));
        }
        Err(Refused(clashes))
    }

    fn clashes(&self) -> Vec<Problem> {
        let chain: Vec<_> = self.plugins().map(|(name, code, _)| (name, &code.description)).collect();
        let about = |what: String| {
            // The sentence begins with the plugin's name; who is meant is for people only.
            let plugin = chain.iter().map(|(name, _)| *name).find(|name| what.starts_with(&format!("plugin {name} ")));
            plugin.cloned().map(|plugin| Problem { plugin, what })
        };
        relations::problems(&chain).into_iter().filter_map(about).collect()
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
