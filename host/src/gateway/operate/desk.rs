//! What is known where orders come in: the facts that answers are made of, and what the last order left behind.
//!
//! The gateway's thread writes the facts; whoever asks reads them, without waiting for an order that takes long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::disk::Stamp;
use super::{Operations, WAITING_MAX, secrets};
use crate::gateway::{Control, Gateway};
use crate::generation::Generation;
use crate::names::Name;
use crate::plugin::{Code, File, Problem, Services};
use crate::shutdown::Draining;

/// What answers are made of.
#[derive(Debug)]
pub(super) struct Facts {
    /// The main file.
    pub(super) file: PathBuf,
    pub(super) services: Arc<Services>,
    changing: Mutex<Changing>,
}

#[derive(Debug, Default)]
struct Changing {
    files: BTreeMap<Name, File>,
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

    /// What is wrong with a plugin although the gateway serves.
    pub(super) fn problem(&self, plugin: &Name) -> Option<String> {
        self.now().problems.iter().find(|problem| problem.plugin == *plugin).map(|problem| problem.what.clone())
    }

    /// A document without its secrets.
    pub(super) fn redacted(&self, document: &Value) -> Value {
        let schema = |plugin: &str| self.code(&plugin.parse().ok()?)?.description.config_schema.clone();
        secrets::redacted(document, &schema)
    }
}

/// A document that serves without being in the main file.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) document: Arc<Value>,
    /// What the main file was then. Once it is something else, that counts.
    pub(super) file: Option<Stamp>,
}

/// What the last order left behind.
#[derive(Debug)]
pub(super) struct Taken {
    /// The main file.
    pub(super) file: Option<Stamp>,
    /// When the order began, in whole seconds since the Unix epoch: what was changed earlier has been read.
    pub(super) began: i64,
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
    /// A desk of a gateway with this main file.
    pub(in crate::gateway) fn new(control: &Control, watched: Watched, services: &Arc<Services>, file: &Path) -> Self {
        let (generations, serving, draining) = watched;
        let facts = Facts { file: file.to_owned(), services: Arc::clone(services), changing: Mutex::default() };
        let facts = Arc::new(facts);
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
