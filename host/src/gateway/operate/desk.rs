//! What is known where orders come in: the facts that answers are made of, and what the last order left behind.
//!
//! The gateway's thread writes the facts; whoever asks reads them, without waiting for an order that takes long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::disk::Stamp;
use super::edited::Taken;
use super::tags::Tags;
use super::{Operations, WAITING_MAX};
use crate::config::secrets::{self, Shape};
use crate::config::{Config, Hidden};
use crate::gateway::{Control, Gateway};
use crate::generation::Generation;
use crate::names::Name;
use crate::plugin::{Code, File, Folder, Problem, Services};
use crate::shutdown::Draining;

/// What answers are made of.
#[derive(Debug)]
pub(super) struct Facts {
    /// The main file.
    pub(super) file: PathBuf,
    pub(super) services: Arc<Services>,
    pub(super) tags: Tags,
    changing: Mutex<Changing>,
}

#[derive(Debug, Default)]
struct Changing {
    files: BTreeMap<Name, File>,
    /// What runs: also where its file has become something else.
    running: BTreeMap<Name, Arc<Code>>,
    problems: Vec<Problem>,
    /// Why the document that serves is in memory only.
    held: Option<String>,
}

impl Facts {
    fn now(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the document that serves is in memory only, if it is.
    pub(super) fn held(&self) -> Option<String> {
        self.now().held.clone()
    }

    /// The file of a plugin.
    pub(super) fn file(&self, plugin: &Name) -> Option<File> {
        self.now().files.get(plugin).cloned()
    }

    /// The names of all files.
    pub(super) fn files(&self) -> Vec<Name> {
        self.now().files.keys().cloned().collect()
    }

    /// What the file of a plugin holds, where that is one.
    pub(super) fn code(&self, plugin: &Name) -> Option<Arc<Code>> {
        match self.file(plugin)? {
            File::Good(code) => Some(code),
            File::Bad(_) => None,
        }
    }

    /// What a plugin's configuration looks like: by its file, or by what runs where that is no plugin.
    fn shape(&self, plugin: &str) -> Shape {
        shape(plugin, &|name| self.code(name).or_else(|| self.now().running.get(name).cloned()))
    }

    /// The entity tag of a document and the plugin files as they are.
    pub(super) fn etag(&self, document: &Value) -> String {
        let now = self.now();
        let files = now.files.iter().map(|(name, file)| {
            let holds = match file {
                File::Good(code) => code.hash.to_string(),
                File::Bad(error) => error.to_string(),
            };
            (name.to_string(), holds)
        });
        self.tags.with_files(document, &files.collect::<Vec<_>>())
    }

    /// What is wrong with a plugin although the gateway serves.
    pub(super) fn problem(&self, plugin: &Name) -> Option<String> {
        self.now().problems.iter().find(|problem| problem.plugin == *plugin).map(|problem| problem.what.clone())
    }

    /// A document without its secrets.
    pub(super) fn redacted(&self, document: &Value) -> Value {
        secrets::redacted(document, &|plugin| self.shape(plugin))
    }

    /// What must not be read in what is said of a configuration.
    pub(super) fn hidden(&self, config: &Config) -> Hidden {
        let mut hidden = config.hidden.clone();
        hidden.document(&config.merged, &|plugin| self.shape(plugin));
        hidden
    }
}

/// What must not be read in what is said of a configuration with the plugins of this folder.
pub(in crate::gateway) fn hidden(config: &Config, folder: &Folder) -> Hidden {
    let code = |plugin: &Name| match folder.file(plugin)? {
        File::Good(code) => Some(Arc::clone(code)),
        File::Bad(_) => None,
    };
    let mut hidden = config.hidden.clone();
    hidden.document(&config.merged, &|plugin| shape(plugin, &code));
    hidden
}

/// What is known of the shape of a plugin's configuration.
fn shape(plugin: &str, code: &dyn Fn(&Name) -> Option<Arc<Code>>) -> Shape {
    match plugin.parse().ok().and_then(|name| code(&name)) {
        Some(code) => code.description.config_schema.clone().map_or(Shape::Unmarked, Shape::Schema),
        None => Shape::Unknown,
    }
}

/// A document that serves without being in the main file.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) document: Arc<Value>,
    /// What the main file was then. Once it is something else, that counts.
    pub(super) file: Option<Stamp>,
    /// Whether the main file says something else because somebody edited it, so that it must not be overwritten.
    pub(super) beside_an_edit: bool,
}

/// What the gateway's thread keeps for orders.
#[derive(Debug)]
pub(in crate::gateway) struct Desk {
    pub(in crate::gateway) operations: Operations,
    pub(super) facts: Arc<Facts>,
    pub(super) held: Option<Held>,
    pub(super) taken: Option<Taken>,
}

type Watched = (watch::Receiver<Arc<Generation>>, watch::Receiver<u64>, Draining);

impl Desk {
    /// A desk of a gateway with this main file and the configuration that it starts with.
    pub(in crate::gateway) fn new(
        control: &Control,
        watched: Watched,
        services: &Arc<Services>,
        source: (&Path, &Config),
    ) -> Self {
        let (generations, serving, draining) = watched;
        let (file, config) = source;
        // Where nobody asks, nothing is to be kept.
        let tags = if config.admin.is_some() { Tags::kept(&config.state) } else { Tags::passing() };
        let (file, services) = (file.to_owned(), Arc::clone(services));
        let facts = Arc::new(Facts { file, services, tags, changing: Mutex::default() });
        let operations = Operations {
            control: control.clone(),
            draining,
            generations,
            serving,
            facts: Arc::clone(&facts),
            room: Arc::new(Semaphore::new(WAITING_MAX)),
            compiler: Arc::default(),
        };
        Self { operations, facts, held: None, taken: None }
    }
}

impl Gateway {
    /// Lets operators know what the folder holds and what is wrong.
    pub(in crate::gateway) fn tell_operators(&self) {
        let mut facts = self.desk.facts.now();
        let running = self.generation.roster.plugins();
        facts.running = running.map(|(name, code, _)| (name.clone(), Arc::clone(code))).collect();
        facts.files = self.folder.files().map(|(name, file)| (name.clone(), file.clone())).collect();
        facts.problems.clone_from(&self.problems);
    }

    /// Notes whether the document that serves is in the main file.
    pub(super) fn hold(&mut self, held: Option<(Held, String)>) {
        let (held, why) = held.unzip();
        self.desk.held = held;
        self.desk.facts.now().held = why;
    }
}
