//! What is known of an exchange when it has ended, and who is told.
//!
//! [`Records`] is one per process, a [`Recorder`] one per worker: recording takes no lock that another worker holds and waits for nobody.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::accounts::{Accounts, Book};
use crate::exchange::{Exchange, Presence};

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The position of its route in the plan; none: it has none.
    pub route: Option<usize>,
    /// The status that the client was sent.
    pub status: StatusCode,
    /// Bytes of the response body that were handed on.
    pub body_bytes: u64,
    /// From the request head being complete to the response head being complete.
    pub head: Duration,
    /// From the request head being complete to the last byte.
    pub duration: Duration,
    /// Whether the client was handed everything.
    pub complete: bool,
}

/// What is recorded, in the whole process.
#[derive(Debug, Default)]
pub struct Records {
    /// What became of requests.
    pub accounts: Arc<Accounts>,
}

impl Records {
    /// What one worker records with.
    pub fn recorder(self: &Arc<Self>) -> Rc<Recorder> {
        Rc::new(Recorder { book: self.accounts.book() })
    }
}

/// What one worker records with.
#[derive(Debug)]
pub struct Recorder {
    book: Book,
}

impl Recorder {
    /// Whether anybody wants to know how exchanges end.
    pub fn listens(&self) -> bool {
        true
    }

    /// One more exchange is under way, until it ends.
    pub fn presence(&self) -> Presence {
        self.book.entrance.enter()
    }

    /// Tells how an exchange ended. Of the response only the head is there, and only where plugins wanted to see it.
    pub fn ended(&self, exchange: &Exchange, end: &End) {
        self.book.record(exchange, end);
    }
}
