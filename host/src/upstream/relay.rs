//! The waker that a connection keeps, whichever task drives it just now.
//!
//! Driving a connection from the request's own task instead of one of its own saves two task switches per request. It
//! needs three things of the waker: it must not wake a task that has given the connection back, it must not wake the task
//! for what the task does itself, and something that happens to an idle connection must be noticed at the next use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Hands wake-ups on to the task that drives the connection.
#[derive(Default)]
pub(super) struct Relay {
    task: AtomicWaker,
    quiet: AtomicBool,
    stirred: AtomicBool,
}

// All of this happens on one thread; atomics are only what `Wake` asks for, hence `Relaxed`.
impl Relay {
    /// The task that is woken from now on.
    #[inline]
    pub(super) fn attach(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// From now on nobody is woken.
    pub(super) fn detach(&self) {
        self.task.take();
    }

    /// Runs `work` without waking anyone for what it does: the caller looks at the outcome itself.
    #[inline]
    pub(super) fn quietly<T>(&self, work: impl FnOnce() -> T) -> T {
        self.quiet.store(true, Ordering::Relaxed);
        let result = work();
        self.quiet.store(false, Ordering::Relaxed);
        result
    }

    /// Whether something woke the connection since it was asked last.
    pub(super) fn take_stirred(&self) -> bool {
        // Not `swap`: one thread needs no locked instruction.
        let stirred = self.stirred.load(Ordering::Relaxed);
        if stirred {
            self.stirred.store(false, Ordering::Relaxed);
        }
        stirred
    }

    /// This as a waker.
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.quiet.load(Ordering::Relaxed) {
            self.stirred.store(true, Ordering::Relaxed);
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_the_attached_task_is_woken_and_only_for_others_work() {
        let (relay, count) = (Arc::new(Relay::default()), Arc::new(Count::default()));
        let (waker, task) = (relay.waker(), Waker::from(Arc::clone(&count)));
        let woken = || count.0.load(Ordering::Relaxed);
        relay.attach(&Context::from_waker(&task));
        waker.wake_by_ref();
        assert_eq!((woken(), relay.take_stirred(), relay.take_stirred()), (1, true, false));
        relay.attach(&Context::from_waker(&task));
        relay.quietly(|| waker.wake_by_ref());
        assert_eq!((woken(), relay.take_stirred()), (1, false));
        relay.detach();
        waker.wake_by_ref();
        assert_eq!((woken(), relay.take_stirred()), (1, true));
    }
}
