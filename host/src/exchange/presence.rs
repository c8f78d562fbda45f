//! How many exchanges are under way on a worker, and how many were given up before there was a response.
//!
//! A [`Presence`] travels with its exchange, so that what is dropped half way is not under way for ever.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The exchanges of one worker. Only the worker writes.
#[derive(Debug, Default)]
pub struct Attendance {
    in_flight: AtomicU64,
    aborted: AtomicU64,
}

impl Attendance {
    /// Exchanges under way.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// Exchanges that were given up before there was a response, because the client went away.
    pub fn aborted(&self) -> u64 {
        self.aborted.load(Relaxed)
    }

    fn leave(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).wrapping_sub(1), Relaxed);
    }
}

/// Where exchanges come in, on the worker's own side: so that none of them touches a count that is shared between threads.
#[derive(Debug)]
pub struct Entrance(Arc<Attendance>);

impl Entrance {
    /// The entrance to what others read.
    pub fn new(attendance: Arc<Attendance>) -> Rc<Self> {
        Rc::new(Self(attendance))
    }

    /// One more is under way.
    pub fn enter(self: &Rc<Self>) -> Presence {
        self.0.in_flight.store(self.0.in_flight.load(Relaxed).wrapping_add(1), Relaxed);
        Presence(Cell::new(Some(Rc::clone(self))))
    }
}

/// One exchange being under way. By default it is nobody's, and is not counted.
#[derive(Default)]
pub struct Presence(Cell<Option<Rc<Entrance>>>);

impl Presence {
    /// The exchange has ended, and it is known how.
    pub fn end(&self) {
        if let Some(entrance) = self.0.take() {
            entrance.0.leave();
        }
    }

    /// The client has gone away before there was a response.
    pub fn abort(&self) {
        if let Some(entrance) = self.0.take() {
            let attendance = &entrance.0;
            attendance.leave();
            attendance.aborted.store(attendance.aborted.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presence")
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.end();
    }
}

/// What an exchange waits for: where it is given up, that was what took the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waits {
    /// For nothing yet.
    #[default]
    Nothing,
    /// For what somebody else fetches.
    Cache,
    /// For an upstream.
    Upstream,
}

/// How many bytes of a request's body have come.
#[derive(Debug, Clone, Default)]
pub enum Received {
    /// There is no body.
    #[default]
    Nothing,
    /// It came at once.
    Whole(u64),
    /// It is coming.
    Growing(Rc<Cell<u64>>),
}

impl Received {
    /// Bytes that have come until now.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Whole(bytes) => *bytes,
            Self::Growing(bytes) => bytes.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_aborts_is_counted_and_who_is_dropped_is_not_under_way() {
        let attendance = Arc::<Attendance>::default();
        let entrance = Entrance::new(Arc::clone(&attendance));
        let (one, two) = (entrance.enter(), entrance.enter());
        assert_eq!((attendance.in_flight(), attendance.aborted()), (2, 0));
        one.end();
        one.end();
        drop(one);
        assert_eq!((attendance.in_flight(), attendance.aborted()), (1, 0));
        two.abort();
        two.end();
        let three = entrance.enter();
        assert_eq!((attendance.in_flight(), attendance.aborted()), (1, 1));
        drop((two, three));
        drop(Presence::default());
        assert_eq!((attendance.in_flight(), attendance.aborted()), (0, 1));
    }
}
