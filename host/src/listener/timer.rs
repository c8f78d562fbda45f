//! Timers for request heads, cheap enough to set one per request.
//!
//! hyper asks for a new timer per request and drops it when the head is there. Registering and cancelling each with tokio
//! takes its lock and moves list entries; here a dropped timer stays registered and is used again with a later deadline,
//! which tokio does with one atomic write. One that fires unused wakes a task for nothing, once per timeout.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::time;

/// Spare timers that are kept. Each keeps the memory of one past connection's task at most.
const SPARES_MAX: usize = 64;

type TokioSleep = Pin<Box<tokio::time::Sleep>>;

/// One per listener. The lock is never waited for: only the worker's thread takes it.
#[derive(Clone, Default)]
pub(super) struct HeadTimer(Arc<Mutex<Vec<TokioSleep>>>);

impl HeadTimer {
    fn take(&self, deadline: Instant) -> TokioSleep {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match spare {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline.into());
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(deadline.into())),
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(time::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadSleep { sleep: Some(self.take(deadline)), spares: self.clone() })
    }

    fn now(&self) -> Instant {
        time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<HeadSleep>() {
            Some(known) => {
                if let Some(sleep) = &mut known.get_mut().sleep {
                    sleep.as_mut().reset(deadline.into());
                }
            }
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

struct HeadSleep {
    /// There until it is dropped.
    sleep: Option<TokioSleep>,
    spares: HeadTimer,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }
}

impl Sleep for HeadSleep {}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        if let Some(sleep) = self.sleep.take() {
            let mut spares = self.spares.0.lock().unwrap_or_else(PoisonError::into_inner);
            if spares.len() < SPARES_MAX {
                spares.push(sleep);
            }
        }
    }
}
