//! What is known of an exchange when it has ended, and who is told.
//!
//! [`Records`] is one per process, a [`Recorder`] one per worker: recording takes no lock that another worker holds and waits for nobody.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::access::{AccessLog, Scribe};
use super::accounts::{Accounts, Book};
use super::spans::{Spans, Tracer};
use crate::exchange::{Exchange, Presence};

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The position of its route in the plan; none: it has none.
    pub route: Option<usize>,
    /// The status that the client was sent, or would have been had it waited.
    pub status: StatusCode,
    /// Bytes of the response body that were handed on.
    pub body_bytes: u64,
    /// From the request head being complete to the response head being complete; none: there was no response.
    pub head: Option<Duration>,
    /// From the request head being complete to the last byte, or until it was given up.
    pub duration: Duration,
    /// Whether the client was handed everything.
    pub complete: bool,
}

/// What is recorded, in the whole process.
#[derive(Debug, Default)]
pub struct Records {
    spans: Spans,
    access: AccessLog,
    /// What became of requests.
    pub accounts: Arc<Accounts>,
}

impl Records {
    /// What one worker records with.
    pub fn recorder(self: &Arc<Self>) -> Rc<Recorder> {
        Rc::new(Recorder { book: self.accounts.book(), spans: self.spans.tracer(), access: Scribe::new(&self.access) })
    }

    /// The traces.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }

    /// The access log.
    pub fn access(&self) -> &AccessLog {
        &self.access
    }
}

/// What one worker records with.
#[derive(Debug)]
pub struct Recorder {
    spans: Tracer,
    access: Scribe,
    book: Book,
}

impl Recorder {
    /// One more exchange is under way, until it ends.
    pub fn presence(&self) -> Presence {
        self.book.entrance.enter()
    }

    /// Of the head of a response what somebody wants to know at the end; it is to stay with the exchange. None: nobody wants any of it.
    pub fn kept(&self, head: &HeaderMap) -> Option<HeaderMap> {
        self.access.kept(head)
    }

    /// Tells how an exchange ended. Of the response only the head is there, and only where plugins wanted to see it or parts of it were
    /// [kept](Self::kept).
    pub fn ended(&self, exchange: &Exchange, end: &End) {
        self.book.record(exchange, end);
        self.spans.ended(exchange, end);
        self.access.ended(exchange, end);
    }

    /// What is to be done beside exchanges, for ever.
    pub async fn keep_up(&self) {
        self.access.keep_up().await;
    }

    /// The worker's traces.
    pub fn spans(&self) -> &Tracer {
        &self.spans
    }
}
