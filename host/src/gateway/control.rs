//! How a gateway is told what to do, from other threads and from before it starts.
//!
//! What is told is done in turn, since the gateway may be compiling; only draining begins at once.

use std::sync::mpsc;

use super::operate::Order;
use super::upgrade::Sockets;
use crate::plugin::Watched;
use crate::shutdown::{Drain, Draining};
use crate::time::{self, Instant};

/// What asks the gateway to do something.
#[derive(Debug)]
pub(super) enum Event {
    /// Files have changed.
    Changed(Watched),
    /// An operator wants something.
    Order(Box<Order>),
    /// The gateway is to end; when that was said.
    Drain(Instant),
}

/// Tells a gateway what to do, from before it starts.
#[derive(Debug, Clone)]
pub struct Control {
    events: mpsc::Sender<Event>,
    drain: Drain,
    /// Given when nobody is under way any more: until then operators may look on.
    farewell: Drain,
    sockets: Sockets,
}

/// What a gateway has been told.
#[derive(Debug)]
pub struct Orders {
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) drain: Drain,
    pub(super) draining: Draining,
    /// For those who answer operators.
    pub(super) leaving: Draining,
    pub(super) sockets: Sockets,
}

impl Control {
    /// A way to tell a gateway what to do, and what the gateway is started with.
    pub fn new() -> (Self, Orders) {
        let (events, receiver) = mpsc::channel();
        let (drain, draining) = Drain::new();
        let (farewell, leaving) = Drain::new();
        let sockets = Sockets::default();
        let control = Self { events, drain: drain.clone(), farewell, sockets: sockets.clone() };
        (control, Orders { events: receiver, drain, draining, leaving, sockets })
    }

    /// Reads configuration and plugins again.
    pub fn reload(&self) {
        self.changed(Watched { folder: true, configuration: true, moved: true });
    }

    /// Opens the files of the access log anew.
    pub fn reopen(&self) {
        self.changed(Watched { folder: false, configuration: false, moved: false });
    }

    /// Ends the gateway once the exchanges under way are done, or the drain timeout is over. The workers begin at once, even
    /// while the gateway compiles a plugin.
    pub fn drain(&self) {
        self.drain.start();
        if self.sockets.has_successor() {
            // It is the successor who answers operators.
            self.farewell.start();
        }
        self.sockets.close();
        let _ = self.events.send(Event::Drain(time::now()));
    }

    /// Lets those who answer operators end, too.
    pub(super) fn leave(&self) {
        self.farewell.start();
    }

    /// Starts this program anew, as it now lies on the disk, with the listening sockets of this one. When it serves, this
    /// gateway drains; if it does not come up, this one goes on.
    pub fn upgrade(&self) {
        self.sockets.upgrade(self);
    }

    /// Hands over what an operator wants. It is dropped, and its answer with it, where there is no gateway any more.
    pub(super) fn order(&self, order: Order) {
        let _ = self.events.send(Event::Order(Box::new(order)));
    }

    /// Says that files have changed.
    pub(super) fn changed(&self, watched: Watched) {
        let _ = self.events.send(Event::Changed(watched));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn draining_begins_before_anybody_looks_at_the_orders() {
        let (control, orders) = Control::new();
        control.reload();
        assert!(!orders.draining.started());
        control.drain();
        assert!(orders.draining.started());
        assert!(matches!(orders.events.recv().unwrap(), Event::Changed(_)));
        assert!(matches!(orders.events.recv().unwrap(), Event::Drain(_)));
    }
}
