//! The connections that are open, so that they can be counted, told to drain, and ended.
//!
//! Worker-local. A connection looks at one `Cell` when it is polled; nothing here is shared between threads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Counts;

/// The open connections of one listener.
#[derive(Default)]
pub(super) struct Registry {
    draining: Cell<bool>,
    open: Cell<usize>,
    seats: RefCell<Vec<Seat>>,
    free: RefCell<Vec<usize>>,
    /// Told whenever a connection ends.
    left: Notify,
    /// What operators are told.
    pub(super) counts: Arc<Counts>,
}

#[derive(Default)]
struct Seat {
    waker: Option<Waker>,
    task: Option<AbortHandle>,
}

impl Registry {
    /// One without connections, which counts them here.
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Self { counts, ..Self::default() }
    }

    /// Whether connections are to end after the request they serve.
    #[inline]
    pub(super) fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Tells every connection to end after the request it serves.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        for seat in self.seats.borrow().iter() {
            if let Some(waker) = &seat.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Waits until fewer than `max` connections are open.
    pub(super) async fn room(&self, max: usize) {
        while self.open.get() >= max.max(1) {
            self.left.notified().await;
        }
    }

    /// Waits until no connection is open.
    pub(super) async fn empty(&self) {
        while self.open.get() > 0 {
            self.left.notified().await;
        }
    }

    /// Ends every connection, whatever it does.
    pub(super) fn evict(&self) {
        let tasks: Vec<_> = self.seats.borrow_mut().iter_mut().filter_map(|seat| seat.task.take()).collect();
        for task in tasks {
            task.abort();
        }
    }

    /// A seat for a new connection.
    pub(super) fn enter(self: &Rc<Self>) -> Ticket {
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut seats = self.seats.borrow_mut();
            seats.push(Seat::default());
            seats.len() - 1
        });
        self.open.set(self.open.get() + 1);
        self.counts.open.add(1);
        self.counts.accepted.add(1);
        Ticket { registry: Rc::clone(self), index }
    }

    /// Remembers the task of a seat.
    pub(super) fn seat(&self, index: usize, task: AbortHandle) {
        if let Some(seat) = self.seats.borrow_mut().get_mut(index) {
            seat.task = Some(task);
        }
    }
}

/// A connection's place in the registry; dropped when the connection ends, however it ends.
pub(super) struct Ticket {
    registry: Rc<Registry>,
    index: usize,
}

impl Ticket {
    /// Where it is.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Whether the connection is to end after the request it serves.
    #[inline]
    pub(super) fn draining(&self) -> bool {
        self.registry.draining()
    }

    /// Remembers how the connection's task is woken.
    #[inline]
    pub(super) fn remember(&self, cx: &Context<'_>) {
        if let Some(seat) = self.registry.seats.borrow_mut().get_mut(self.index)
            && !seat.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            seat.waker = Some(cx.waker().clone());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(seat) = self.registry.seats.borrow_mut().get_mut(self.index) {
            *seat = Seat::default();
        }
        self.registry.free.borrow_mut().push(self.index);
        self.registry.open.set(self.registry.open.get() - 1);
        self.registry.counts.open.subtract(1);
        self.registry.left.notify_one();
    }
}

/// Ends all connections when the listener stops being served.
pub(super) struct Evict(pub(super) Rc<Registry>);

impl Drop for Evict {
    fn drop(&mut self) {
        self.0.evict();
    }
}
