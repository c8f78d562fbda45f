//! What becomes of lines in the system's memory once they are written: they are sent to the disk bit by bit, and then let go.
//!
//! A log is written much and read little. Left alone, it fills the page cache with what nobody asks for, in place of what is served; and each
//! of its pages is one that the system has to find anew, which costs more than writing into it. Border: this is advice to the system
//! (posix_fadvise(2)); whether it is taken changes nothing about what is in the file.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// How much is sent to the disk at once. Of a constant it is known when this is compiled that it is not zero.
const STEP: NonZeroU64 = NonZeroU64::new(1024 * 1024).unwrap();
/// How much stays in memory, for those who read along.
const KEPT: u64 = 8 * 1024 * 1024;

/// How far the lines of a file have come.
#[derive(Debug)]
pub(super) struct Ebb {
    /// Where what has not been sent to the disk begins, in bytes from the start of the file.
    sent: u64,
}

impl Ebb {
    /// Of a file that has so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Self { sent: bytes }
    }

    /// Follows a file that has grown to so many bytes.
    pub(super) fn follow(&mut self, file: &File, bytes: u64) {
        while let Some(steps) = self.next(bytes) {
            for offset in steps.into_iter().flatten() {
                // Pages that are not on the disk yet are sent there, those that are there are let go. Where this cannot be had, the system
                // does both when it thinks best.
                let _ = fadvise(file, offset, Some(STEP), Advice::DontNeed);
            }
        }
    }

    /// Where the steps begin that are next to be sent and to be let go; none: there is less than a step.
    fn next(&mut self, bytes: u64) -> Option<[Option<u64>; 2]> {
        let sent = self.sent;
        let end = sent.checked_add(STEP.get()).filter(|end| *end <= bytes)?;
        self.sent = end;
        Some([Some(sent), sent.checked_sub(KEPT)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_steps_are_sent_and_let_go_later() {
        let (step, mut ebb) = (STEP.get(), Ebb::new(100));
        assert_eq!(ebb.next(100 + step - 1), None);
        assert_eq!(ebb.next(100 + 2 * step), Some([Some(100), None]));
        assert_eq!(ebb.next(100 + 2 * step), Some([Some(100 + step), None]));
        assert_eq!(ebb.next(100 + 2 * step), None);
        let mut let_go = Vec::new();
        while let Some([_, old]) = ebb.next(100 + KEPT + 3 * step) {
            let_go.extend(old);
        }
        assert_eq!(let_go, [100, 100 + step, 100 + 2 * step]);
    }
}
