//! One HTTP/1.1 connection to an endpoint, driven by whoever has a request on it.
//!
//! States: idle (nobody polls it; the relay notes when it stirs) → sending → awaiting the head → reading the body → idle
//! again, or ended from anywhere.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::client::conn::http1;
use tokio::time::Sleep;

use super::relay::Relay;
use super::stream::Stream;
use super::wire::Ends;
use crate::http::{Body, Transport};
use crate::time;

/// Bytes that are buffered per connection and direction at most; also the longest response head.
const BUFFER_BYTES_MAX: usize = 128 * 1024;

/// A connection.
pub(super) struct Connection {
    http: http1::Connection<Transport<Stream>, Body>,
    /// Where requests go in.
    pub(super) sender: http1::SendRequest<Body>,
    pub(super) relay: Arc<Relay>,
    /// The relay as the waker that everything inside holds: always the same, so that nothing is cloned per poll.
    waker: Waker,
    pub(super) patience: Patience,
    ended: bool,
    /// For whom it was made, where it is for one client only.
    pub(super) ends: Option<Ends>,
    /// Since when it is idle.
    pub(super) idle_since: Instant,
}

/// What driving a connection came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Driven {
    /// It waits for the network.
    Going,
    /// It is closed; nothing more will come of it.
    Ended,
}

impl Connection {
    /// Speaks HTTP/1.1 on a stream.
    pub(super) async fn on(stream: Stream, ends: Option<Ends>) -> io::Result<Box<Self>> {
        let (sender, http) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(Transport::new(stream))
            .await
            .map_err(io::Error::other)?;
        let relay = Arc::new(Relay::default());
        let waker = relay.waker();
        let idle_since = time::now();
        let patience = Patience::default();
        Ok(Box::new(Self { http, sender, relay, waker, patience, ended: false, ends, idle_since }))
    }

    /// Lets the connection read and write what it can; the task of `cx` is woken when it can do more.
    pub(super) fn drive(&mut self, cx: &Context<'_>) -> Driven {
        self.relay.attach(cx);
        self.advance()
    }

    fn advance(&mut self) -> Driven {
        if !self.ended {
            // What woke us so far is looked at now; only what comes later is news.
            self.relay.take_stirred();
            // An error has been told to whom it concerns: the response or its body.
            self.ended = Pin::new(&mut self.http).poll(&mut Context::from_waker(&self.waker)).is_ready();
        }
        if self.ended { Driven::Ended } else { Driven::Going }
    }

    /// Whether the wait that began with the last [`Patience::restart`] is over.
    pub(super) fn poll_patience(&mut self, timeout: Duration) -> Poll<()> {
        self.patience.poll(&mut Context::from_waker(&self.waker), timeout)
    }

    /// Whether the last request on it is over and the next may be sent.
    pub(super) fn is_ready(&self) -> bool {
        !self.ended && self.sender.is_ready()
    }

    /// Whether it is closed.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether an idle connection is still good, as far as we can know without asking the network.
    pub(super) fn is_alive(&mut self) -> bool {
        if self.relay.take_stirred() {
            self.advance();
        }
        self.is_ready()
    }

    /// Lets what is left of a request that just ended settle, without anyone being woken for it.
    pub(super) fn settle(&mut self) {
        self.relay.detach();
        self.patience.stop();
        if !self.is_ready() {
            self.advance();
        }
    }
}

/// A timer that is restarted often and seldom fires.
///
/// It stays registered from one request to the next: moving a registered timer to a later time is one atomic write, where
/// registering and cancelling take tokio's lock each time.
#[derive(Default)]
pub(super) struct Patience {
    sleep: Option<Pin<Box<Sleep>>>,
    started: bool,
}

impl Patience {
    /// The next poll starts a new wait.
    pub(super) fn stop(&mut self) {
        self.started = false;
    }

    /// Starts a new wait that counts from `from`.
    pub(super) fn restart(&mut self, from: Instant, timeout: Duration) {
        // A timeout that no clock can reach is none.
        let deadline = from.checked_add(timeout).unwrap_or_else(|| from + Duration::from_secs(86_400 * 365)).into();
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(deadline),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(deadline))),
        }
        self.started = true;
    }

    /// Whether the wait is over; starts one where none is under way.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, timeout: Duration) -> Poll<()> {
        if !self.started {
            self.restart(time::now(), timeout);
        }
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}
