//! The audit log: who changed what, who was refused, one JSON object per line in `audit.log` in the state folder.
//!
//! Append-only and on the disk before a change is made: what cannot be written down is not done. A change has two lines, `begun` and what
//! became of it, so that one that a crash cut short is seen. Secrets never stand in it.

mod file;
mod redact;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::access::Caller;
use super::trouble::Trouble;
use crate::time::{self, Instant};

pub(super) use redact::redacted;

use file::Book;

/// Entries per minute of what one actor was refused, and of all strangers together; further ones are counted only, so that nobody can push
/// out what others did.
const REFUSALS_MAX: u32 = 60;
/// Most actors that are counted on their own in a minute; users of a Unix socket are many.
const ACTORS_MAX: usize = 256;

/// The audit log.
#[derive(Debug, Clone)]
pub(super) struct Audit {
    book: Arc<Mutex<Book>>,
    refusals: Arc<Mutex<Refusals>>,
    /// Why it could not be written the last time; none: it could.
    trouble: Arc<Mutex<Option<String>>>,
}

/// How many refusals there were in this minute, by actor; strangers are one.
#[derive(Debug, Default)]
struct Refusals(HashMap<String, Minute>);

/// The refusals of one actor.
#[derive(Debug)]
struct Minute {
    since: Instant,
    written: u32,
    unwritten: u64,
}

impl Refusals {
    /// Whether one more is to be written down; if so, how many were not since the last.
    fn more(&mut self, actor: &str, now: Instant) -> Option<u64> {
        let is_over = |minute: &Minute| now.saturating_duration_since(minute.since).as_secs() >= 60;
        if self.0.len() >= ACTORS_MAX && !self.0.contains_key(actor) {
            self.0.retain(|_, minute| !is_over(minute));
        }
        // Who is one too many is counted with all the others.
        let actor = if self.0.len() >= ACTORS_MAX && !self.0.contains_key(actor) { "" } else { actor };
        let minute = self.0.entry(actor.to_owned()).or_insert(Minute { since: now, written: 0, unwritten: 0 });
        if is_over(minute) {
            (minute.since, minute.written) = (now, 0);
        }
        if minute.written >= REFUSALS_MAX {
            minute.unwritten += 1;
            return None;
        }
        minute.written += 1;
        Some(std::mem::take(&mut minute.unwritten))
    }
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was made.
    Done,
    /// It was not made, for a reason that the caller was told.
    Refused,
    /// It may have been made in part.
    Failed,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What is about to be done, or refused.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) actor: String,
    pub(super) role: Option<&'static str>,
    pub(super) source: String,
    /// Method and path of the endpoint.
    pub(super) action: String,
    /// What the path names.
    pub(super) target: Option<String>,
}

impl Act {
    /// What somebody known is about to do.
    pub(super) fn of(caller: &Caller, action: String, target: Option<String>) -> Self {
        let (actor, source) = (caller.name.clone(), caller.source.clone());
        Self { actor, role: Some(caller.role.as_str()), source, action, target }
    }

    fn line(&self, id: &str, outcome: &str, detail: &Value) -> Value {
        json!({
            "id": id,
            "at": time::rfc3339(time::unix()),
            "actor": self.actor,
            "role": self.role,
            "source": self.source,
            "action": self.action,
            "target": self.target,
            "outcome": outcome,
            "detail": detail,
        })
    }
}

/// A change that was written down and is not over.
#[derive(Debug)]
pub(super) struct Begun {
    act: Act,
    id: String,
}

impl Audit {
    /// The log in this folder. Nothing is opened yet.
    pub(super) fn new(folder: &Path, trouble: Arc<Mutex<Option<String>>>) -> Self {
        Self { book: Arc::new(Mutex::new(Book::new(folder.join("audit.log")))), refusals: Arc::default(), trouble }
    }

    /// Writes down that a change is about to be made. If it cannot, the change must not be made.
    pub(super) async fn begin(&self, act: Act) -> Result<Begun, Trouble> {
        let id = identifier();
        let line = act.line(&id, "begun", &Value::Null);
        match self.append(line).await {
            Ok(()) => Ok(Begun { act, id }),
            Err(error) => {
                tracing::error!("the audit log cannot be written, so nothing is changed: {error}");
                Err(Trouble::unavailable("audit_unavailable", format!("the audit log cannot be written: {error}")))
            }
        }
    }

    /// Writes down what became of a change.
    pub(super) async fn end(&self, begun: Begun, outcome: Outcome, detail: &Value) {
        let line = begun.act.line(&begun.id, outcome.as_str(), detail);
        if let Err(error) = self.append(line).await {
            tracing::error!(action = begun.act.action, "the audit log knows only that this was begun: {error}");
        }
    }

    /// Writes down that something was refused before it was begun.
    pub(super) async fn refused(&self, act: Act, detail: &Value) {
        let more = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).more(&act.actor, time::now());
        let Some(unwritten) = more else { return };
        let mut line = act.line(&identifier(), Outcome::Refused.as_str(), detail);
        if let (true, Some(object)) = (unwritten > 0, line.as_object_mut()) {
            object.insert("refusals_not_written_before".to_owned(), unwritten.into());
        }
        if let Err(error) = self.append(line).await {
            tracing::warn!("the audit log cannot be written: {error}");
        }
    }

    /// The newest entries, newest first. Of a change that is over, only what became of it.
    pub(super) async fn entries(&self, limit: usize) -> Vec<Value> {
        let book = Arc::clone(&self.book);
        let read = move || book.lock().unwrap_or_else(PoisonError::into_inner).newest(limit);
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    /// On a thread of its own: a disk may take its time, and others want to be answered meanwhile.
    async fn append(&self, line: Value) -> Result<(), String> {
        let book = Arc::clone(&self.book);
        let write = move || book.lock().unwrap_or_else(PoisonError::into_inner).append(&line);
        let written = match tokio::task::spawn_blocking(write).await {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = written.clone().err();
        written
    }
}

/// A word that no other entry has.
fn identifier() -> String {
    let mut random = [0; 8];
    // Without random numbers entries are told apart by their times.
    let _ = aws_lc_rs::rand::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_one_actor_is_refused_pushes_nobody_out() {
        let (mut refusals, start) = (Refusals::default(), time::now());
        let written =
            |refusals: &mut Refusals, actor: &str| (0..1000).filter_map(|_| refusals.more(actor, start)).count();
        for actor in ["reader", "(unknown)"] {
            assert_eq!(written(&mut refusals, actor), REFUSALS_MAX as usize, "{actor}");
        }
        assert_eq!(refusals.more("other", start), Some(0), "another actor is another matter");
        let later = start + Duration::from_secs(60);
        let unwritten = 1000 - u64::from(REFUSALS_MAX);
        assert_eq!((refusals.more("reader", later), refusals.more("reader", later)), (Some(unwritten), Some(0)));
        let many =
            |refusals: &mut Refusals| (0..100_000).filter_map(|n| refusals.more(&format!("uid:{n}"), later)).count();
        assert!(many(&mut refusals) <= ACTORS_MAX + REFUSALS_MAX as usize);
        assert!(refusals.0.len() <= ACTORS_MAX + 1);
    }
}
