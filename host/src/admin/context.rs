//! What a handler knows of the request that it answers: who asks, for what, and what is shared.
//!
//! Everything in it has been checked against the endpoint's entry: parameters are there and of their type, the body fits its schema.

use std::rc::Rc;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::access::Caller;
use super::settings::Role;
use super::trouble::Trouble;
use super::{Admin, Status};
use crate::generation::Generation;

/// What a handler knows.
pub(super) struct Context {
    pub(super) admin: Rc<Admin>,
    pub(super) caller: Caller,
    pub(super) parameters: Vec<(&'static str, String)>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: HeaderMap,
    /// The body as it came.
    pub(super) body: Bytes,
    /// The body, where it is JSON; otherwise null.
    pub(super) json: Value,
    /// The turn of an upload, which lasts as long as its bytes are kept.
    pub(super) _turn: Option<OwnedSemaphorePermit>,
}

impl Context {
    /// What stands for `{name}` in the path, percent-decoded.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// A parameter in the query, percent-decoded.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A number in the query.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.query(name)?.parse().ok()
    }

    /// What the gateway is at the moment. Not to be held across an await.
    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        self.admin.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What serves.
    pub(super) fn generation(&self) -> Result<Arc<Generation>, Trouble> {
        let generation = self.status().generation.clone();
        generation.ok_or_else(|| Trouble::unavailable("starting", "the gateway is not ready yet"))
    }

    /// Refuses a caller with less than this role, where that depends on what is asked for.
    pub(super) fn require(&self, role: Role) -> Result<(), Trouble> {
        if self.caller.role >= role {
            return Ok(());
        }
        let (has, wants) = (self.caller.role.as_str(), role.as_str());
        Err(Trouble::forbidden(format!("this needs the role {wants}; {:?} has {has}", self.caller.name)))
    }
}
