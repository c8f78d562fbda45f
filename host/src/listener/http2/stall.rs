//! What stands still because of the client: an idle connection, a block that is never finished, a body that rests, a window that stays shut.
//!
//! One timer per connection looks at all of it now and then; nothing on the way of a request sets a timer.

use std::future::Future;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Phase};
use super::frame::{Broken, Code};
use super::streams::{Kind, Stream, Work};
use crate::listener::{Handle, Settings};
use crate::time::{self, Instant};

/// How long the rest of a request is waited for whose response is complete.
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a response is held back while nothing more of its request comes.
pub(super) const HOLD_TIMEOUT: Duration = Duration::from_millis(300);
/// Longest time between two looks.
const TICK_MAX: Duration = Duration::from_secs(4);

impl<S: AsyncRead + AsyncWrite + Unpin, H: Handle> Connection<S, H> {
    /// Sees to it that streams whose response is complete are looked at soon.
    pub(super) fn linger(&mut self, timeout: Duration) {
        let soon = (self.now + timeout).into();
        if self.timer.deadline() > soon {
            self.timer.as_mut().reset(soon);
        }
    }

    /// Looks for what stands still.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.streams.len() > 0 {
            self.idle_since = self.now;
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            self.now = time::now();
            if let Some(code) = self.standstill() {
                if self.write_blocked.is_some() {
                    return Poll::Ready(());
                }
                self.cut(Broken { code, why: "nothing came in time" });
                return self.poll_close(cx);
            }
            if matches!(self.phase, Phase::Parting { until } if self.now >= until) {
                // The round that follows says so.
                cx.waker().wake_by_ref();
            }
            self.sweep();
            self.release(cx);
            if self.poll_output(cx).is_err() {
                return Poll::Ready(());
            }
            let again = std::mem::take(&mut self.linger_again);
            let next = self.now + if again { HOLD_TIMEOUT } else { tick(&self.settings) };
            self.timer.as_mut().reset(next.into());
        }
        Poll::Pending
    }

    /// Whether the connection as a whole stands still.
    fn standstill(&self) -> Option<Code> {
        let stall = self.settings.http2.stall_timeout;
        let since = |start: Instant| self.now.saturating_duration_since(start);
        let block =
            self.block.as_ref().is_some_and(|block| since(block.started) >= stall.min(self.settings.head_timeout));
        let greeting = !self.greeted && since(self.idle_since) >= stall.min(self.settings.head_timeout);
        if block || greeting || self.write_blocked.is_some_and(|start| since(start) >= stall) {
            return Some(Code::EnhanceYourCalm);
        }
        (self.streams.len() == 0 && since(self.idle_since) >= self.settings.http1.idle_timeout).then_some(Code::NoError)
    }

    /// Lets responses go that were held back for long enough.
    fn release(&mut self, cx: &Context<'_>) {
        let now = self.now;
        let mut held = Vec::new();
        for (seat, stream) in self.streams.iter_mut() {
            if matches!(stream.work, Work::Held(_)) {
                stream.may_rest = now.saturating_duration_since(stream.progress) >= HOLD_TIMEOUT;
                held.push((seat, stream.may_rest));
            }
        }
        for (seat, due) in held {
            if due {
                self.streams.woken.mark(seat);
                cx.waker().wake_by_ref();
            } else {
                self.linger_again = true;
            }
        }
    }

    /// Resets the streams that stand still because of the client.
    fn sweep(&mut self) {
        let (now, stall) = (self.now, self.settings.http2.stall_timeout);
        let still = |stream: &Stream| {
            let since = now.saturating_duration_since(stream.progress);
            let blocked = stream.blocked.is_some_and(|(start, _)| now.saturating_duration_since(start) >= stall);
            match stream.work {
                Work::Done => {
                    let unwanted = stream.inbox.as_ref().is_none_or(|inbox| inbox.unwanted());
                    (since >= if unwanted { LINGER_TIMEOUT } else { stall }).then_some(Code::NoError)
                }
                _ if blocked => Some(Code::Cancel),
                // Where the window is shut it is not the client who is slow.
                Work::Handling(_) if !stream.ended && !stream.may_rest && stream.kind != Kind::Connect => {
                    (since >= stall && stream.receive_window > 0).then_some(Code::Cancel)
                }
                _ => None,
            }
        };
        let found: Vec<_> =
            self.streams.iter_mut().filter_map(|(seat, stream)| Some((seat, stream.id, still(stream)?))).collect();
        for (seat, id, code) in found {
            self.reset(seat, id, code);
        }
    }
}

/// The time between two looks.
pub(super) fn tick(settings: &Settings) -> Duration {
    (settings.http2.stall_timeout.min(settings.head_timeout).min(settings.http1.idle_timeout) / 4)
        .clamp(Duration::from_millis(10), TICK_MAX)
}
