//! The words by which the gateway tells its health where it serves clients: one each for alive, ready and started.
//!
//! Whoever looks at the whole writes them about once a second; who asks reads an atomic. No details: anybody may ask.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use super::{Mode, switch};

/// What the gateway is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Its first generation does not serve yet.
    Starting,
    /// All is well.
    Ready,
    /// It serves, though something is not as it should be.
    Degraded,
    /// It cannot serve.
    Unhealthy,
    /// It refuses everything because it was told to.
    Maintenance,
    /// It is about to end.
    Draining,
}

impl Word {
    const ALL: [Self; 6] =
        [Self::Starting, Self::Ready, Self::Degraded, Self::Unhealthy, Self::Maintenance, Self::Draining];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Maintenance => "maintenance",
            Self::Draining => "draining",
        }
    }

    /// Whether clients should be sent here.
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }
}

/// The words that count.
#[derive(Debug)]
pub struct Words {
    ready: AtomicU8,
    alive: AtomicBool,
    started: AtomicBool,
}

/// The process's words.
pub fn words() -> &'static Words {
    static SHARED: Words =
        Words { ready: AtomicU8::new(0), alive: AtomicBool::new(true), started: AtomicBool::new(false) };
    &SHARED
}

impl Words {
    /// From now on these count. What has started once has started for good.
    pub fn tell(&self, ready: Word, alive: bool, started: bool) {
        self.ready.store(ready as u8, Relaxed);
        self.alive.store(alive, Relaxed);
        self.started.fetch_or(started, Relaxed);
    }

    /// Whether clients should be sent here. A mode that was just chosen counts at once.
    pub fn ready(&self) -> Word {
        let word = Word::ALL.get(usize::from(self.ready.load(Relaxed))).copied().unwrap_or(Word::Unhealthy);
        if word.is_ready() && switch().mode() == Mode::Maintenance { Word::Maintenance } else { word }
    }

    /// Whether every worker that should run does.
    pub fn alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    /// Whether a generation has served.
    pub fn started(&self) -> bool {
        self.started.load(Relaxed)
    }
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether it lives.
    Alive,
    /// Whether clients should be sent here.
    Ready,
    /// Whether it has started.
    Started,
}

/// Where clients may ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Public {
    /// The paths.
    pub paths: Vec<(Box<str>, Question)>,
    /// The listeners that answer; empty: all.
    pub listeners: Vec<SocketAddr>,
}

impl Public {
    /// What is asked for by this path on this address of ours.
    pub fn question(&self, path: &str, local: SocketAddr) -> Option<Question> {
        let (_, question) = self.paths.iter().find(|(known, _)| **known == *path)?;
        let here = |listener: &SocketAddr| {
            (listener.ip().is_unspecified() || listener.ip().to_canonical() == local.ip())
                && (listener.port() == 0 || listener.port() == local.port())
        };
        (self.listeners.is_empty() || self.listeners.iter().any(here)).then_some(*question)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_the_listeners_that_are_named_answer() {
        let check = |listeners: &[&str], local: &str, expected: bool| {
            let listeners = listeners.iter().map(|text| text.parse().unwrap()).collect();
            let public = Public { paths: vec![("/readyz".into(), Question::Ready)], listeners };
            let local = local.parse().unwrap();
            assert_eq!(public.question("/readyz", local), expected.then_some(Question::Ready), "{local}");
            assert_eq!(public.question("/readyz/", local), None);
        };
        check(&[], "192.0.2.1:80", true);
        check(&["192.0.2.1:80"], "192.0.2.1:80", true);
        check(&["192.0.2.1:81", "192.0.2.2:80"], "192.0.2.1:80", false);
        check(&["0.0.0.0:80"], "192.0.2.1:80", true);
        check(&["[::]:81"], "192.0.2.1:80", false);
        check(&["192.0.2.1:0"], "192.0.2.1:4711", true);
    }
}
