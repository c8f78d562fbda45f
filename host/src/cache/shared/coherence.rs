//! Keeps this instance in step with the others: tells them of purges, hears of theirs, and knows when it has missed something.
//!
//! States: away (purges wait, nothing is taken from Redis) → catching up (what was told meanwhile is done) → in step → away. One thread with
//! an event loop of its own. Invariant: a number is confirmed to Redis only after its purge was done here.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use super::members::{self, Members, Told};
use super::{Confirmed, Settings, Standing, message};
use crate::cache::purges::Purges;
use crate::cache::{Mode, Selection};
use crate::redis::{Heard, Redis};
use crate::time;

/// Purges that wait to be told.
const WAITING_MAX: usize = 65_536;
/// How often a member says that it lives, at the least.
const BEAT: Duration = Duration::from_secs(1);
/// How long somebody who purges waits for the others.
const CONFIRM_MAX: Duration = Duration::from_secs(5);

/// A purge that others are to be told of.
#[derive(Debug)]
pub struct Spread {
    pub(super) selection: Selection,
    pub(super) mode: Mode,
    pub(super) number: u64,
    pub(super) done: oneshot::Sender<Confirmed>,
}

/// Starts to keep step. Gives where purges are handed in.
pub(super) fn start(
    redis: Redis,
    settings: Settings,
    purges: Arc<Purges>,
    standing: Arc<Standing>,
) -> io::Result<mpsc::Sender<Spread>> {
    let (spread, spreads) = mpsc::channel(WAITING_MAX);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let heard = redis.subscribe(members::CHANNEL);
    let members = Members::new(redis);
    let keeper = Keeper { members, settings, purges, standing, waiting: VecDeque::new(), heard: 0 };
    thread::Builder::new().name("coherence".into()).spawn(move || runtime.block_on(keeper.run(spreads, heard)))?;
    Ok(spread)
}

struct Keeper {
    members: Members,
    settings: Settings,
    purges: Arc<Purges>,
    standing: Arc<Standing>,
    /// Purges that Redis does not know of yet.
    waiting: VecDeque<(Selection, Mode, u64)>,
    /// The last number that was done here.
    heard: u64,
}

impl Keeper {
    async fn run(mut self, mut spreads: mpsc::Receiver<Spread>, mut messages: mpsc::Receiver<Heard>) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut connected = false;
        loop {
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    None => return,
                    Some(Heard::Connected) => {
                        connected = true;
                        self.catch_up().await;
                    }
                    Some(Heard::Lost) => {
                        connected = false;
                        self.standing.keep_step(false);
                    }
                    Some(Heard::Message(entry)) => {
                        if let Some(told) = members::heard(&entry) {
                            self.do_told(&told);
                            self.beat().await;
                        }
                    }
                },
                spread = spreads.recv() => match spread {
                    // Nobody can purge any more: the gateway ends.
                    None => return self.members.leave().await,
                    Some(spread) => self.tell(spread).await,
                },
                _ = beat.tick(), if connected => {
                    if self.standing.is_in_step() { self.beat().await } else { self.catch_up().await }
                }
            }
        }
    }

    /// Does what was told while we were away, and tells what could not be told.
    async fn catch_up(&mut self) {
        let Ok((last, told)) = self.members.told().await else { return };
        let oldest = told.first().map_or(last + 1, |told| told.number);
        // What is missing between what we know and what is still known may have been about anything. A counter that is behind us was lost
        // with everything else that was in Redis.
        if oldest > self.heard + 1 && last > self.heard {
            let everything = Selection::default();
            self.heard = oldest.saturating_sub(1);
            if self.purges.sequence() > 0 || self.heard > 0 {
                self.purges.add(&everything, Mode::Hard, Some(self.heard));
            }
        }
        for told in &told {
            self.do_told(told);
        }
        while let Some((selection, mode, number)) = self.waiting.pop_front() {
            let text = message::write(&selection, mode);
            if self.members.tell(number, &text).await.is_err() {
                self.waiting.push_front((selection, mode, number));
                return;
            }
        }
        self.standing.keep_step(true);
        self.beat().await;
    }

    /// Does a purge that was told, once.
    fn do_told(&mut self, told: &Told) {
        if told.number <= self.heard {
            return;
        }
        self.heard = told.number;
        // A purge that we do not understand may be about anything.
        let (selection, mode) = message::read(&told.text).unwrap_or_default();
        self.purges.add(&selection, mode, Some(told.number));
    }

    /// Says that we live and what we have heard, and trusts what is in memory for a lease more.
    async fn beat(&mut self) {
        let asked = time::now();
        if self.members.beat(self.heard, self.settings.lease).await.is_ok() && self.standing.is_in_step() {
            self.standing.trust(asked + self.settings.lease);
        }
    }

    async fn tell(&mut self, spread: Spread) {
        let Spread { selection, mode, number, done } = spread;
        let text = message::write(&selection, mode);
        let told = if self.standing.is_in_step() && self.waiting.is_empty() {
            self.members.tell(number, &text).await.ok()
        } else {
            None
        };
        let Some(told) = told else {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_back((selection, mode, number));
            } else {
                // Too many to remember one by one.
                self.waiting.clear();
                self.waiting.push_back((Selection::default(), Mode::Hard, number));
            }
            self.standing.keep_step(false);
            let _ = done.send(Confirmed::Later);
            return;
        };
        let members = self.members.clone();
        tokio::spawn(async move {
            let deadline = time::now() + CONFIRM_MAX;
            let mut pause = Duration::from_millis(1);
            let confirmed = loop {
                match members.lagging(told).await {
                    Ok(0) => break Confirmed::All,
                    Ok(_) | Err(_) if time::now() >= deadline => break Confirmed::Pending,
                    Ok(_) | Err(_) => tokio::time::sleep(pause).await,
                }
                pause = (pause * 2).min(Duration::from_millis(50));
            };
            let _ = done.send(confirmed);
        });
    }
}
