//! The documents that served, each with who made it, when and why: one file per document in `<state>/history`.
//!
//! Documents are kept with their secrets, so nobody else may read them. The number is bounded; the oldest go first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::Ticket;
use super::disk::{self, Staged};
use super::refusal::Refusal;
use super::tags::Tags;
use crate::time;

/// Documents that are kept.
const ENTRIES_MAX: usize = 50;
/// Longest file that is read, in bytes: a configuration and what is said about it.
const FILE_BYTES_MAX: u64 = 65 * 1024 * 1024;

/// A document that served, or does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// By which it is asked for.
    pub id: String,
    /// When it was made, as time since the Unix epoch.
    pub at: Duration,
    /// By whom.
    pub by: String,
    /// What for.
    pub action: String,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Whether it is the one that serves.
    pub current: bool,
}

fn folder(state: &Path) -> PathBuf {
    state.join("history")
}

/// Prepares a document that is about to serve.
pub(super) fn prepare(state: &Path, tags: &Tags, document: &Value, by: &Ticket) -> io::Result<Staged> {
    let folder = folder(state);
    disk::private_folder(state)?;
    disk::private_folder(&folder)?;
    let at = u64::try_from(time::unix().as_millis()).unwrap_or(u64::MAX);
    // Names are in order of time, also where several are made in one millisecond.
    let newest = ids(&folder).last().and_then(|id| id.split('-').next()?.parse::<u64>().ok());
    let at = newest.map_or(at, |newest| at.max(newest + 1));
    let tag = tags.of(document);
    let id = format!("{at:015}-{}", tag.get(..8).unwrap_or_default());
    let record = json!({ "at_ms": at, "by": by.actor, "action": by.action, "document": document });
    Staged::new(&folder.join(format!("{id}.json")), record.to_string().as_bytes())
}

/// Whether the newest document that is kept is this one.
pub(super) fn has(state: &Path, document: &Value) -> bool {
    let folder = folder(state);
    let newest = ids(&folder).pop().and_then(|id| load(&folder, &id).ok());
    newest.is_some_and(|record| record.get("document") == Some(document))
}

/// Takes away what is too much.
pub(super) fn prune(state: &Path) {
    let folder = folder(state);
    let ids = ids(&folder);
    for id in ids.iter().take(ids.len().saturating_sub(ENTRIES_MAX)) {
        let _ = fs::remove_file(folder.join(format!("{id}.json")));
    }
}

/// What is kept, the newest first. `current` is what serves.
pub(super) fn list(state: &Path, tags: &Tags, current: &Value) -> Vec<Entry> {
    let folder = folder(state);
    let mut entries: Vec<Entry> = Vec::new();
    for id in ids(&folder).into_iter().rev() {
        let Some(mut entry) = load(&folder, &id).ok().and_then(|record| entry(&id, tags, &record, current)) else {
            continue;
        };
        entry.current = entry.current && entries.iter().all(|newer| !newer.current);
        entries.push(entry);
    }
    entries
}

/// One document that is kept.
pub(super) fn read(state: &Path, tags: &Tags, id: &str, current: &Value) -> Result<(Entry, Value), Refusal> {
    let folder = folder(state);
    let unknown = || Refusal::Unknown(format!("the history has no {id:?}"));
    // An id is a name of ours; anything else could be a path.
    if !ids(&folder).iter().any(|known| known == id) {
        return Err(unknown());
    }
    let mut record = load(&folder, id).map_err(|error| Refusal::Storage(format!("{id} cannot be read: {error}")))?;
    let entry = entry(id, tags, &record, current).ok_or_else(unknown)?;
    let document = record.get_mut("document").map(Value::take).ok_or_else(unknown)?;
    Ok((entry, document))
}

/// The ids, the oldest first.
fn ids(folder: &Path) -> Vec<String> {
    let names =
        fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|file| file.file_name().into_string().ok());
    let mut ids: Vec<String> = names
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .filter(|id| id.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
        .collect();
    ids.sort_unstable();
    ids
}

fn load(folder: &Path, id: &str) -> io::Result<Value> {
    let path = folder.join(format!("{id}.json"));
    if fs::metadata(&path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("it is too large"));
    }
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
}

/// The tag is made anew: one that was made with another key, or without any, says nothing now.
fn entry(id: &str, tags: &Tags, record: &Value, current: &Value) -> Option<Entry> {
    let document = record.get("document")?;
    let text = |key: &str| record.get(key)?.as_str().map(str::to_owned);
    Some(Entry {
        id: id.to_owned(),
        at: Duration::from_millis(record.get("at_ms")?.as_u64()?),
        by: text("by")?,
        action: text("action")?,
        etag: tags.of(document),
        current: document == current,
    })
}
