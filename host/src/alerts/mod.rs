//! Alerts: conditions over metrics that are told when they hold for long enough, and told again when they are over.
//!
//! Border: an [`Engine`] is given what the metrics say and the time, and gives what changed, without asking anybody; [`Post`] tells
//! webhooks, on its own time. Who puts both on a thread is `condition`. Invariants: whoever cannot be told never holds an evaluation up, what
//! waits to be told is bounded, and no secret of a webhook is ever shown.

mod builtin;
mod definition;
mod engine;
mod phase;
mod track;
mod webhook;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::sync::Arc;

pub use builtin::builtin;
pub use definition::{Bound, Definition, HEALTH_PARTS, Logged, Measure, Series, Severity};
pub use engine::{Engine, Report, Transition};
pub use phase::{Change, Phase};
pub use webhook::{Counted, Form, Post, Webhook};

/// What is watched for, and who is told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// The alerts that operators have written, by unique name.
    pub definitions: Vec<Arc<Definition>>,
    /// The webhooks, by unique name.
    pub webhooks: Vec<Arc<Webhook>>,
}
