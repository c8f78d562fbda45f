//! Webhooks: told of alerts in order, again and again while they do not answer, and never waited for.

mod form;
mod post;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Uri};

use crate::names::Name;
use crate::outbound::Trust;

pub use form::Form;
pub use post::{Counted, Post};

/// Somebody who is told of alerts.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// Its name, unique.
    pub name: Name,
    /// Where it is; may hold a secret.
    pub url: Uri,
    /// Fields of each request; may hold secrets.
    pub headers: HeaderMap,
    /// How it wants to be told.
    pub form: Form,
    /// Longest time for one request, connecting and answer included.
    pub timeout: Duration,
    /// How often it is told once more what it did not take.
    pub retries: u32,
    /// From the first try to the second; doubled from try to try up to a minute.
    pub retry_wait: Duration,
    /// Whom we take for it.
    pub trust: Option<Trust>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({}, {:?})", self.name, self.form)
    }
}
