//! What one worker writes lines with: a buffer of its own, handed over as a whole when it is full or a tenth of a second old.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Notify;

use super::form::Form;
use super::log::{AccessLog, Block, Shared};
use super::memory::{Endpoints, Memory};
use crate::exchange::Exchange;
use crate::telemetry::End;
use crate::time;

/// When a buffer is handed over. Waking the writer costs a worker some context switches; of several hundred lines each has a small part in
/// that.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// Room beyond, for the line with which a block is full.
const SPARE_BYTES: usize = 2 * 1024;
/// A block that is smaller is copied, so that it does not keep a whole buffer while it waits.
const SMALL_BYTES: usize = 16 * 1024;
/// How old a line may get in a buffer.
const AGE: Duration = Duration::from_millis(100);
/// How often a worker that ends offers its last lines, 5 ms apart.
const LAST_OFFERS: usize = 200;

/// What one worker writes lines with.
#[derive(Debug)]
pub(in crate::telemetry) struct Scribe {
    shared: Arc<Shared>,
    desk: RefCell<Desk>,
    /// Told when a buffer has its first line.
    begun: Notify,
}

#[derive(Debug, Default)]
struct Desk {
    /// The number of the settings that lines are written by.
    epoch: u64,
    form: Option<Arc<Form>>,
    buffer: Vec<u8>,
    lines: u64,
    memory: Memory,
    dice: Dice,
}

impl Scribe {
    pub(in crate::telemetry) fn new(log: &AccessLog) -> Self {
        Self { shared: Arc::clone(&log.shared), desk: RefCell::default(), begun: Notify::new() }
    }

    /// Of the head of a response what lines show; none: they show nothing of it.
    pub(in crate::telemetry) fn kept(&self, head: &HeaderMap) -> Option<HeaderMap> {
        // Nobody who holds the desk calls anything that comes back here.
        let mut desk = self.desk.borrow_mut();
        self.follow(&mut desk);
        desk.form.as_ref()?.kept(head)
    }

    /// Writes the line of an exchange, if it gets one.
    pub(in crate::telemetry) fn ended(&self, exchange: &Exchange, end: &End) {
        let mut desk = self.desk.borrow_mut();
        self.follow(&mut desk);
        let Desk { form: Some(form), buffer, lines, memory, dice, .. } = &mut *desk else { return };
        if !form.wants(exchange, end, || dice.throw()) {
            return;
        }
        if buffer.is_empty() {
            if buffer.capacity() == 0 {
                *buffer = self.shared.buffer();
            }
            buffer.reserve(BLOCK_BYTES + SPARE_BYTES);
            self.begun.notify_one();
        }
        memory.stamp.follow(exchange.started, end.duration, time::unix);
        form.line((exchange, end), memory, buffer);
        *lines += 1;
        if buffer.len() >= BLOCK_BYTES || self.shared.hasty.load(Ordering::Relaxed) {
            self.hand_over(&mut desk);
        }
    }

    /// Hands lines over before they are old, for ever.
    pub(in crate::telemetry) async fn keep_up(&self) {
        loop {
            self.begun.notified().await;
            loop {
                tokio::time::sleep(AGE).await;
                let mut desk = self.desk.borrow_mut();
                self.hand_over(&mut desk);
                if desk.buffer.is_empty() {
                    break;
                }
            }
        }
    }

    /// Takes the present settings over if they have changed.
    fn follow(&self, desk: &mut Desk) {
        if self.shared.epoch.load(Ordering::Acquire) != desk.epoch {
            // What was written by the old ones goes where the old ones say.
            self.hand_over(desk);
            (desk.epoch, desk.form) = self.shared.form();
            // Texts in another style.
            desk.memory.endpoints = Endpoints::default();
        }
    }

    /// Hands everything over. What cannot be taken stays, unless it is a whole block: that is dropped.
    fn hand_over(&self, desk: &mut Desk) {
        if desk.buffer.is_empty() {
            return;
        }
        let (epoch, lines) = (desk.epoch, mem::take(&mut desk.lines));
        let refused = if desk.buffer.len() < SMALL_BYTES {
            let refused = self.shared.hand_over(Block { bytes: desk.buffer.clone(), lines, epoch }).is_err();
            if !refused {
                desk.buffer.clear();
            }
            refused
        } else {
            match self.shared.hand_over(Block { bytes: mem::take(&mut desk.buffer), lines, epoch }) {
                Ok(()) => false,
                Err(block) => {
                    desk.buffer = block.bytes;
                    true
                }
            }
        };
        if refused && desk.buffer.len() < BLOCK_BYTES {
            desk.lines = lines;
        } else if refused {
            self.shared.tally.overrun.add(lines);
            desk.buffer.clear();
        }
    }
}

impl Drop for Scribe {
    /// A worker that has ended may wait a little for its last lines.
    fn drop(&mut self) {
        let mut desk = self.desk.borrow_mut();
        for _ in 0..LAST_OFFERS {
            self.hand_over(&mut desk);
            if desk.buffer.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.shared.tally.overrun.add(desk.lines);
    }
}

/// Numbers below 100, each as likely (xorshift64*).
#[derive(Debug)]
struct Dice(Cell<u64>);

impl Default for Dice {
    fn default() -> Self {
        Self(Cell::new(RandomState::new().hash_one(0) | 1))
    }
}

impl Dice {
    fn throw(&self) -> u8 {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        ((state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % 100) as u8
    }
}
