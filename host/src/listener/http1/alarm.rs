//! A timer that is set often and seldom rings.
//!
//! Setting it to a later time costs nothing: it rings at the earlier time and goes on sleeping.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// The timer of one connection.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
}

impl Alarm {
    /// Rings after `timeout`, counted from `now`.
    pub(super) fn set(&mut self, now: Instant, timeout: Duration) {
        // A time that no clock can reach is none.
        self.deadline = now.checked_add(timeout);
    }

    /// Does not ring.
    pub(super) fn clear(&mut self) {
        self.deadline = None;
    }

    /// Whether it is to ring.
    pub(super) fn is_set(&self) -> bool {
        self.deadline.is_some()
    }

    /// Ready when it rings.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
