//! What an operator can change on a running gateway: its configuration, its plugins, its endpoints.
//!
//! All changes go one way: the main document as written is edited, examined like a file, its plugins are tried, it is written to the main
//! file in one step, and the gateway takes it over. Orders are done one after the other by the gateway's own thread. Documents leave this
//! room without secrets.

mod aside;
mod desk;
mod diff;
mod disk;
mod edit;
mod edited;
mod files;
mod history;
mod joins;
mod order;
mod perform;
mod refusal;
mod restore;
mod show;
mod tags;
mod versions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::config::Hidden;
use crate::generation::Generation;
use crate::names::Name;
use crate::plugin::Folder;
use crate::shutdown::Draining;

use super::Control;
use desk::Facts;
use order::Task;

pub(super) use desk::{Desk, hidden};
pub(super) use order::Order;

pub use crate::config::secrets::REDACTED;
pub use diff::Change;
pub use edit::PluginEdit;
pub use history::Entry;
pub use refusal::{Problem, Refusal};
pub use versions::Version;

/// Most orders that wait at a time. Somebody who sends more is a program that went wrong.
const WAITING_MAX: usize = 16;
/// Longest wait for all workers to serve what was taken over. They do that between two requests.
const SERVING_TIMEOUT: Duration = Duration::from_secs(10);

/// Who wants a change, and under which condition.
#[derive(Debug, Clone, Default)]
pub struct Ticket {
    /// Who; the history tells.
    pub actor: String,
    /// What for, in a few words; the history tells.
    pub action: String,
    /// The `If-Match` field (RFC 9110 section 13.1.1): the change is made only if the document has one of these entity tags.
    pub if_match: Option<String>,
}

/// A change that was made.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The number of the generation that serves now.
    pub generation: u64,
    /// The entity tag of the document and the plugin files, without quotes.
    pub etag: String,
    /// Where the gateway starts anew, if not with the change.
    pub survival: Survival,
    /// What else is to be known, such as that no history could be kept.
    pub notes: Vec<String>,
    /// What was changed in the document.
    pub changes: Vec<Change>,
    /// The parts of it that take effect at the next start only, as paths.
    pub restart_needed: Vec<&'static str>,
    /// The plugin file that serves now, where one was put in place: its hash and version.
    pub file: Option<(String, String)>,
}

/// Whether a change is there after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Survival {
    /// It is.
    Survives,
    /// It is not; why.
    Lost(String),
}

/// The document as an operator may see it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The main document without its secrets.
    pub document: Value,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// The main file.
    pub file: PathBuf,
    /// Whether changes are written to it, and so survive a restart.
    pub survival: Survival,
}

/// Orders changes of a running gateway.
#[derive(Debug, Clone)]
pub struct Operations {
    control: Control,
    draining: Draining,
    generations: watch::Receiver<Arc<Generation>>,
    serving: watch::Receiver<u64>,
    facts: Arc<Facts>,
    /// Orders that may still come.
    room: Arc<Semaphore>,
    /// One file is compiled at a time.
    compiler: Arc<tokio::sync::Mutex<()>>,
}

impl Operations {
    /// The document that serves.
    pub fn document(&self) -> Shown {
        let generation = self.generation();
        let written = &generation.config.written;
        let survival = match self.facts.held() {
            Some(why) => Survival::Lost(why),
            None => disk::writable(&self.facts.file).map_or_else(Survival::Lost, |()| Survival::Survives),
        };
        Shown {
            document: self.facts.redacted(written),
            etag: self.facts.etag(written),
            file: self.facts.file.clone(),
            survival,
        }
    }

    /// The entity tag of the document that serves and the plugin files, without quotes.
    pub fn etag(&self) -> String {
        self.facts.etag(&self.generation().config.written)
    }

    /// Everything that is wrong with a document: also what its plugins say of it.
    pub async fn validate(&self, document: Value) -> Result<(), Refusal> {
        self.order(Ticket::default(), Task::Validate(document)).await.map(drop)
    }

    /// What a document changes, whether or not it is valid.
    pub async fn diff(&self, document: Value) -> Result<Applied, Refusal> {
        self.order(Ticket::default(), Task::Diff(document)).await
    }

    /// Replaces the document. Where it says [`REDACTED`] the value stays what it was.
    pub async fn apply(&self, ticket: Ticket, document: Value) -> Result<Applied, Refusal> {
        self.order(ticket, Task::Apply(document)).await
    }

    /// The documents that are kept, the newest first, each with who made it.
    pub async fn history(&self) -> Result<Vec<Entry>, Refusal> {
        let generation = self.generation();
        let (facts, state) = (Arc::clone(&self.facts), generation.config.state.clone());
        blocking(move || history::list(&state, &facts.tags, &generation.config.written)).await
    }

    /// One of them, with its document.
    pub async fn history_entry(&self, id: &str) -> Result<(Entry, Value), Refusal> {
        let generation = self.generation();
        let (facts, state) = (Arc::clone(&self.facts), generation.config.state.clone());
        let wanted = id.to_owned();
        let (entry, document) =
            blocking(move || history::read(&state, &facts.tags, &wanted, &generation.config.written)).await??;
        Ok((entry, self.facts.redacted(&document)))
    }

    /// Makes a document that is kept the one that serves.
    pub async fn rollback(&self, ticket: Ticket, id: &str) -> Result<Applied, Refusal> {
        self.order(ticket, Task::Rollback(id.to_owned())).await
    }

    /// All plugins in chain order, as the admin API shows them.
    pub fn plugins(&self) -> Vec<Value> {
        show::plugins(&self.generation(), &self.facts)
    }

    /// One plugin, with its configuration, the schema of that, and its limits.
    pub fn plugin(&self, plugin: &Name) -> Option<Value> {
        show::plugin(&self.generation(), &self.facts, plugin)
    }

    /// Changes what the chain says of a plugin. One that the chain does not name gets an entry at its end.
    pub async fn set_plugin(&self, ticket: Ticket, plugin: &Name, edit: PluginEdit) -> Result<Applied, Refusal> {
        self.order(ticket, Task::Plugin(plugin.clone(), edit)).await
    }

    /// Reorders the chain. All plugins of it have to be named, and those that run without being named in it; they get an entry.
    pub async fn order_plugins(&self, ticket: Ticket, order: Vec<String>) -> Result<Applied, Refusal> {
        self.order(ticket, Task::Chain(order)).await
    }

    /// Puts a plugin file in place, once it has shown that it works with the present configuration.
    pub async fn upload(&self, ticket: Ticket, plugin: &Name, bytes: Bytes) -> Result<Applied, Refusal> {
        let _one = self.compiler.lock().await;
        // Compiling is long: who is too late hears that before.
        self.check(&ticket)?;
        let (services, name) = (Arc::clone(&self.facts.services), plugin.clone());
        let code = blocking(move || Folder::try_bytes(&services, &name, &bytes)).await?;
        let code = code.map_err(|error| Refusal::plugin(plugin, error.to_string()))?;
        self.order(ticket, Task::Upload(plugin.clone(), Arc::new(code))).await
    }

    /// The files of a plugin that are kept, the newest first, with the one that is in place.
    pub async fn versions(&self, plugin: &Name) -> Result<Vec<Version>, Refusal> {
        let (state, name) = (self.generation().config.state.clone(), plugin.clone());
        let current = self.facts.code(plugin);
        let known = current.is_some() || self.facts.file(plugin).is_some();
        let versions = blocking(move || versions::list(&state, &name, current.as_deref())).await?;
        if versions.is_empty() && !known { Err(Refusal::no_plugin(plugin)) } else { Ok(versions) }
    }

    /// Puts a file that is kept in place again.
    pub async fn rollback_plugin(&self, ticket: Ticket, plugin: &Name, hash: &str) -> Result<Applied, Refusal> {
        let (state, name, wanted) = (self.generation().config.state.clone(), plugin.clone(), hash.to_owned());
        let bytes = blocking(move || versions::read(&state, &name, &wanted)).await??;
        self.upload(ticket, plugin, bytes).await
    }

    /// Takes a plugin's file and its entry in the chain away. The file can be had back with [`Self::rollback_plugin`].
    pub async fn remove(&self, ticket: Ticket, plugin: &Name) -> Result<Applied, Refusal> {
        self.order(ticket, Task::Remove(plugin.clone())).await
    }

    /// Changes the weight of an endpoint, and whether it drains.
    pub async fn endpoint(
        &self,
        ticket: Ticket,
        upstream: &str,
        endpoint: &str,
        (weight, drain): (Option<Value>, Option<Value>),
    ) -> Result<Applied, Refusal> {
        let (upstream, endpoint) = (upstream.to_owned(), endpoint.to_owned());
        self.order(ticket, Task::Endpoint { upstream, endpoint, weight, drain }).await
    }

    /// What must not be read in what is said of what serves.
    pub fn hidden(&self) -> Hidden {
        self.facts.hidden(&self.generation().config)
    }

    fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.generations.borrow())
    }

    fn check(&self, ticket: &Ticket) -> Result<(), Refusal> {
        if self.draining.started() {
            return Err(Refusal::Draining);
        }
        ticket.check(&self.etag())
    }

    /// Hands an order over and waits until it is done, and served by all workers.
    async fn order(&self, ticket: Ticket, task: Task) -> Result<Applied, Refusal> {
        if self.draining.started() {
            return Err(Refusal::Draining);
        }
        let slot = Arc::clone(&self.room).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let (answer, answered) = oneshot::channel();
        self.control.order(Order { ticket, task, answer, _slot: slot });
        // Who drops it has ended.
        let mut applied = answered.await.unwrap_or(Err(Refusal::Draining))?;
        let mut serving = self.serving.clone();
        let served = serving.wait_for(|serving| *serving >= applied.generation);
        if tokio::time::timeout(SERVING_TIMEOUT, served).await.is_err() {
            applied.notes.push("not every worker serves it yet".to_owned());
        }
        Ok(applied)
    }
}

impl Ticket {
    /// Whether the document is one that the change was meant for.
    fn check(&self, etag: &str) -> Result<(), Refusal> {
        let Some(wanted) = &self.if_match else { return Ok(()) };
        let is_it = |tag: &str| tag == "*" || tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(etag);
        // Our tags have no commas in them. A weak one never matches (RFC 9110 section 8.8.3.2).
        if wanted.split(',').any(|tag| is_it(tag.trim())) {
            return Ok(());
        }
        Err(Refusal::NotCurrent { etag: etag.to_owned() })
    }
}

/// Whole seconds since the Unix epoch.
fn now_seconds() -> i64 {
    i64::try_from(crate::time::unix().as_secs()).unwrap_or(i64::MAX)
}

/// Runs what reads files or compiles on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Storage("a thread of ours failed; see the log".into()))
}

#[cfg(test)]
mod aside_tests;
#[cfg(test)]
mod gateway_tests;
#[cfg(test)]
mod plugin_tests;
#[cfg(test)]
mod tests;
