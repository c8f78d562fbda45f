//! An order on its way to the gateway's thread.
//!
//! It carries the way for its answer, and a place among those that may wait.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Applied, PluginEdit, Refusal, Ticket};
use crate::names::Name;
use crate::plugin::Code;

/// What is wanted.
#[derive(Debug)]
pub(super) enum Task {
    /// Say what is wrong with a document.
    Validate(Value),
    /// Say what a document changes.
    Diff(Value),
    /// Take a document over.
    Apply(Value),
    /// Take a document over that is kept in the history.
    Rollback(String),
    /// Change what the chain says of a plugin.
    Plugin(Name, PluginEdit),
    /// Reorder the chain.
    Chain(Vec<String>),
    /// Put a plugin file in place, which was compiled already.
    Upload(Name, Arc<Code>),
    /// Take a plugin away.
    Remove(Name),
    /// Change the weight of an endpoint, or whether it drains.
    Endpoint { upstream: String, endpoint: String, weight: Option<Value>, drain: Option<Value> },
}

/// What an operator wants.
#[derive(Debug)]
pub(in crate::gateway) struct Order {
    pub(super) ticket: Ticket,
    pub(super) task: Task,
    pub(super) answer: oneshot::Sender<Result<Applied, Refusal>>,
    pub(super) _slot: OwnedSemaphorePermit,
}

impl Order {
    /// Says that it will not be done any more.
    pub(in crate::gateway) fn refuse(self) {
        let _ = self.answer.send(Err(Refusal::Draining));
    }
}
