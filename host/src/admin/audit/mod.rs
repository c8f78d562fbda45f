//! The audit log: who changed what, who was refused, one JSON object per line in `audit.log` in the state folder.
//!
//! Append-only and on the disk before a change is made: what cannot be written down is not done. A change has two lines, `begun` and what
//! became of it, so that one that a crash cut short is seen. Secrets never stand in it.

mod file;
mod redact;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::access::Caller;
use super::trouble::Trouble;
use crate::time::{self, Instant};

pub(super) use redact::redacted;

use file::Book;

/// Entries per minute of strangers that were refused; further ones are counted only, so that nobody can push the others out.
const REFUSALS_MAX: u32 = 60;

/// The audit log.
#[derive(Debug, Clone)]
pub(super) struct Audit {
    book: Arc<Mutex<Book>>,
    refusals: Arc<Mutex<Refusals>>,
}

/// How many refusals there were in this minute.
#[derive(Debug, Default)]
struct Refusals {
    since: Option<Instant>,
    written: u32,
    unwritten: u64,
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
    pub(super) fn new(folder: &Path) -> Self {
        Self { book: Arc::new(Mutex::new(Book::new(folder.join("audit.log")))), refusals: Arc::default() }
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
        // Whoever is known has a name to answer for; strangers are many and cost nothing.
        let unwritten = if act.role.is_some() {
            0
        } else {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let now = time::now();
            if refusals.since.is_none_or(|since| now.saturating_duration_since(since).as_secs() >= 60) {
                (refusals.since, refusals.written) = (Some(now), 0);
            }
            if refusals.written >= REFUSALS_MAX {
                refusals.unwritten += 1;
                return;
            }
            refusals.written += 1;
            std::mem::take(&mut refusals.unwritten)
        };
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
        match tokio::task::spawn_blocking(write).await {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A word that no other entry has.
fn identifier() -> String {
    let mut random = [0; 8];
    // Without random numbers entries are told apart by their times.
    let _ = aws_lc_rs::rand::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
