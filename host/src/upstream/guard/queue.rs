//! Requests that wait for a connection: the first to come is the first to go on.
//!
//! Who is woken stays in the queue until its task runs, so that nobody who comes in between takes what it was woken for. One
//! that is woken and does not go on wakes the next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::super::health::Gauge;

/// Which end of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Line {
    /// Who comes.
    Back,
    /// Who was woken for nothing.
    Front,
}

/// A queue.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Queue(RefCell<VecDeque<Rc<Waiter>>>);

#[derive(Debug, Default)]
struct Waiter {
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A place in the queue; left when dropped.
struct Held<'q> {
    queue: &'q Queue,
    gauge: &'q Gauge,
    waiter: Rc<Waiter>,
    /// Whether it was woken and goes on.
    done: bool,
}

impl Queue {
    /// How many wait.
    #[inline]
    pub(in crate::upstream) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// A connection has become free: lets the first go on that has not been told yet.
    #[inline]
    pub(in crate::upstream) fn wake(&self) {
        let queue = self.0.borrow();
        if let Some(waiter) = queue.iter().find(|waiter| !waiter.woken.get()) {
            waiter.woken.set(true);
            if let Some(waker) = waiter.waker.take() {
                waker.wake();
            }
        }
    }

    /// Waits to be woken. `gauge` tells how many do.
    pub(in crate::upstream) async fn wait(&self, line: Line, gauge: &Gauge) {
        let waiter = Rc::new(Waiter::default());
        match line {
            Line::Back => self.0.borrow_mut().push_back(Rc::clone(&waiter)),
            Line::Front => self.0.borrow_mut().push_front(Rc::clone(&waiter)),
        }
        gauge.set(self.len() as u64);
        let mut held = Held { queue: self, gauge, waiter, done: false };
        poll_fn(|cx| {
            if held.waiter.woken.get() {
                return Poll::Ready(());
            }
            held.waiter.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        held.done = true;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.queue.0.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
        self.gauge.set(self.queue.len() as u64);
        if self.waiter.woken.get() && !self.done {
            self.queue.wake();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_first_to_come_goes_first() {
        let (queue, gauge) = (Queue::default(), Gauge::default());
        let mut one = Box::pin(queue.wait(Line::Back, &gauge));
        let mut two = Box::pin(queue.wait(Line::Back, &gauge));
        assert!(one.as_mut().now_or_never().is_none() && two.as_mut().now_or_never().is_none());
        queue.wake();
        assert!(two.as_mut().now_or_never().is_none());
        // Woken, it is still in the queue: whoever comes now waits behind it.
        assert_eq!(queue.len(), 2);
        assert!(one.as_mut().now_or_never().is_some());
        assert_eq!(queue.len(), 1);
        let mut first = Box::pin(queue.wait(Line::Front, &gauge));
        assert!(first.as_mut().now_or_never().is_none());
        queue.wake();
        assert!(two.as_mut().now_or_never().is_none() && first.as_mut().now_or_never().is_some());
    }

    #[test]
    fn who_gives_up_hands_on() {
        let (queue, gauge) = (Queue::default(), Gauge::default());
        let mut one = Box::pin(queue.wait(Line::Back, &gauge));
        let mut two = Box::pin(queue.wait(Line::Back, &gauge));
        assert!(one.as_mut().now_or_never().is_none() && two.as_mut().now_or_never().is_none());
        queue.wake();
        drop(one);
        assert!(two.as_mut().now_or_never().is_some());
        assert_eq!(queue.len(), 0);
        queue.wake();
    }
}
