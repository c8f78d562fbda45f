//! The thread that writes lines out, and says when it could not.
//!
//! It is the only one that waits for a disk. It ends with the process. What comes is gathered a little before it is written: each time this
//! thread wakes, some worker has to give way to it, and finds less in the processor's cache afterwards.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::log::{BLOCKS_MAX, Block, Message, Shared};
use super::output::{Outcome, Output};
use super::scribe::BLOCK_BYTES;
use crate::time::{self, Instant};

/// How long lines are gathered.
const GATHERS: Duration = Duration::from_millis(20);
/// How often it is said that lines are dropped.
const SAYS: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    output: Option<Output>,
    /// How many dropped lines have been told of, and when that was.
    told: (u64, Option<Instant>),
    /// Why the last block could not be written.
    error: Option<io::Error>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, output: None, told: (0, None), error: None }
    }

    /// Writes until the process ends.
    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            let message = match self.is_silent() {
                true => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                // What is to be told is told even if nothing happens any more.
                false => messages.recv_timeout(SAYS),
            };
            match message {
                Ok(message) => {
                    if !self.shared.hasty.load(Ordering::Relaxed) {
                        thread::sleep(GATHERS);
                    }
                    self.handle(message);
                    messages.try_iter().take(BLOCKS_MAX).for_each(|message| self.handle(message));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tell(time::now());
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Block(block) => self.write(block),
            Message::Look(epoch) => self.look(epoch),
            Message::Flush(done) => drop(done.try_send(())),
        }
    }

    /// Does what the gateway wants done before lines are written by the settings with this number.
    fn look(&mut self, epoch: u64) {
        if let Some(next) = self.shared.next(epoch) {
            self.output = Some(next);
        }
        if self.shared.reopen.swap(false, Ordering::AcqRel)
            && let Some(output) = &mut self.output
        {
            output.reopen();
        }
    }

    fn write(&mut self, block: Block) {
        self.look(block.epoch);
        let outcome = match &mut self.output {
            Some(output) => output.write(&block.bytes),
            // There is an output before there are lines for it.
            None => Outcome { lost: block.lines, ..Outcome::default() },
        };
        let tally = &self.shared.tally;
        tally.written.add(outcome.written);
        tally.bytes.add(outcome.bytes);
        tally.failed.add(outcome.lost);
        self.error = outcome.error.or(self.error.take());
        if block.bytes.capacity() >= BLOCK_BYTES {
            self.shared.take_back(block.bytes);
        }
    }

    fn dropped(&self) -> u64 {
        self.shared.tally.overrun.value() + self.shared.tally.failed.value()
    }

    /// Whether nothing is to be told.
    fn is_silent(&self) -> bool {
        self.dropped() == self.told.0
    }

    /// Tells of lines that were dropped, now and then.
    fn tell(&mut self, now: Instant) {
        let (told, at) = self.told;
        let dropped = self.dropped();
        if dropped == told || at.is_some_and(|at| now.saturating_duration_since(at) < SAYS) {
            return;
        }
        let lines = dropped - told;
        match self.error.take() {
            Some(error) => {
                tracing::warn!(lines, %error, "lines of the access log were dropped: they cannot be written")
            }
            None => tracing::warn!(lines, "lines of the access log were dropped: whoever takes them is too slow"),
        }
        self.told = (dropped, Some(now));
    }
}
